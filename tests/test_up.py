"""`up` goes on past a failing host, stops after a failing batch, and says per host what happened."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from inhouse import up
from inhouse.console import Progress
from inhouse.errors import UnreachableError
from inhouse.inventory import Connection, Host, Inventory
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult, SmokeResult, SmokeTest
from inhouse.runners import Interrupted
from inhouse.settings import HostSettings
from inhouse.state import applied_plans
from inhouse.survey import Survey
from tests.samples import a_plan


def an_inventory(folder: Path, *names: str) -> Inventory:
    hosts = tuple(Host(name, (), Connection("ssh", f"192.0.2.{i}"), HostSettings()) for i, name in enumerate(names, 1))
    return Inventory(folder, hosts, None)


def a_smoke_result(host: str, *, ok: bool = True) -> SmokeResult:
    test = SmokeTest(
        name="Ollama answers", outcome="passed" if ok else "failed", seconds=0.1, message="" if ok else "it is down."
    )
    return SmokeResult(host=host, tests=(test,), tokens_per_second={}, memory_used_mib={})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each host will do: "fine", "deploy fails" or "smoke fails"; hosts not named are fine."""
    fate: dict[str, str] = {}

    def deploy(_i: Inventory, plans: Sequence[Plan], *, dry: bool, on_line: object) -> dict[str, DeployResult]:
        return {p.host: _deployed(p.host, fate.get(p.host, "fine")) for p in plans}

    def smoke(
        _i: Inventory,
        plans: Sequence[Plan],
        on_done: Callable[[SmokeResult], None],
        on_test: Callable[[str, SmokeTest], None],
    ) -> dict[str, SmokeResult]:
        results = {p.host: a_smoke_result(p.host, ok=fate.get(p.host) != "smoke fails") for p in plans}
        for host, result in results.items():
            on_test(host, result.tests[0])
            on_done(result)
        return results

    monkeypatch.setattr(up, "run_pyinfra", deploy)
    monkeypatch.setattr(up, "run_smoke_tests", smoke)
    return fate


def _deployed(host: str, fate: str) -> DeployResult:
    if fate == "deploy fails":
        return DeployResult(host=host, status="failed", changes=(), error="no space left on device")
    return DeployResult(host=host, status="changed", changes=("Ollama runs",))


def survey_of(folder: Path, *names: str) -> Survey:
    return Survey(an_inventory(folder, *names), {}, {name: a_plan(name) for name in names}, {})


QUIET = Progress(Console(quiet=True))


def test_one_failing_host_does_not_stop_the_others(tmp_path: Path, world: dict[str, str]) -> None:
    world["b"] = "deploy fails"
    outcome = up.apply(survey_of(tmp_path, "a", "b", "c"), QUIET)
    assert [outcome.host_ok(h) for h in "abc"] == [True, False, True]
    assert outcome.why("b") == "no space left on device"
    assert not outcome.ok


def test_a_failing_smoke_test_fails_the_run_and_is_named(tmp_path: Path, world: dict[str, str]) -> None:
    world["a"] = "smoke fails"
    outcome = up.apply(survey_of(tmp_path, "a"), QUIET)
    assert not outcome.ok
    assert outcome.why("a") == "Ollama answers: it is down."


def test_a_failing_smoke_test_is_shown_as_it_ends_and_a_quick_good_one_is_not(
    tmp_path: Path, world: dict[str, str]
) -> None:
    world["a"] = "smoke fails"
    shown = io.StringIO()
    up.apply(survey_of(tmp_path, "a", "b"), Progress(Console(file=shown)))
    assert "  a: Ollama answers: failed after 0 s\n" in shown.getvalue()
    assert "b: Ollama answers" not in shown.getvalue()


def test_a_failing_batch_stops_those_after_it(tmp_path: Path, world: dict[str, str]) -> None:
    world["b"] = "smoke fails"
    outcome = up.apply(survey_of(tmp_path, "a", "b", "c", "d"), QUIET, batch=2)
    assert outcome.not_reached == ("c", "d")
    assert "Left alone" in outcome.why("c")


def test_without_batches_nothing_is_left_alone(tmp_path: Path, world: dict[str, str]) -> None:
    world["a"] = "smoke fails"
    assert up.apply(survey_of(tmp_path, "a", "b"), QUIET).not_reached == ()


def test_after_ctrl_c_nothing_more_is_started_and_what_is_done_is_known(
    tmp_path: Path, world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_i: Inventory, plans: Sequence[Plan], **_more: object) -> dict[str, DeployResult]:
        raise Interrupted({p.host: _deployed(p.host, "fine" if p.host == "a" else "deploy fails") for p in plans})

    monkeypatch.setattr(up, "run_pyinfra", interrupted)
    outcome = up.apply(survey_of(tmp_path, "a", "b", "c"), QUIET, batch=2)
    assert outcome.interrupted
    assert outcome.smoke == {}
    assert outcome.why("a") == "Deployed, but not tested."
    assert outcome.not_reached == ("c",)
    assert set(applied_plans(outcome.survey.inventory)) == {"a"}


def test_only_what_was_deployed_is_remembered(tmp_path: Path, world: dict[str, str]) -> None:
    world["b"] = "deploy fails"
    outcome = up.apply(survey_of(tmp_path, "a", "b"), QUIET)
    assert set(applied_plans(outcome.survey.inventory)) == {"a"}


def test_a_host_that_did_not_answer_is_not_deployed_and_fails_the_run(tmp_path: Path, world: dict[str, str]) -> None:
    inventory = an_inventory(tmp_path, "a", "dead")
    found = Survey(inventory, {}, {"a": a_plan("a")}, {"dead": UnreachableError("dead", "no route to host")})
    outcome = up.apply(found, QUIET)
    assert outcome.host_ok("a")
    assert outcome.why("dead") == "no route to host"
    assert not outcome.ok


def test_a_plan_with_a_problem_is_not_applied(tmp_path: Path, world: dict[str, str]) -> None:
    found = Survey(an_inventory(tmp_path, "a"), {}, {"a": a_plan("a", problems=("Port 443 is taken by nginx.",))}, {})
    outcome = up.apply(found, QUIET)
    assert outcome.deployed == {}
    assert outcome.why("a") == "Port 443 is taken by nginx."
