"""What a run of pyinfra needs before its first operation: plan, secrets, sudo's password, a record of what happened."""

import os
import signal
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

from pydantic import SecretStr
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_state, host, state

from inhouse.handover import EVENTS_VARIABLE, Event
from inhouse.planner.plan import Plan
from inhouse.secret_settings import Secrets

# The file lies in the session's own tmpfs where there is one, so that it cannot outlive the login.
_MAKE_ASKPASS = (
    'umask 077; f=$(mktemp "${XDG_RUNTIME_DIR:-/tmp}/inhouse-XXXXXXXXXXXX") '
    '&& cat >"$f" && chmod 0700 "$f" && echo "$f"'
)

_OUTPUT_LINES = 25
"""Last lines of a failed operation's output that are kept as its reason."""


_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Hidden(Generic[_Value]):
    """Something in a host's data that pyinfra never prints, not even when asked to show the data."""

    value: _Value = field(repr=False)

    def to_json(self) -> str:
        """Return what `pyinfra INVENTORY debug-inventory` shows."""
        return "(hidden)"


def plan() -> Plan:
    """Return the plan of the host that is being deployed.

    (Read from `host_data`: `host.data.host` is an attribute of pyinfra's own.)
    """
    return Plan.of({field.name: host.host_data[field.name] for field in fields(Plan)})


def secrets() -> Secrets:
    """Return the inventory's secrets; they stay in this process and in what is piped to the host."""
    hidden: Hidden[Secrets] = host.host_data["secrets"]
    return hidden.value


def ca_certificate() -> str:
    """Return the root certificate (PEM) of the fleet."""
    pem: str = host.host_data["ca_certificate"]
    return pem


def begin() -> None:
    """Prepare this host's session; the first call of a deploy."""
    _record_events()
    _end_when_interrupted()
    password: Hidden[SecretStr | None] = host.host_data["become_password"]
    if password.value is not None:
        _give_sudo_its_password(password.value)


def _give_sudo_its_password(password: SecretStr) -> None:
    """Hand sudo its password by a file that only the login user can read.

    pyinfra itself puts the password on the command line, where every user of the host sees it in the process list. It
    leaves an askpass program alone that it finds in `connector_data`, and removes it when it disconnects.
    """
    key = f"sudo_askpass_path__{host.get_temp_dir_config()}"  # type: ignore[no-untyped-call]
    if host.connector_data.get(key):
        return
    quoted = "'" + password.get_secret_value().replace("'", "'\\''") + "'"
    body = f"#!/bin/sh\nprintf '%s\\n' {quoted}\n"
    done, output = host.run_shell_command(StringCommand(_MAKE_ASKPASS), _stdin=[body])
    if done and output.stdout_lines:
        host.connector_data[key] = output.stdout_lines[-1]


def _end_when_interrupted() -> None:
    """Have Ctrl-C end the run within a moment.

    pyinfra disconnects with the pool of workers that also runs operations, so it would wait for a download to end
    before it disconnects; the workers are ended first here. Programs on hosts end when nobody reads their output.
    """
    run: State = ctx_state.get()  # type: ignore[no-untyped-call]

    def end(number: int, frame: FrameType | None) -> None:
        run.pool.kill(block=False)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGINT, end)


def _record_events() -> None:
    file = os.environ.get(EVENTS_VARIABLE)
    if file and not any(isinstance(handler, Recorder) for handler in state.callback_handlers):
        state.add_callback_handler(Recorder(Path(file)))  # type: ignore[no-untyped-call]


class Recorder(BaseStateCallback):
    """Appends what every operation did on every host to a file, as soon as it is known.

    pyinfra marks an operation as complete only after its callbacks have run; so an operation is recorded when the next
    one starts on that host, or when the host is disconnected, which happens after an interruption as well.

    (The base class has static methods; pyinfra calls them on the handler, so methods serve.)
    """

    def __init__(self, file: Path) -> None:
        """Append to `file`."""
        self._file = file
        self._written: set[tuple[str, str]] = set()

    def operation_host_start(self, state: State, host: Host, op_hash: str) -> None:  # type: ignore[override]
        """Record what has finished on this host so far."""
        self._flush(state, host)

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]
        """Record the rest: what finished last, and in a dry run all that would change."""
        self._flush(state, host, planned=not state.is_executing)
        unfinished = sum(not data.operation_meta.is_complete() for data in state.ops[host].values())
        finished = host not in state.failed_hosts and not (state.is_executing and unfinished)
        self._write(Event(host=host.host_data["host"], finished=finished))

    def _flush(self, state: State, host: Host, planned: bool = False) -> None:
        for op_hash in list(host.op_hash_order):
            data = state.ops[host].get(op_hash)
            if data is None or (host.name, op_hash) in self._written:
                continue
            if data.operation_meta.is_complete() or planned:
                self._written.add((host.name, op_hash))
                name = " ".join(sorted(state.op_meta[op_hash].names))
                self._write(_outcome(host.host_data["host"], name, data.operation_meta))

    def _write(self, event: Event) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(event.model_dump_json() + "\n")


def _outcome(host: str, name: str, meta: OperationMeta) -> Event:
    if not meta.is_complete():
        return Event(host=host, operation=name, changed=meta.will_change)
    failed = meta.did_error()
    lines = [line for line in (meta.stdout_lines + meta.stderr_lines) if line.strip()]
    output = tuple(lines[-_OUTPUT_LINES:]) if failed else ()
    return Event(host=host, operation=name, changed=meta.did_change(), failed=failed, output=output)
