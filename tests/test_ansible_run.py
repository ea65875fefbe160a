"""Starting Ansible for the roles of the machine layer, with a small program in ansible-playbook's place."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from inhouse import ansible_run, vault
from inhouse.ansible_run import connection_variables, run_roles, write_layer
from inhouse.connection import Connection
from inhouse.errors import DeployError
from inhouse.inventory import Host, Inventory
from inhouse.results import RolesInterrupted
from inhouse.settings import HostSettings
from tests.samples import a_plan

PLAN = a_plan("gpu1", machine_roles=("nvidia_driver",), nvidia_driver_branch="580", cuda_toolkit_default="12.9")
SSH = Connection("ssh", "192.0.2.1", private_key_file="/keys/one", ssh_config_file="/home/me/ssh config")

CHILD = '''#!{python}
"""Stands in for ansible-playbook with ansible-runner's callback: one event per host, in that callback's format."""
import base64, json, os, signal, sys, time
folder = os.path.join(os.environ["AWX_ISOLATED_DATA_DIR"], "job_events")
with open({log!r}, "a") as log:
    print(json.dumps([sys.argv[1:], dict(os.environ)]), file=log)
def token(data):
    text = base64.b64encode(json.dumps(data).encode()).decode()
    print(f"\\x1b[K{{text}}\\x1b[{{len(text)}}D\\x1b[K", end="", flush=True)
def event(number, kind, **data):
    record = {{"uuid": str(number), "event": kind, "pid": os.getpid(), "event_data": data}}
    with open(os.path.join(folder, f"{{number}}-partial.json"), "w") as file:
        json.dump(record, file)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # its handler writes, too
    token({{"uuid": str(number)}})
    print("said")
    token({{}})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
def interrupted(*_):
    event(3, "runner_on_ok", host="gpu1", task="Ended gently", task_action="command", res={{"changed": True}})
    sys.exit(99)
signal.signal(signal.SIGINT, interrupted)
{then}
'''
RUNS = """
event(1, "runner_on_ok", host="gpu1", task="Packages are installed", task_action="command", res={"changed": True})
event(2, "playbook_on_stats", failures={}, dark={})
"""
HANGS = """
event(1, "runner_on_ok", host="gpu1", task="Packages are installed", task_action="command", res={"changed": True})
time.sleep(600)
"""
SWALLOWS_CTRL_C = """
event(1, "runner_on_ok", host="gpu1", task="Packages are installed", task_action="command", res={"changed": True})
signal.signal(signal.SIGINT, lambda *_: None)
def terminated(*_):
    with open(os.environ["ENDED"], "w") as file:
        file.write("terminated")
    os._exit(1)
signal.signal(signal.SIGTERM, terminated)
for number in range(10, 6000):
    event(number, "runner_retry", host="gpu1", task="Lock is free", task_action="command", res={})
    time.sleep(0.1)
"""
FAILS = """
print("ERROR! the playbook could not be found")
sys.exit(1)
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    folder = tmp_path / "home"
    folder.mkdir()
    return Inventory(folder, (Host("gpu1", (), SSH, HostSettings()),), None)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One line for every start of the program: its arguments and its environment."""
    return tmp_path / "log"


@pytest.fixture
def child(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that is found as ansible-playbook; a test writes it."""
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    return program


def write(child: Path, log: Path, then: str) -> None:
    child.write_text(CHILD.format(python=os.path.realpath("/proc/self/exe"), log=str(log), then=then))


def starts(log: Path) -> list[tuple[list[str], dict[str, str]]]:
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def test_each_task_is_told_as_it_happens_and_each_host_has_a_result(
    inventory: Inventory, child: Path, log: Path
) -> None:
    write(child, log, RUNS)
    lines: list[str] = []
    results = run_roles(inventory, [PLAN], check=False, on_line=lines.append)
    assert lines == ["  gpu1: Packages are installed … changed"]
    assert (results["gpu1"].status, results["gpu1"].changes) == ("changed", ("Packages are installed",))


def test_without_roles_to_run_no_ansible_is_started(inventory: Inventory, child: Path, log: Path) -> None:
    write(child, log, FAILS)
    assert run_roles(inventory, [a_plan("gpu1"), a_plan("gpu2")], check=False) == {}
    assert run_roles(inventory, [a_plan("gpu1")], check=True) == {}
    assert starts(log) == []
    assert not inventory.state_dir.exists()
    with pytest.raises(DeployError):
        run_roles(inventory, [PLAN], check=False)
    assert len(starts(log)) == 1  # the counter counts


