"""Starting pyinfra and saying what came of it, with a small program in pyinfra's place."""

import json
import os
import sys
from pathlib import Path

import pytest

from inhouse import runners
from inhouse.errors import DeployError
from inhouse.handover import Event
from inhouse.inventory import Inventory
from inhouse.results import DeployResult
from inhouse.runners import Finished, Interrupted, arguments, result_of, run_pyinfra, undecorated, worth_showing
from tests.samples import a_plan

PLAN = a_plan("gpu1")


def finished(*events: Event, lines: tuple[str, ...] = (), interrupted: bool = False) -> Finished:
    return Finished(events, lines, 0, interrupted)


def test_changes_are_named_in_order() -> None:
    done = finished(
        Event(host="gpu1", operation="A", changed=True),
        Event(host="gpu2", operation="B", changed=True),
        Event(host="gpu1", operation="C"),
        Event(host="gpu1", finished=True),
    )
    assert result_of(PLAN, done) == DeployResult(host="gpu1", status="changed", changes=("A",))


def test_no_change_is_unchanged() -> None:
    done = finished(Event(host="gpu1", operation="A"), Event(host="gpu1", finished=True))
    assert result_of(PLAN, done).status == "unchanged"


def test_a_failed_operation_is_named_with_what_it_said() -> None:
    done = finished(
        Event(host="gpu1", operation="A", changed=True),
        Event(host="gpu1", operation="B", failed=True, output=("why", "what to do")),
        Event(host="gpu1"),
    )
    result = result_of(PLAN, done)
    assert (result.status, result.changes, result.error) == ("failed", ("A",), "B: failed.\nwhy\nwhat to do")


def test_a_host_without_connection_has_the_reason_pyinfra_printed() -> None:
    done = finished(lines=("[gpu2] Connected", "[gpu1] Authentication error (username=root)"))
    assert result_of(PLAN, done).error == "Authentication error (username=root)"


def test_a_host_that_was_not_finished_is_failed_even_if_nothing_failed_on_it() -> None:
    done = finished(Event(host="gpu1", operation="A", changed=True), Event(host="gpu1"), lines=("An error",))
    assert result_of(PLAN, done).status == "failed"
    assert "An error" in result_of(PLAN, done).error


def test_an_interrupted_host_says_so() -> None:
    done = finished(Event(host="gpu1", operation="A", changed=True), Event(host="gpu1"), interrupted=True)
    assert result_of(PLAN, done).error.startswith("Interrupted.")


def test_lines_lose_decoration_and_local_hosts_get_their_name() -> None:
    names = {"@local": "this-machine"}
    assert undecorated("--> Starting operation: A\n", names) == "Starting operation: A"
    assert undecorated("    [@local] Success\n", names) == "[this-machine] Success"
    assert undecorated("    [gpu1] No changes\n", names) == "[gpu1] No changes"


def test_a_run_asks_nothing_and_a_dry_run_changes_nothing() -> None:
    assert arguments(dry=False)[-1] == "--yes"
    assert arguments(dry=True)[-2:] == ["--dry", "--json"]


CHILD = """
import json, os, sys, time
plans = json.load(open(os.environ["INHOUSE_PLAN"]))
print("--> Loading", sys.argv[1:], file=sys.stderr, flush=True)
with open(os.environ["INHOUSE_EVENTS"], "a") as events:
    for plan in plans:
        print(json.dumps({"host": plan["host"], "operation": "A", "changed": True}), file=events, flush=True)
    {middle}
    for plan in plans:
        print(json.dumps({"host": plan["host"], "finished": True}), file=events)
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path, (), None)


def use_child(monkeypatch: pytest.MonkeyPatch, middle: str = "pass") -> None:
    code = CHILD.replace("{middle}", middle)
    monkeypatch.setattr(runners, "arguments", lambda dry: [sys.executable, "-c", code, f"dry={dry}"])


def test_a_run_returns_a_result_for_every_plan(monkeypatch: pytest.MonkeyPatch, inventory: Inventory) -> None:
    use_child(monkeypatch)
    lines: list[str] = []
    plans = [PLAN, a_plan("gpu2", problems=("Disk too small.", "No systemd."))]
    results = run_pyinfra(inventory, plans, dry=False, on_line=lines.append)
    assert {name: result.status for name, result in results.items()} == {"gpu1": "changed", "gpu2": "skipped"}
    assert results["gpu2"].error == "Disk too small.\nNo systemd."
    assert lines == ["Loading ['dry=False']"]


def test_nothing_is_started_for_hosts_with_problems(monkeypatch: pytest.MonkeyPatch, inventory: Inventory) -> None:
    use_child(monkeypatch, "sys.exit(1)")
    results = run_pyinfra(inventory, [a_plan("gpu1", problems=("No.",))], dry=True)
    assert results["gpu1"].status == "skipped"
    assert not inventory.state_dir.exists()


def test_plans_are_written_for_their_owner_alone(monkeypatch: pytest.MonkeyPatch, inventory: Inventory) -> None:
    use_child(monkeypatch)
    run_pyinfra(inventory, [PLAN], dry=True)
    file = inventory.state_dir / "plan.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())[0]["host"] == "gpu1"


def test_an_interruption_ends_the_child_and_keeps_what_is_known(
    monkeypatch: pytest.MonkeyPatch, inventory: Inventory
) -> None:
    use_child(monkeypatch, "print('pid', os.getpid(), file=sys.stderr, flush=True); time.sleep(60)")
    pids: list[int] = []

    def interrupt(line: str) -> None:
        if line.startswith("pid "):
            pids.append(int(line.split()[1]))
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stop:
        run_pyinfra(inventory, [PLAN], dry=False, on_line=interrupt)
    result = stop.value.results["gpu1"]
    assert (result.status, result.changes) == ("failed", ("A",))
    assert result.error.startswith("Interrupted.")
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Starting operation: Ollama answers on loopback", "Ollama answers on loopback"),
        ("[gpu1]  qwen3:8b: 17 %, 42 of 241 MiB", "  gpu1: qwen3:8b: 17 %, 42 of 241 MiB"),
        ("[gpu1]  No changes", None),
        ("[gpu1]  Success", None),
        ("Operation   Hosts   Success", None),
    ],
)
def test_a_person_sees_steps_and_what_hosts_say(line: str, shown: str | None) -> None:
    assert worth_showing(line) == shown


def test_half_a_line_of_a_killed_child_is_ignored(monkeypatch: pytest.MonkeyPatch, inventory: Inventory) -> None:
    use_child(monkeypatch, 'events.write(\'{"host": "gpu1", "fini\'); events.flush(); os._exit(9)')
    assert run_pyinfra(inventory, [PLAN], dry=False)["gpu1"].status == "failed"


def test_failing_before_any_host_is_an_error(monkeypatch: pytest.MonkeyPatch, inventory: Inventory) -> None:
    code = "import sys; print('--> Error: no secrets yet', file=sys.stderr); sys.exit(1)"
    monkeypatch.setattr(runners, "arguments", lambda dry: [sys.executable, "-c", code])
    with pytest.raises(DeployError, match="no secrets yet"):
        run_pyinfra(inventory, [PLAN], dry=False)
