"""The role `services` with a small program in inhouse's place: what it is asked, what Ansible makes of the answers."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from inhouse.handover import STARTED_BY_VARIABLE
from inhouse.paths import roles_folder
from tests.lab.test_machine_layer import recap
from tests.samples import a_plan

pytestmark = pytest.mark.lab  # needs no host, but starts Ansible again and again

PROGRAM = '''#!{python}
"""Stands in for inhouse: answers from a file, by command; keeps what it was asked."""
import json, os, sys
with open({asked!r}, "a") as log:
    print(json.dumps([sys.argv[1:], os.environ.get({variable!r})]), file=log)
answer = json.load(open({answers!r})).get(sys.argv[1], {{"stdout": "1.2.3"}})
print(answer.get("stdout", ""))
print(answer.get("stderr", ""), file=sys.stderr)
sys.exit(answer.get("rc", 0))
'''


@dataclass(frozen=True)
class World:
    """A folder with inventories, a playbook, and the program."""

    folder: Path

    def inventory(self, name: str, *hosts: str) -> Path:
        """Make an inventory of hosts that are this machine."""
        (self.folder / name).mkdir()
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
        content = {"all": {"hosts": dict.fromkeys(hosts, here)}}
        (self.folder / name / "hosts.yml").write_text(yaml.safe_dump(content))
        return self.folder / name

    def answer(self, command: str, record: object = None, **more: object) -> None:
        """Have the program answer a command with JSON, or say something else."""
        file = self.folder / "answers.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        said = {"stdout": json.dumps(record)} if record is not None else {}
        file.write_text(json.dumps(known | {command: said | more}))

    def play(self, *arguments: str | Path, path: Path | None = None, **play: object) -> tuple[int, str]:
        """Apply the role; `play` are more keywords of the play."""
        plays = [{"hosts": "all", "gather_facts": False, "roles": ["services"], **play}]
        (self.folder / "playbook.yml").write_text(yaml.safe_dump(plays))
        environment = {"PATH": str(path or self.folder / "bin"), STARTED_BY_VARIABLE: "ansible"}
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("ansible-playbook"), self.folder / "playbook.yml"),
                *("-e", json.dumps({"_services_environment": environment}), *arguments),
            ],
            env=os.environ | {"ANSIBLE_ROLES_PATH": str(roles_folder()), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        sys.stdout.write(done.stdout + done.stderr)
        return done.returncode, done.stdout

    @property
    def asked(self) -> list[list[str]]:
        """Arguments of every start, but for --version; each was told that Ansible started it."""
        lines = [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]
        assert {by for _, by in lines} == {"ansible"}
        return [arguments for arguments, _ in lines if arguments != ["--version"]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    program = tmp_path / "bin" / "inhouse"
    program.parent.mkdir()
    names = {"asked": str(tmp_path / "asked"), "answers": str(tmp_path / "answers.json")}
    program.write_text(PROGRAM.format(python=sys.executable, variable=STARTED_BY_VARIABLE, **names))
    program.chmod(0o755)
    made.answer("--version", stdout="inhouse 1.2.3")
    return made


def result(host: str, **changes: object) -> dict[str, Any]:
    fine = {"ok": True, "why": "", "changes": [], "hardware": "RTX 4090", "url": f"https://{host}/"}
    return {**fine, "models": ["qwen3:8b"], "tests": 2, "tests_passed": 2, **changes}


def test_a_batch_is_one_call_and_each_host_has_its_own_result(world: World) -> None:
    home = world.inventory("home", "a", "b", "c")
    hosts = {
        "a": result("a", changes=["Ollama runs"]),
        "b": result("b"),
        "c": result("c", ok=False, why="no space left."),
    }
    world.answer("up", {"hosts": hosts}, rc=1)
    code, said = world.play("-i", home)
    assert world.asked == [["up", str(home), "--limit", "a,b,c", "--json", "--yes"]]
    assert code == 2
    counts = recap(said)
    assert [(counts[host]["changed"], counts[host]["failed"]) for host in "abc"] == [(1, 0), (0, 0), (0, 1)]
    assert '"msg": "c: no space left."' in said
    assert '"~ Ollama runs"' in said


def test_serial_limit_and_several_inventories_are_followed(world: World) -> None:
    home, office = world.inventory("home", "a", "b"), world.inventory("office", "c", "d")
    world.answer("up", {"hosts": {host: result(host) for host in "abcd"}})
    code, _ = world.play("-i", home, "-i", office, "--limit", "a,c,d", serial=2)
    assert code == 0
    more = ["--json", "--yes"]
    assert world.asked == [
        ["up", str(home), "--limit", "a", *more],
        ["up", str(office), "--limit", "c", *more],
        ["up", str(office), "--limit", "d", *more],
    ]


def test_hosts_from_elsewhere_are_found_in_the_inventory_that_is_named(world: World) -> None:
    home = world.inventory("home", "a")
    world.answer("up", {"hosts": {"a": result("a")}})
    assert world.play("-i", world.inventory("awx", "a"), "-e", f"services_inventory={home}")[0] == 0
    assert world.asked[0][1] == str(home)


def test_hosts_that_stand_in_no_inventory_are_refused(world: World) -> None:
    code, said = world.play("-i", "a,", "-e", f"ansible_connection=local ansible_python_interpreter={sys.executable}")
    assert code == 2
    assert "a stands in no inventory on disk" in said


def test_in_check_mode_the_plan_is_asked_and_changes_are_counted(world: World) -> None:
    home = world.inventory("home", "a", "b", "c")
    plans = {host: asdict(a_plan(host)) for host in "ab"}
    pending = {"a": {"changes": ["Ollama runs"], "error": ""}, "b": {"changes": [], "error": ""}}
    world.answer("plan", {"hosts": plans, "changes": pending, "errors": {"c": "no route to host"}}, rc=1)
    code, said = world.play("-i", home, "--check")
    assert world.asked == [["plan", str(home), "--limit", "a,b,c", "--json"]]
    counts = recap(said)
    assert code == 2
    assert [(counts[host]["changed"], counts[host]["failed"]) for host in "abc"] == [(1, 0), (0, 0), (0, 1)]
    assert "c: no route to host" in said
    assert "The best chat model that fits." in said


def test_an_inhouse_that_fails_as_a_whole_is_quoted(world: World) -> None:
    world.answer("up", rc=1, stderr="Error: 1 setting is wrong: context_lenght")
    code, said = world.play("-i", world.inventory("home", "a"))
    assert code == 2
    assert "a: Error: 1 setting is wrong: context_lenght" in said


def test_a_missing_inhouse_is_named_with_the_command_that_installs_it(world: World, tmp_path: Path) -> None:
    code, said = world.play("-i", world.inventory("home", "a"), path=tmp_path / "empty")
    assert code == 2
    assert "-m pip install inhouse" in said


def test_the_plan_decides_the_variables_of_roles(world: World) -> None:
    home = world.inventory("home", "a", "b")
    decided = a_plan("a", machine_roles=("nvidia_driver",), nvidia_driver_branch="580", cuda_toolkit_versions=("12.9",))
    refused = a_plan("b", problems=("Port 443 is taken by nginx.",))
    plans = {plan.host: {"plan": asdict(plan)} for plan in (decided, refused)}
    world.answer("plan", {"hosts": plans, "errors": {}}, rc=1)
    names = "machine_roles ~ nvidia_driver_branch ~ cuda_toolkit_versions ~ (nvidia_driver_module is defined)"
    code, said = world.play(
        "-i", home,
        roles=[],
        tasks=[
            {"ansible.builtin.include_role": {"name": "services", "tasks_from": "plan"}},
            {"ansible.builtin.debug": {"msg": "{{ " + names + " }}"}},
        ],
    )  # fmt: skip
    assert world.asked == [["plan", str(home), "--explain", "a,b", "--json"]]
    assert "['nvidia_driver']580['12.9']False" in said
    assert (code, recap(said)["a"]["failed"], recap(said)["b"]["failed"]) == (2, 0, 1)
    assert "b: Port 443 is taken by nginx." in said
