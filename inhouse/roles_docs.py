"""The table of variables in each role's README, derived from its argument_specs.

After a change of an argument_specs.yml: python -m inhouse.roles_docs
"""

from pathlib import Path

from inhouse.role_variables import options as options

ROLES = Path(__file__).parent.parent / "roles"
BEGIN = "<!-- Variables: written by python -m inhouse.roles_docs -->"
END = "<!-- End of variables -->"


def names() -> tuple[str, ...]:
    """Names of all roles, sorted."""
    return tuple(sorted(file.parts[-3] for file in ROLES.glob("*/tasks/main.yml")))


def table(role: str) -> str:
    """A Markdown table of a role's variables, with the line breaks that a cell may not have taken out."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, option in options(role).items():
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        meaning = f"{' '.join(option['description'].split())}{choices}".replace("|", "\\|")
        rows.append(f"| `{name}` ({option['type']}) | {_cell(option['default'])} | {meaning} |")
    return "\n".join(rows)


def readme(role: str) -> str:
    """A role's README as it must be: its own text, with the table of today between the two markers.

    Raises:
        ValueError: a marker is missing.
    """
    text = (ROLES / role / "README.md").read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"roles/{role}/README.md: the lines {BEGIN} and {END} are needed.")
    return f"{before}{BEGIN}\n\n{table(role)}\n\n{END}{after}"


def _cell(default: object) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`".replace("|", "\\|")


if __name__ == "__main__":
    for name in names():
        (ROLES / name / "README.md").write_text(readme(name))
