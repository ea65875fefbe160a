"""What Ansible does, as ansible-runner tells it, in words for a person: lines as it happens, then a result per host."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inhouse.results import FileChange, RoleResult

_REBOOT = ("reboot", "ansible.builtin.reboot")
_SAYING = ("debug", "ansible.builtin.debug")
_SPEAKING = ("fail", "assert", "ansible.builtin.fail", "ansible.builtin.assert")
"""Modules whose message is the whole story; what failed in others needs the name of the task."""
_NO_STEP = frozenset(
    ["include_tasks", "include_role", "set_fact", "gather_facts", "setup", "debug", "assert", "validate_argument_spec"]
)
"""Modules whose tasks only lead to the next step, or speak for themselves."""
_NEEDED = "_needed"
_REBOOT_FACT = f"_reboot{_NEEDED}"
"""A role sets ROLE_reboot_needed where a reboot is due that its variable ROLE_reboot does not allow."""
_LAST_LINES = 5
"""How much of a failed command's output is told."""
_HIDDEN = "censored"
"""What Ansible has in place of a result that holds secrets."""


@dataclass
class _Host:
    """One host so far."""

    changes: list[str] = field(default_factory=list)
    differences: list[FileChange] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    error: str = ""
    """Of the task that failed last. A rescue may have mended it: the statistics at the end tell."""
    unreachable: bool = False
    reboot_setting: str = ""


