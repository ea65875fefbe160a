"""Runs the smoke tests of many hosts side by side, each host's in a process of its own with a bound on its time."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Final

from inhouse.errors import VerifyError
from inhouse.inventory import Host, Inventory
from inhouse.planner.plan import Plan
from inhouse.results import SmokeResult, SmokeTest
from inhouse.smoke.bounds import host_bound_s
from inhouse.smoke.expect import paragraph, shortened
from inhouse.smoke.record import keep_results, write_junit
from inhouse.smoke.subject import Subject
from inhouse.tls import fingerprint

__all__ = ["keep_results", "run", "write_junit"]

HOSTS_PER_CORE: Final = 4
"""Tests mostly wait for their host; starting them is what costs the controller time."""

CHILD: Final = (sys.executable, "-m", "inhouse.smoke.child")

OnTest = Callable[[str, SmokeTest], None]


def run(
    inventory: Inventory,
    plans: Sequence[Plan],
    on_done: Callable[[SmokeResult], None] | None = None,
    on_test: OnTest | None = None,
) -> dict[str, SmokeResult]:
    """Run the smoke tests of every host that `plans` describe, and keep the results beside the inventory.

    A host that cannot be reached, hangs or crashes its tests has failing results; the others go on.

    Args:
        inventory: how to reach the hosts, and the secrets that open their service.
        plans: what each host must be.
        on_done: called with each host's result as it comes, from this thread.
        on_test: called with a host's name and each of its tests as it ends, from other threads.

    Returns:
        The results by host.

    Raises:
        VerifyError: the inventory has no secrets or no fleet certificate, or lacks a host that a plan describes.
    """
    subjects = [subject_of(inventory, plan) for plan in plans]
    results: dict[str, SmokeResult] = {}
    crew = Crew()
    with ThreadPoolExecutor(max(1, min(len(subjects), HOSTS_PER_CORE * (os.cpu_count() or 1)))) as pool:
        try:
            for future in as_completed([pool.submit(crew.test, subject, on_test) for subject in subjects]):
                result = future.result()
                results[result.host] = result
                if on_done:
                    on_done(result)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.dismiss()
    ordered = {plan.host: results[plan.host] for plan in plans}
    keep_results(inventory, ordered)
    return ordered


def subject_of(inventory: Inventory, plan: Plan) -> Subject:
    """Return what the tests of one host must know.

    Raises:
        VerifyError: something of it is missing.
    """
    host = _host(inventory, plan.host)
    if inventory.secrets is None or not inventory.ca_certificate.exists():
        raise VerifyError(
            f"{inventory.path} has no secrets or no {inventory.ca_certificate.name} yet; the tests need the API token, "
            f"the administrator's password and the fleet's certificate. Run: inhouse init {inventory.path}"
        )
    certificate = inventory.ca_certificate.read_text(encoding="ascii")
    return Subject(
        plan=plan,
        inventory=str(inventory.path),
        connection=replace(host.connection, become_password=None),
        become_password=host.connection.become_password,
        ca_certificate=certificate,
        fleet=fingerprint(certificate),
        api_token=inventory.secrets.api_token,
        admin_password=inventory.secrets.open_webui_admin_password,
    )


def _host(inventory: Inventory, name: str) -> Host:
    for host in inventory.hosts:
        if host.name == name:
            return host
    raise VerifyError(f"A plan describes {name}, which is not in {inventory.path}. Run: inhouse plan {inventory.path}")


@dataclass
class _Story:
    """What one child process told so far."""

    tests: list[SmokeTest] = field(default_factory=list)
    running: str = "the start of the tests"
    end: dict[str, dict[str, float]] | None = None

    def hear(self, line: str) -> SmokeTest | None:
        """Take in one line; returns the test it reports, if it reports one."""
        try:
            event = json.loads(line)
        except ValueError:  # the half of a line that a killed child left
            return None
        if "begin" in event:
            self.running = event["begin"]
        elif "end" in event:
            self.end = event["end"]
        else:
            self.tests.append(SmokeTest.model_validate(event["test"]))
            return self.tests[-1]
        return None


class Crew:
    """The child processes at work; none of them outlives the run."""

    def __init__(self, command: Sequence[str] = CHILD) -> None:
        """Use `command` as the child: it reads a subject and tells of its tests, line by line."""
        self._command = command
        self._children: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._dismissed = False

    def test(self, subject: Subject, on_test: OnTest | None, bound_s: float | None = None) -> SmokeResult:
        """Test one host in a child process and return its result, whatever happens to the child."""
        bound = bound_s or host_bound_s(subject.plan)
        story = _Story()
        with tempfile.TemporaryFile("w+", encoding="utf-8") as noise:
            child = self._start(noise.fileno())
            watchdog = threading.Timer(bound, child.kill)
            watchdog.start()
            try:
                _tell(child, subject.revealed())
                for line in child.stdout or ():
                    if (test := story.hear(line)) and on_test:
                        on_test(subject.plan.host, test)
                child.wait()
            finally:
                hung = not watchdog.is_alive()
                watchdog.cancel()
                with self._lock:
                    self._children.discard(child)
            noise.seek(0)
            return _result(subject, story, bound if hung else None, noise.read())

    def dismiss(self) -> None:
        """End every child that still runs: the run is over, or was interrupted."""
        with self._lock:
            self._dismissed = True
            for child in self._children:
                child.kill()

    def _start(self, errors: int) -> "subprocess.Popen[str]":
        with self._lock:
            if self._dismissed:
                raise VerifyError("The tests were interrupted.")
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            self._children.add(child)
            return child


def _tell(child: "subprocess.Popen[str]", text: str) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(text)
        child.stdin.close()
    except BrokenPipeError:  # it died at once: its end says so
        return


def _result(subject: Subject, story: _Story, hung_after: float | None, noise: str) -> SmokeResult:
    """Return a host's result; where the child did not come to its end, that is a failed test of its own."""
    tests = list(story.tests)
    if story.end is None:
        tests.append(_unfinished(subject, story, hung_after, noise))
    end = story.end or {"tokens_per_second": {}, "memory_used_mib": {}}
    return SmokeResult(
        host=subject.plan.host,
        note=subject.plan.note,
        tests=tuple(tests),
        tokens_per_second=end["tokens_per_second"],
        memory_used_mib={tag: int(mib) for tag, mib in end["memory_used_mib"].items()},
    )


def _unfinished(subject: Subject, story: _Story, hung_after: float | None, noise: str) -> SmokeTest:
    last_words = shortened(subject.without_secrets(noise)[-300:], 300) or "no word"
    how = f"they were stopped after {hung_after:.0f} s" if hung_after else f"their process ended early ({last_words})"
    message = paragraph(
        found=f"{how}, at: {story.running}",
        expected="every test ends",
        cause="the host hangs at that point"
        if hung_after
        else "the controller has no memory left, or a defect of ours",
        run=subject.on_host("systemctl --failed"),
    )
    return SmokeTest(
        name="The smoke tests come to their end", outcome="failed", seconds=hung_after or 0.0, message=message
    )
