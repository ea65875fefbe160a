"""What all roles have in common: the shape, variables that are documented as they are, Ansible's own modules only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inhouse import roles_docs
from inhouse.ansible_run import LEFT_OUT
from inhouse.roles_docs import ROLES

ROOT = ROLES.parent
NAMES = roles_docs.names()
SERVICES = "services"
"""The one role that is no part of the machine layer: it hands over to inhouse."""
KEYWORDS = {
    *("name", "when", "vars", "register", "changed_when", "failed_when", "check_mode", "until", "retries", "delay"),
    *("loop", "loop_control", "args", "block", "rescue", "environment", "delegate_to", "run_once", "become"),
}
"""Keys of a task that are not its module; a new one is a line here."""

each_role = pytest.mark.parametrize("role", NAMES)
each_machine_role = pytest.mark.parametrize("role", [name for name in NAMES if name != SERVICES])


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


@each_role
def test_variables_and_their_defaults_are_those_of_the_argument_specs(role: str) -> None:
    described = {name: option["default"] for name, option in roles_docs.options(role).items()}
    assert load(ROLES / role / "defaults" / "main.yml") == described


@each_role
def test_variables_carry_the_roles_prefix(role: str) -> None:
    private = load(ROLES / role / "vars" / "main.yml")
    assert [name for name in roles_docs.options(role) if not name.startswith(f"{role}_")] == []
    assert [name for name in private if not name.startswith(f"_{role}_")] == []


@each_role
def test_every_variable_is_used(role: str) -> None:
    folders = ("tasks", "templates", "vars", "defaults")
    files = [file for folder in folders for file in (ROLES / role / folder).glob("*")]
    text = "\n".join(file.read_text() for file in files)
    private = load(ROLES / role / "vars" / "main.yml")
    assert [name for name in roles_docs.options(role) if text.count(name) < 2] == []
    assert [name for name in private if text.count(name) < 2] == []


@each_role
def test_the_table_in_the_readme_is_that_of_today(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == roles_docs.readme(role), "python -m inhouse.roles_docs"


@each_role
def test_only_ansibles_own_modules_are_used(role: str) -> None:
    modules = {key for task in tasks(role) for key in task if key not in KEYWORDS}
    assert modules
    assert [module for module in modules if not module.startswith("ansible.builtin.")] == []


@each_role
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
    for file in (*(ROLES / role / "tasks").glob("preflight*.yml"), *(ROLES / role / "tasks").glob("look*.yml")):
        for task in flat(load(file)):
            module = next((key for key in task if key.startswith("ansible.builtin.")), "ansible.builtin.debug")
            assert module.removeprefix("ansible.builtin.") in looks, (file, task["name"])
            if module.endswith((".command", ".script")):
                assert task["changed_when"] is False, (file, task["name"])


def test_roles_that_take_packages_away_do_it_by_the_same_script() -> None:
    copies = [file.read_text() for file in ROLES.glob("*/files/unneeded.sh")]
    assert len(copies) > 1
    assert len(set(copies)) == 1


@each_machine_role
def test_steps_have_the_same_names_in_every_role(role: str) -> None:
    present = load(ROLES / role / "tasks" / "present.yml")
    assert [task["ansible.builtin.include_tasks"] for task in present] == ["install.yml", "configure.yml", "run.yml"]


@each_role
def test_there_is_an_example_a_scenario_and_a_line_in_the_docs(role: str) -> None:
    (play,) = load(ROLES / role / "examples" / "playbook.yml")
    assert [entry["role"] for entry in play["roles"]] == [role]
    assert set(play["roles"][0]) - {"role"} <= set(roles_docs.options(role))
    scenario = "site" if role == SERVICES else role  # what it hands over to needs the whole
    assert (ROOT / "molecule" / scenario / "molecule.yml").is_file()
    assert f"](../roles/{role}/README.md)" in (ROOT / "docs" / "roles.md").read_text()


@each_role
def test_the_site_playbook_has_it_under_its_own_tag(role: str) -> None:
    task = next(task for task in site() if task["ansible.builtin.include_role"] == applied(role))
    assert task["tags"] == [role]
    assert task.get("when") == (None if role == SERVICES else f"'{role}' in machine_roles")


def test_the_site_playbook_plans_first_and_serves_last() -> None:
    first, *_, last = site()
    assert first["ansible.builtin.include_role"]["tasks_from"] == "plan"
    assert first["tags"] == ["always", "plan"]
    assert last["ansible.builtin.include_role"] == applied(SERVICES)


def test_inhouse_leaves_out_its_own_part_of_the_site_playbook() -> None:
    tags = {tag for task in site() for tag in task["tags"]}
    assert set(LEFT_OUT.split(",")) == {"plan", SERVICES}
    assert set(LEFT_OUT.split(",")) <= tags


def site() -> list[dict[str, Any]]:
    (play,) = load(ROLES / "site.yml")
    found: list[dict[str, Any]] = play["tasks"]
    return found


def applied(role: str) -> dict[str, Any]:
    return {"name": role, "apply": {"tags": [role]}}