@dataclass
class Story:
    """A run of Ansible so far."""

    hosts: dict[str, _Host] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    """Every line Ansible printed outside of tasks: warnings, and why it could not begin."""
    failed: frozenset[str] | None = None
    """Hosts that ended with a failure; None as long as the run has not come to its end."""

    def add(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Take an event; give the lines that are worth showing."""
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if kind == "verbose" and event.get("stdout"):
            self.said.append(event["stdout"])
        elif kind == "playbook_on_stats":
            self.failed = frozenset([*data["failures"], *data["dark"]])
        elif kind == "playbook_on_task_start" and _short(data) not in _NO_STEP:
            yield f"{_role(data)}{data['task']}"
        elif kind.startswith("runner_on_") and "host" in data:
            yield from self._result(kind, data)

    def _result(self, kind: str, data: Mapping[str, Any]) -> Iterator[str]:
        name, task, res = data["host"], data["task"], data.get("res") or {}
        host = self.hosts.setdefault(name, _Host())
        match kind:
            case "runner_on_unreachable":
                host.unreachable, host.error = True, unreachable(data)
                yield f"  {name}: {task} … unreachable"
            case "runner_on_failed" if not data.get("ignore_errors"):
                host.error = failure(name, data)
                yield f"  {name}: {task} … failed"
            case "runner_on_ok":
                yield from self._fine(name, host, data, res)

    def _fine(self, name: str, host: _Host, data: Mapping[str, Any], res: Mapping[str, Any]) -> Iterator[str]:
        for fact, needed in (res.get("ansible_facts") or {}).items():
            if fact.endswith(_REBOOT_FACT) and needed is True:
                host.reboot_setting = fact.removesuffix(_NEEDED)
        if data["task_action"] in _SAYING and isinstance(res.get("msg"), str):
            said = _without_name(name, _paragraph(res["msg"]))
            # In check mode, "Would be installed: …" is a change and not just a word.
            if res.get("changed"):
                host.changes.append(f"{_role(data)}{said}")
            else:
                host.told.append(said)
            yield f"  {name}: {said}"
        elif res.get("changed"):
            host.changes.append(f"{_role(data)}{data['task']}")
            host.differences += [FileChange(task=data["task"], difference=one) for one in differences(res)]
            yield f"  {name}: {data['task']} … changed"

    def results(self, names: Sequence[str], *, interrupted: bool = False) -> dict[str, RoleResult]:
        """Return what came of each host."""
        return {name: self._of(name, interrupted) for name in names}

    def _of(self, name: str, interrupted: bool) -> RoleResult:
        host = self.hosts.get(name) or _Host()
        error = self._why(name, host, interrupted)
        status = "failed" if error else "changed" if host.changes else "unchanged"
        return RoleResult(
            host=name,
            status=status,
            changes=tuple(dict.fromkeys(host.changes)),
            differences=tuple(host.differences),
            error=error,
            told=tuple(host.told),
            reboot_setting=host.reboot_setting,
        )

    def _why(self, name: str, host: _Host, interrupted: bool) -> str:
        if self.failed is not None:
            if name not in self.hosts:
                return "Ansible did not come to this host. It said: " + " ".join(self.said[-_LAST_LINES:])
            return host.error if name in self.failed else ""
        if interrupted and not host.unreachable:
            return "Interrupted. What was finished is kept; run again to go on from there."
        return host.error or "Not finished. Ansible ended with: " + " ".join(self.said[-_LAST_LINES:])


def unreachable(data: Mapping[str, Any]) -> str:
    """Say why a host could not be reached (any more), and what to do."""
    said = _paragraph(str((data.get("res") or {}).get("msg", ""))).removeprefix("Task failed: ")
    if data["task_action"] in _REBOOT:
        return f"It did not come back from a reboot ({said}). {AT_THE_CONSOLE}"
    return f"Connection lost or refused at the task '{data['task']}': {said}"


AT_THE_CONSOLE = (
    "Look at its console (screen, BMC or hypervisor): a question of the boot loader or of the firmware (enrolment of a "
    "key for Secure Boot), or an emergency shell, wants an answer; where the new kernel or driver hangs, choose an "
    "earlier kernel under the boot menu's advanced options. When it answers to SSH again, run the same command again."
)


def failure(host: str, data: Mapping[str, Any]) -> str:
    """Say in one paragraph why a task failed: its own words where it has some, else what the module or command said."""
    res = data.get("res") or {}
    if _HIDDEN in res:
        return f"{data['task']}: failed. Its output is hidden, because it may hold secrets."
    failed = [one for one in res.get("results") or () if isinstance(one, Mapping) and one.get("failed")]
    said = " ".join(_message(one) for one in failed or [res])
    if data["task_action"] in _REBOOT:
        return f"It was told to reboot and did not come back ({said}). {AT_THE_CONSOLE}"
    if data["task_action"] in _SPEAKING:
        return _without_name(host, said)
    return f"{data['task']}: {said}"


def _message(res: Mapping[str, Any]) -> str:
    if _HIDDEN in res:
        return "(hidden)"
    output = str(res.get("stderr") or res.get("stdout") or res.get("module_stderr") or "")
    lines = output.strip().splitlines()[-_LAST_LINES:]
    said = _paragraph(str(res.get("msg") or "failed"))
    rest = _paragraph(" ".join(lines))
    return said if not rest or rest in said else f"{said}: {rest}"


def differences(res: Mapping[str, Any]) -> Iterator[str]:
    """Give what Ansible's `--diff` found, as a text for each file."""
    for source in [res, *(one for one in res.get("results") or () if isinstance(one, Mapping))]:
        found = source.get("diff") or []
        for one in found if isinstance(found, list) else [found]:
            if text := _difference(one):
                yield text


def _difference(one: Mapping[str, Any]) -> str:
    if prepared := one.get("prepared"):
        return str(prepared).strip()
    before, after = one.get("before"), one.get("after")
    if not isinstance(before, str) or not isinstance(after, str) or before == after:
        return ""
    path = str(one.get("after_header") or one.get("before_header") or "")
    names = (str(one.get("before_header") or path), path)
    return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))


def _role(data: Mapping[str, Any]) -> str:
    return f"{data['role']}: " if data.get("role") else ""


def _short(data: Mapping[str, Any]) -> str:
    return str(data.get("task_action", "")).rpartition(".")[2]


def _without_name(host: str, text: str) -> str:
    """Return the text without the host's name in front: every output of inhouse names the host itself."""
    return text.removeprefix(f"{host}: ")


def _paragraph(text: str) -> str:
    return " ".join(text.split())
