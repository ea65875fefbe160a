"""Starts pyinfra as a child process, shows what it does while it does it, and says per host what came of it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inhouse import paths
from inhouse.errors import DeployError
from inhouse.handover import EVENTS_VARIABLE, INVENTORY_VARIABLE, PLAN_VARIABLE, PLANS, Event
from inhouse.inventory import Inventory
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult
from inhouse.state import write_private

_PATIENCE_S = 20
"""How long an interrupted pyinfra may take to disconnect before it is killed."""

_TAIL_LINES = 15
"""Last lines of pyinfra's output that are shown when it fails without saying for which host."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while pyinfra ran. It has ended, and what is known is kept.

    Args:
        results: what came of every plan; hosts that were not finished are failed.
    """

    def __init__(self, results: dict[str, DeployResult]) -> None:
        super().__init__()
        self.results = results


@dataclass(frozen=True)
class Finished:
    """What is left of a run of pyinfra."""

    events: tuple[Event, ...]
    lines: tuple[str, ...]
    """All it printed, without decoration."""
    returncode: int
    interrupted: bool


def run_pyinfra(
    inventory: Inventory, plans: Sequence[Plan], *, dry: bool, on_line: Callable[[str], None] | None = None
) -> dict[str, DeployResult]:
    """Apply plans to their hosts, or in a dry run find out what would change.

    A host that fails does not stop the others.

    Args:
        inventory: the hosts; its secrets must be there.
        plans: what to apply. Those with problems are left out and reported as skipped.
        dry: change nothing.
        on_line: called with every line that pyinfra prints.

    Returns:
        A result for every plan, by host name.

    Raises:
        DeployError: pyinfra failed as a whole, before it came to any host.
        Interrupted: Ctrl-C; carries the results.
    """
    ready = [plan for plan in plans if not plan.problems]
    done = _run(inventory, ready, dry, on_line or (lambda line: None)) if ready else None
    results = {plan.host: skipped(plan) if done is None or plan.problems else result_of(plan, done) for plan in plans}
    if done is not None and done.interrupted:
        raise Interrupted(results)
    return results


def skipped(plan: Plan) -> DeployResult:
    """Return the result of a host whose plan has problems."""
    return DeployResult(host=plan.host, status="skipped", changes=(), error="\n".join(plan.problems))


def arguments(dry: bool) -> list[str]:
    """Return pyinfra's command line. It holds no secret: those travel in the inventory, in the child's memory.

    A dry run asks for JSON (which is thrown away) because pyinfra would otherwise ask on the terminal whether to go on
    when a host fails.
    """
    shim = Path(__file__).with_name("pyinfra_inventory.py")
    mode = ["--dry", "--json"] if dry else ["--yes"]
    return [sys.executable, "-m", "pyinfra", str(shim), str(paths.deploy_file()), *mode]


def _run(inventory: Inventory, plans: Sequence[Plan], dry: bool, on_line: Callable[[str], None]) -> Finished:
    plan_file = inventory.state_dir / "plan.json"
    events_file = inventory.state_dir / "events.jsonl"
    write_private(plan_file, PLANS.dump_json(tuple(plans), indent=2).decode() + "\n")
    write_private(events_file, "")
    environment = {
        **os.environ,
        INVENTORY_VARIABLE: str(inventory.path.resolve()),
        PLAN_VARIABLE: str(plan_file.resolve()),
        EVENTS_VARIABLE: str(events_file.resolve()),
        "PYINFRA_PROGRESS": "off",
        "PYTHONUNBUFFERED": "1",
    }
    child = _Child(arguments(dry), environment, {"@local": _local_name(inventory)}, on_line)
    returncode, interrupted = child.wait()
    finished = Finished(_events(events_file), tuple(child.lines), returncode, interrupted)
    if returncode != 0 and not finished.events and not _mentions(finished.lines, plans):
        raise DeployError("pyinfra failed before it reached a host:\n" + "\n".join(finished.lines[-_TAIL_LINES:]))
    return finished


def _local_name(inventory: Inventory) -> str:
    return next((host.name for host in inventory.hosts if host.connection.kind == "local"), "@local")


def _events(file: Path) -> tuple[Event, ...]:
    lines = file.read_text(encoding="utf-8").splitlines()
    # A killed child may have left half a line; what it did not finish writing did not finish.
    return tuple(Event.model_validate_json(line) for line in lines if line.endswith("}"))


def _mentions(lines: Iterable[str], plans: Sequence[Plan]) -> bool:
    return any(line.startswith(f"[{plan.host}]") for line in lines for plan in plans)


@dataclass
class _Child:
    """A pyinfra process in a session of its own: Ctrl-C reaches it through us, and it has no terminal to ask on."""

    command: Sequence[str]
    environment: Mapping[str, str]
    names: Mapping[str, str]
    """Names of hosts in pyinfra's output that are other names in the inventory."""
    on_line: Callable[[str], None]
    lines: list[str] = field(default_factory=list)

    def wait(self) -> tuple[int, bool]:
        """Run it to its end; return its exit status and whether it was interrupted."""
        with subprocess.Popen(
            self.command,
            cwd=paths.deploy_file().parent,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                self._follow(process)
                return process.wait(), False
            except KeyboardInterrupt:
                return self._end(process), True
            finally:
                _signal(process, signal.SIGKILL)

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        for raw in process.stderr:
            line = undecorated(raw, self.names)
            if line:
                self.lines.append(line)
                self.on_line(line)

    def _end(self, process: "subprocess.Popen[str]") -> int:
        _signal(process, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            _, rest = process.communicate(timeout=_PATIENCE_S)
            self.lines.extend(filter(None, (undecorated(line, self.names) for line in (rest or "").splitlines())))
            return process.returncode
        _signal(process, signal.SIGKILL)
        return process.wait()


def _signal(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Signal the child and what it started (a local host's commands); its group ends with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def undecorated(line: str, names: Mapping[str, str]) -> str:
    """Return a line of pyinfra's output without indentation and arrows, with the inventory's names of hosts."""
    plain = line.strip().removeprefix("-->").strip()
    for theirs, ours in names.items():
        if plain.startswith(f"[{theirs}]"):
            return f"[{ours}]{plain.removeprefix(f'[{theirs}]')}"
    return plain


_NOISE = ("Success", "No changes", "Skipped", "Connected", "Ready: ", "Error: executed ")
"""What pyinfra says of a host at every step; the step's own name has been shown."""


def worth_showing(line: str) -> str | None:
    """Return a line of pyinfra's output for a person who follows a run: steps, and what hosts say; None: not this one.

    Args:
        line: as `on_line` gets it.
    """
    if line.startswith("Starting operation: "):
        return line.removeprefix("Starting operation: ")
    if not line.startswith("["):
        return None
    host, _, said = line.partition("]")
    said = said.strip()
    return None if said.startswith(_NOISE) else f"  {host[1:]}: {said}"


def result_of(plan: Plan, done: Finished) -> DeployResult:
    """Return what came of one host."""
    mine = [event for event in done.events if event.host == plan.host]
    changes = tuple(event.operation for event in mine if event.operation and event.changed)
    if any(event.finished for event in mine):
        return DeployResult(host=plan.host, status="changed" if changes else "unchanged", changes=changes)
    return DeployResult(host=plan.host, status="failed", changes=changes, error=_reason(plan.host, mine, done))


def _reason(host: str, events: Sequence[Event], done: Finished) -> str:
    failed = [event for event in events if event.failed]
    if failed:
        said = "\n".join(failed[-1].output)
        return f"{failed[-1].operation}: failed.\n{said}".rstrip()
    if done.interrupted:
        return "Interrupted. What was finished is kept; run again to go on from there."
    said_of_host = [line for line in done.lines if line.startswith(f"[{host}]")]
    if said_of_host and not events:
        return said_of_host[-1].removeprefix(f"[{host}]").strip()
    return "Not finished. pyinfra ended with:\n" + "\n".join(done.lines[-_TAIL_LINES:])