def test_nothing_of_the_run_is_left_on_the_controller(inventory: Inventory, child: Path, log: Path) -> None:
    write(child, log, RUNS)
    run_roles(inventory, [PLAN], check=False)
    assert list(inventory.state_dir.iterdir()) == []
    assert inventory.state_dir.stat().st_mode & 0o777 == 0o700


def test_ansible_is_told_of_the_due_hosts_and_of_no_secret(
    inventory: Inventory, child: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(child, log, RUNS)
    monkeypatch.delenv(vault.PASSWORD_VARIABLE, raising=False)
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    (inventory.path / vault.PASSWORD_FILE).write_text("the-secret\n")
    run_roles(inventory, [PLAN, a_plan("gpu2")], check=True)
    ((arguments, environment),) = starts(log)
    assert arguments[:2] == ["--check", "--diff"]
    assert arguments[2:4] == ["-i", str(inventory.path)]
    assert arguments[arguments.index("--skip-tags") + 1] == "plan,services"
    assert arguments[-1].endswith("roles/site.yml")
    assert environment[vault.PASSWORD_VARIABLE] == str(inventory.path / vault.PASSWORD_FILE)
    assert environment["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert "the-secret" not in log.read_text()


def test_a_run_that_fails_before_any_host_says_why(inventory: Inventory, child: Path, log: Path) -> None:
    write(child, log, FAILS)
    with pytest.raises(DeployError, match="ERROR! the playbook could not be found"):
        run_roles(inventory, [PLAN], check=False)
    assert list(inventory.state_dir.iterdir()) == []


def test_ctrl_c_lets_ansible_end_gently_and_keeps_what_is_known(inventory: Inventory, child: Path, log: Path) -> None:
    write(child, log, HANGS)

    def interrupt(line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RolesInterrupted) as stop:
        run_roles(inventory, [PLAN], check=False, on_line=interrupt)
    result = stop.value.results["gpu1"]
    assert result.changes == ("Packages are installed", "Ended gently")
    assert result.error.startswith("Interrupted.")
    assert list(inventory.state_dir.iterdir()) == []


def test_an_ansible_that_swallows_ctrl_c_is_told_to_terminate(
    inventory: Inventory, child: Path, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(child, log, SWALLOWS_CTRL_C)
    monkeypatch.setattr(ansible_run, "_PATIENCE_S", 1)
    monkeypatch.setenv("ENDED", str(tmp_path / "ended"))

    def interrupt(line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RolesInterrupted) as stop:
        run_roles(inventory, [PLAN], check=False, on_line=interrupt)
    assert stop.value.results["gpu1"].error.startswith("Interrupted.")
    assert (tmp_path / "ended").read_text() == "terminated"


def test_the_layer_comes_with_the_variables_of_due_roles_and_nothing_else(tmp_path: Path, inventory: Inventory) -> None:
    limit = write_layer(tmp_path / "layer", inventory, [PLAN])
    assert limit.read_text() == "gpu1\n"
    assert json.loads((tmp_path / "layer" / "hosts.json").read_text()) == {"all": {"hosts": {"gpu1": {}}}}
    variables = json.loads((tmp_path / "layer" / "host_vars" / "gpu1.json").read_text())
    assert variables["machine_roles"] == ["nvidia_driver"]
    assert variables["nvidia_driver_branch"] == "580"
    assert "cuda_toolkit_default" not in variables
    assert "ollama_port" not in variables


def test_connections_are_those_of_the_deploys_and_passwords_stay_where_they_are() -> None:
    assert connection_variables(SSH) == {
        "ansible_connection": "ssh",
        "ansible_become": False,
        "ansible_ssh_private_key_file": "/keys/one",
        "ansible_ssh_common_args": "-F '/home/me/ssh config'",
    }
    local = Connection("local", "here", become=True, become_password=SecretStr("the-secret"))
    assert connection_variables(local) == {
        "ansible_connection": "local",
        "ansible_become": True,
        "ansible_python_interpreter": sys.executable,
    }


def test_the_ansible_of_our_own_environment_is_found_first(inventory: Inventory, child: Path, log: Path) -> None:
    write(child, log, RUNS)
    run_roles(inventory, [PLAN], check=False)
    ((_, environment),) = starts(log)
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
