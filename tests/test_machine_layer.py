"""Roles in a run: who is deployed afterwards, what stops a batch, and what a person reads."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from inhouse import ansible_run, exits, machine_layer, plan_command, runners, survey, up
from inhouse.console import Progress
from inhouse.errors import UnreachableError
from inhouse.handover import STARTED_BY_VARIABLE
from inhouse.inventory import Connection, Host, Inventory
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult, FileChange, RoleResult, RolesInterrupted, SmokeResult, SmokeTest
from inhouse.secret_settings import Secrets
from inhouse.settings import HostSettings
from inhouse.summary import outcome_record, print_changes
from inhouse.survey import Survey
from tests.samples import a_plan

QUIET = Progress(Console(quiet=True))
DUE = ("nvidia_driver",)
FINE = RoleResult(host="", status="changed", changes=("nvidia_driver: Packages are installed",))


class World:
    """Roles, hosts and deploys as told; keeps what was done, in order."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.roles: dict[str, RoleResult] = {}
        """What a host's roles come to, where it is not FINE."""
        self.after: dict[str, dict[str, object]] = {}
        """How a host's plan differs after its roles."""
        self.lost: set[str] = set()
        """Hosts that do not answer after their roles."""

    def run_roles(
        self, _i: Inventory, plans: Sequence[Plan], *, check: bool, on_line: Callable[[str], None] | None = None
    ) -> dict[str, RoleResult]:
        self.did.append(f"{'check' if check else 'roles'} {' '.join(p.host for p in plans)}")
        return {p.host: self.roles.get(p.host, FINE).model_copy(update={"host": p.host}) for p in plans}

    def survey(self, inventory: Inventory, _progress: Progress) -> Survey:
        names = [host.name for host in inventory.hosts]
        self.did.append(f"facts {' '.join(names)}")
        plans = {n: a_plan(n, hardware="anew", **self.after.get(n, {})) for n in names if n not in self.lost}
        return Survey(inventory, {}, plans, {n: UnreachableError(n, "no route") for n in names if n in self.lost})

    def run_pyinfra(self, _i: Inventory, plans: Sequence[Plan], *, dry: bool, **_: object) -> dict[str, DeployResult]:
        self.did.append(f"deploy {' '.join(f'{p.host}:{p.hardware}' for p in plans)}")
        return {p.host: DeployResult(host=p.host, status="changed", changes=("Ollama runs",)) for p in plans}

    def smoke(self, _i: Inventory, plans: Sequence[Plan], **_: object) -> dict[str, SmokeResult]:
        test = SmokeTest(name="Ollama answers", outcome="passed", seconds=0.1)
        return {
            p.host: SmokeResult(host=p.host, tests=(test,), tokens_per_second={}, memory_used_mib={}) for p in plans
        }


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.delenv(STARTED_BY_VARIABLE, raising=False)
    monkeypatch.setattr(ansible_run, "run_roles", made.run_roles)
    monkeypatch.setattr(machine_layer, "survey", made.survey)
    monkeypatch.setattr(survey, "survey", made.survey)
    monkeypatch.setattr(up, "run_pyinfra", made.run_pyinfra)
    monkeypatch.setattr(runners, "run_pyinfra", made.run_pyinfra)
    monkeypatch.setattr(up, "run_smoke_tests", made.smoke)
    return made


def found(folder: Path, due: str, fine: str = "") -> Survey:
    """A survey of hosts, named by letters: those that have a role to run, and those that have none."""
    hosts = tuple(Host(name, (), Connection("ssh", f"192.0.2.{ord(name)}"), HostSettings()) for name in due + fine)
    plans = {name: a_plan(name, hardware="first", machine_roles=DUE if name in due else ()) for name in due + fine}
    return Survey(Inventory(folder, hosts, None), {}, plans, {})


def failed(why: str) -> RoleResult:
    return RoleResult(host="", status="failed", changes=(), error=why)


def test_roles_run_where_they_are_due_and_what_follows_is_planned_anew(tmp_path: Path, world: World) -> None:
    outcome = up.apply(found(tmp_path, "a", "b"), QUIET)
    assert world.did == ["roles a", "facts a", "deploy a:anew b:first"]
    assert outcome.ok
    assert outcome.changes("a") == ("nvidia_driver: Packages are installed", "Ollama runs")


def test_a_run_without_due_roles_starts_no_ansible(tmp_path: Path, world: World) -> None:
    assert up.apply(found(tmp_path, "", "ab"), QUIET).ok
    assert world.did == ["deploy a:first b:first"]


def test_a_host_whose_role_failed_is_not_deployed_and_others_go_on(tmp_path: Path, world: World) -> None:
    world.roles["a"] = failed("apt's lock is held by unattended-upgrades.")
    outcome = up.apply(found(tmp_path, "ab", "c"), QUIET)
    assert world.did == ["roles a b", "facts b", "deploy b:anew c:first"]
    assert [outcome.host_ok(name) for name in "abc"] == [False, True, True]
    assert outcome.why("a") == "apt's lock is held by unattended-upgrades."


def test_where_no_role_ended_well_nothing_is_asked_or_deployed(tmp_path: Path, world: World) -> None:
    world.roles["a"] = failed("no.")
    assert not up.apply(found(tmp_path, "a"), QUIET).ok
    assert world.did == ["roles a"]


def test_a_host_that_is_lost_at_its_reboot_stops_the_batches_after_it(tmp_path: Path, world: World) -> None:
    world.roles["a"] = failed("It did not come back from a reboot.")
    outcome = up.apply(found(tmp_path, "abcd"), QUIET, batch=2)
    assert world.did == ["roles a b", "facts b", "deploy b:anew"]
    assert outcome.not_reached == ("c", "d")
    assert outcome.why("a") == "It did not come back from a reboot."
    assert "Left alone, because a batch before it" in outcome.why("c")


