"""testinfra's connection to a host, as the inventory describes it: every command bounded, sudo's password by pipe."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.backend.local import LocalBackend
from testinfra.backend.ssh import SshBackend
from testinfra.host import Host

from inhouse.smoke.expect import shortened
from inhouse.smoke.subject import Subject

CONNECT_S: Final = 8
"""Seconds a host has to accept an SSH connection."""
COMMAND_S: Final = 30
"""Seconds a command on a host has; all of them only look."""


class NoAnswer(Exception):
    """The host did not let us in, or a command on it that only looks did not work."""


class _Bounded(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Adds to testinfra's backends what they lack: a time limit, and a password for sudo."""

    become_password: str | None = None

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        options = "-n" if self.become_password is None else "-S -p ''"
        return str(self.quote(f"sudo {options} /bin/sh -c %s", command))

    def run_local(self, command: str, *args: str) -> CommandResult:
        line = self.quote(command, *args)
        password = f"{self.become_password}\n".encode() if self.become_password is not None else b""
        try:
            done = subprocess.run(["/bin/sh", "-c", line], input=password, capture_output=True, timeout=COMMAND_S)
        except subprocess.TimeoutExpired as error:
            raise NoAnswer(f"a command on the host did not end within {COMMAND_S} s") from error
        return self.result(done.returncode, self.encode(line), done.stdout, done.stderr)


class _Ssh(_Bounded, SshBackend):  # type: ignore[misc]
    """The system's own ssh, so that its configuration, agent and jump hosts count."""

    def run_ssh(self, command: str) -> CommandResult:
        try:
            return super().run_ssh(command)
        except RuntimeError as error:  # testinfra's word for: ssh itself failed
            result: CommandResult = error.args[0]
            raise NoAnswer(result.stderr.strip() or "ssh ended without a word") from error


class _Local(_Bounded, LocalBackend):  # type: ignore[misc]
    """This machine."""


@contextmanager
def connect(subject: Subject) -> Iterator[Host]:
    """Yield testinfra's view of the host. Nothing is sent before the first command; one SSH connection serves all."""
    connection = subject.connection
    password = subject.become_password.get_secret_value() if subject.become_password else None
    if connection.kind == "local":
        yield _host(_Local("local", sudo=connection.become), password)
        return
    with TemporaryDirectory(prefix="inhouse-") as folder:
        control = Path(folder) / "ssh"
        backend = _Ssh(
            _hostspec(subject),
            ssh_config=connection.ssh_config_file,
            ssh_identity_file=connection.private_key_file,
            # Only the named key: an agent full of others makes the server hang up before it is tried.
            ssh_extra_args="-o BatchMode=yes" + (" -o IdentitiesOnly=yes" if connection.private_key_file else ""),
            timeout=CONNECT_S,
            controlpath=str(control),
            sudo=connection.become,
        )
        try:
            yield _host(backend, password)
        finally:
            if control.exists():
                leave = ["ssh", "-o", f"ControlPath={control}", "-O", "exit", connection.address]
                subprocess.run(leave, capture_output=True, timeout=CONNECT_S, check=False)


def output(host: Host, command: str, *arguments: str) -> str:
    """Return what a command on the host prints.

    Raises:
        NoAnswer: it failed; the text holds its own words.
    """
    answer = host.run(command, *arguments)
    if answer.rc != 0:
        said = shortened(answer.stderr or answer.stdout) or f"exit status {answer.rc}"
        raise NoAnswer(f"`{command.split()[0]}` on the host failed: {said}")
    return str(answer.stdout)


def _host(backend: Any, password: str | None) -> Host:
    backend.become_password = password
    host = Host(backend)
    backend.set_host(host)
    return host


def _hostspec(subject: Subject) -> str:
    connection = subject.connection
    address = f"[{connection.address}]" if ":" in connection.address else connection.address
    login = f"{quote(connection.user)}@" if connection.user else ""
    # 22 is what an unset port reads as: leave it to the ssh configuration, which may know better.
    port = f":{connection.port}" if connection.port != 22 else ""
    return f"{login}{address}{port}"
