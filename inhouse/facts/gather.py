"""Asks every host once, side by side, and returns facts or a clear error for each."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.resources import files

from inhouse import layout
from inhouse.errors import HostError, UnreachableError
from inhouse.facts import ssh
from inhouse.facts.model import HostFacts
from inhouse.facts.parse import parse
from inhouse.facts.sections import started
from inhouse.inventory import Connection, Host

_AT_ONCE = 32
"""Hosts asked at the same time: an ssh client takes about 5 MB and, for the key exchange, some 20 ms of a core."""

_TIMEOUT_S = 90
"""For one host. The slowest parts of the probe end themselves earlier: nvidia-smi after 20 s, others after 10 s."""


def gather(hosts: Sequence[Host], on_done: Callable[[str], None] | None = None) -> dict[str, HostFacts | HostError]:
    """Return, by host name and in the order of `hosts`, what each host said or why it said nothing.

    Args:
        hosts: the hosts to ask.
        on_done: called with a host's name as soon as it has answered or failed.
    """
    answers: dict[str, HostFacts | HostError] = {}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        waiting = {pool.submit(_ask, host): host.name for host in hosts}
        for future in as_completed(waiting):
            answers[waiting[future]] = future.result()
            if on_done:
                on_done(waiting[future])
    return {host.name: answers[host.name] for host in hosts}


def _ask(host: Host) -> HostFacts | HostError:
    try:
        return read(host)
    except HostError as error:
        return error


def read(host: Host) -> HostFacts:
    """Return the facts of one host: one connection, one script.

    Raises:
        UnreachableError: no connection, login or sudo refused, or no answer in time.
        FactsError: the host answered, but not with what the probe prints.
    """
    began = time.time()
    answer = _run_probe(host)
    middle = (began + time.time()) / 2
    if not started(answer.stdout):
        problem = ssh.explain(host.connection, answer.stderr)
        if problem is None and answer.status == ssh.FAILED and host.connection.kind == "ssh":
            problem = f"ssh failed: {_last_line(answer.stderr)}. Run: {ssh.login(host.connection)}"
        if problem:
            raise UnreachableError(host.name, problem)
    return parse(host.name, answer.stdout or answer.stderr, middle)


@dataclass(frozen=True)
class _Answer:
    """What the child process left."""

    status: int
    stdout: str
    stderr: str


def _run_probe(host: Host) -> _Answer:
    connection = host.connection
    command = _probe_command(host)
    try:
        done = subprocess.run(
            command if connection.kind == "local" else ssh.command(connection, command),
            input=_standard_input(connection),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},  # ssh's texts are told apart by their English words
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(
            host.name,
            f"the probe did not end within {_TIMEOUT_S} s. A GPU that fell off the bus or a network share that is gone "
            "hangs a host like this. On the host, run: dmesg | tail",
        ) from error
    except FileNotFoundError as error:
        raise UnreachableError(
            host.name, f"`{error.filename}` is not installed here. Run: apt-get install openssh-client"
        ) from error
    return _Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def _probe_command(host: Host) -> list[str]:
    return [
        *("sh", "-c", _script("as_root.sh"), "inhouse-probe", _mode(host.connection)),
        host.settings.ollama_models_dir,
        *(layout.OPT, layout.OLLAMA_CURRENT, layout.OPEN_WEBUI_CURRENT),
        *(layout.FLEET_MARKER, layout.TLS_CERTIFICATE),
    ]


def _mode(connection: Connection) -> str:
    if not connection.become:
        return "plain"
    return "sudo-password" if connection.become_password else "sudo"


def _standard_input(connection: Connection) -> bytes:
    script = _script("probe.sh")
    if connection.become and connection.become_password:
        script = f"{connection.become_password.get_secret_value()}\n{script}"
    return script.encode()


def _script(name: str) -> str:
    return files("inhouse.facts").joinpath(name).read_text(encoding="utf-8")


def _text(output: bytes) -> str:
    return output.decode("utf-8", errors="replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"