def test_roles_are_run_batch_by_batch(tmp_path: Path, world: World) -> None:
    assert up.apply(found(tmp_path, "ab"), QUIET, batch=1).ok
    assert world.did == ["roles a", "facts a", "deploy a:anew", "roles b", "facts b", "deploy b:anew"]


def test_a_reboot_that_is_needed_and_not_allowed_tells_what_to_set_or_run(tmp_path: Path, world: World) -> None:
    world.roles["a"] = FINE.model_copy(
        update={"reboot_setting": "nvidia_driver_reboot", "told": ("reboot needed: module 570 is loaded.",)}
    )
    outcome = up.apply(found(tmp_path, "a"), QUIET)
    assert world.did == ["roles a"]
    assert outcome.why("a") == (
        "Its roles have done their part, and a reboot is needed to complete it (reboot needed: module 570 is loaded.). "
        f"Reboot it, or set nvidia_driver_reboot: if_needed for it. Then run: inhouse up {tmp_path} --limit a"
    )


def test_a_host_that_does_not_answer_after_its_roles_is_not_deployed(tmp_path: Path, world: World) -> None:
    world.lost.add("a")
    outcome = up.apply(found(tmp_path, "ab"), QUIET)
    assert world.did[-1] == "deploy b:anew"
    assert outcome.why("a") == "no route"


def test_roles_that_would_be_due_again_are_not_taken_for_done(tmp_path: Path, world: World) -> None:
    world.after["a"] = {"machine_roles": DUE}
    outcome = up.apply(found(tmp_path, "a"), QUIET)
    assert world.did == ["roles a", "facts a"]
    assert outcome.why("a").startswith("The roles ended well, and still the host is not as planned: nvidia_driver")


def test_a_problem_that_the_roles_left_forbids_the_deploy(tmp_path: Path, world: World) -> None:
    world.after["a"] = {"problems": ("The disk is full now.",)}
    outcome = up.apply(found(tmp_path, "a"), QUIET)
    assert world.did == ["roles a", "facts a"]
    assert outcome.why("a") == "The disk is full now."


def test_after_ctrl_c_in_roles_nothing_more_is_started(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_i: Inventory, plans: Sequence[Plan], **_: object) -> dict[str, RoleResult]:
        raise RolesInterrupted({p.host: failed("Interrupted.") for p in plans})

    monkeypatch.setattr(ansible_run, "run_roles", interrupted)
    outcome = up.apply(found(tmp_path, "a", "b"), QUIET)
    assert (outcome.interrupted, world.did, outcome.not_reached) == (True, [], ("b",))
    assert outcome.why("a") == "Interrupted."
    assert outcome.why("b").startswith("Left alone, because the run was interrupted.")


def test_the_outcome_is_told_to_programs_by_host(tmp_path: Path, world: World) -> None:
    world.roles["a"] = failed("no.")
    record = outcome_record(up.apply(found(tmp_path, "a", "b"), QUIET))
    assert record["a"] == {**record["a"], "ok": False, "why": "no.", "changes": (), "tests": 0}  # type: ignore[dict-item]
    assert record["b"] == {**record["b"], "ok": True, "why": "", "changes": ("Ollama runs",), "tests_passed": 1}  # type: ignore[dict-item]


def test_what_would_change_is_asked_of_roles_and_of_deploys(
    tmp_path: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    difference = FileChange(task="daemon.json is merged", difference="-old\n+new")
    world.roles["a"] = FINE.model_copy(update={"differences": (difference,), "told": ("No GPU: nothing to do.",)})
    pending = plan_command._pending(_with_secrets(found(tmp_path, "a", "b")), QUIET)
    assert world.did == ["check a", "deploy a:first b:first"]
    assert pending["a"].changes == ("nvidia_driver: Packages are installed", "Ollama runs")
    assert pending["b"].changes == ("Ollama runs",)
    print_changes(Console(width=80), pending)
    shown = capsys.readouterr().out
    assert "  ~ nvidia_driver: Packages are installed\n" in shown
    assert "a: No GPU: nothing to do.\n" in shown
    assert "a: daemon.json is merged\n-old\n+new\n" in shown


def test_a_role_that_would_fail_fails_the_plan(tmp_path: Path, world: World) -> None:
    world.roles["a"] = failed("apt's lock is held.")
    pending = plan_command._pending(_with_secrets(found(tmp_path, "a")), QUIET)
    assert (pending["a"].status, pending["a"].error) == ("failed", "apt's lock is held.")


def test_without_secrets_changes_are_pending(tmp_path: Path, world: World) -> None:
    assert plan_command.hosts(found(tmp_path, "", "a").inventory, tmp_path, as_json=True) == exits.CHANGES_PENDING
    assert world.did == ["facts a"]


def test_a_playbook_that_started_us_is_not_started_again(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STARTED_BY_VARIABLE, "ansible")
    plan_command._pending(_with_secrets(found(tmp_path, "a")), QUIET)
    assert world.did == ["deploy a:first"]
    alone = machine_layer.left_out(found(tmp_path, "a").inventory)
    assert [host.settings.machine_layer for host in alone.hosts] == [False]


def _with_secrets(one: Survey) -> Survey:
    none = SecretStr("")
    secrets = Secrets.model_construct(
        open_webui_admin_password=none, open_webui_secret_key=none, api_token=none, fleet_ca_key=none
    )
    return replace(one, inventory=replace(one.inventory, secrets=secrets))
