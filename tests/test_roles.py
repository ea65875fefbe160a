"""What all roles have in common: the shape, variables that are documented as they are, Ansible's own modules only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inhouse import roles_docs
from inhouse.roles_docs import ROLES

ROOT = ROLES.parent
NAMES = roles_docs.names()
KEYWORDS = {
    *("name", "when", "vars", "register", "changed_when", "failed_when", "check_mode", "until", "retries", "delay"),
    *("loop", "args", "block", "rescue"),
}
"""Keys of a task that are not its module; a new one is a line here."""

pytestmark = pytest.mark.parametrize("role", NAMES)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def tasks(role: str) -> Iterator[dict[str, Any]]:
    """Every task of a role, those in blocks included."""
    for file in sorted((ROLES / role / "tasks").glob("*.yml")):
        yield from flat(load(file))


def flat(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in listed:
        yield task
        for part in ("block", "rescue"):
            yield from flat(task.get(part, []))


def test_variables_and_their_defaults_are_those_of_the_argument_specs(role: str) -> None:
    described = {name: option["default"] for name, option in roles_docs.options(role).items()}
    assert load(ROLES / role / "defaults" / "main.yml") == described


def test_variables_carry_the_roles_prefix(role: str) -> None:
    private = load(ROLES / role / "vars" / "main.yml")
    assert [name for name in roles_docs.options(role) if not name.startswith(f"{role}_")] == []
    assert [name for name in private if not name.startswith(f"_{role}_")] == []


def test_every_variable_is_used(role: str) -> None:
    folders = ("tasks", "templates", "vars", "defaults")
    files = [file for folder in folders for file in (ROLES / role / folder).iterdir()]
    text = "\n".join(file.read_text() for file in files)
    private = load(ROLES / role / "vars" / "main.yml")
    assert [name for name in roles_docs.options(role) if text.count(name) < 2] == []
    assert [name for name in private if text.count(name) < 2] == []


def test_the_table_in_the_readme_is_that_of_today(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == roles_docs.readme(role), "python -m inhouse.roles_docs"


def test_only_ansibles_own_modules_are_used(role: str) -> None:
    modules = {key for task in tasks(role) for key in task if key not in KEYWORDS}
    assert modules
    assert [module for module in modules if not module.startswith("ansible.builtin.")] == []


def test_preflight_comes_first_and_changes_nothing(role: str) -> None:
    first = load(ROLES / role / "tasks" / "main.yml")[0]
    assert first["ansible.builtin.include_tasks"] == "preflight.yml"
    looks = {
        "assert",
        "command",
        "debug",
        "fail",
        "include_tasks",
        "package_facts",
        "script",
        "set_fact",
        "slurp",
        "uri",
    }
    for file in (*(ROLES / role / "tasks").glob("preflight*.yml"), ROLES / role / "tasks" / "look.yml"):
        for task in flat(load(file)):
            module = next((key for key in task if key.startswith("ansible.builtin.")), "ansible.builtin.debug")
            assert module.removeprefix("ansible.builtin.") in looks, (file, task["name"])
            if module.endswith((".command", ".script")):
                assert task["changed_when"] is False, (file, task["name"])


def test_steps_have_the_same_names_in_every_role(role: str) -> None:
    present = load(ROLES / role / "tasks" / "present.yml")
    assert [task["ansible.builtin.include_tasks"] for task in present] == ["install.yml", "configure.yml", "run.yml"]


def test_there_is_an_example_a_scenario_and_a_line_in_the_docs(role: str) -> None:
    (play,) = load(ROLES / role / "examples" / "playbook.yml")
    assert [entry["role"] for entry in play["roles"]] == [role]
    assert set(play["roles"][0]) - {"role"} <= set(roles_docs.options(role))
    assert (ROOT / "molecule" / role / "molecule.yml").is_file()
    assert f"](../roles/{role}/README.md)" in (ROOT / "docs" / "roles.md").read_text()


def test_the_site_playbook_has_it_under_its_own_tag(role: str) -> None:
    (play,) = load(ROLES / "site.yml")
    assert {"role": role, "tags": [role]} in play["roles"]
