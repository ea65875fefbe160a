"""The machine the lab runs on: its Docker daemon, started here when it can be, and mmdebstrap.

`python -m inhouse.lab.controller start` and `… stop` are for scripts that want the daemon to outlive one lab. `start`
prints `started` where it had to start one; that script alone calls `stop` at its end (`.ci/engine` does both).
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import docker
import stamina
from docker.errors import DockerException

from inhouse.errors import LabError
from inhouse.lab.paths import LAB_LABEL, cache_dir, one_at_a_time

PACKAGES = ("docker.io", "iptables", "mmdebstrap", "openssh-client")
"""What a bare Debian machine needs to run a lab."""
START_TIMEOUT_S = 60.0
_WITHOUT_HOSTS = "What needs no hosts works without: `inhouse plan --hardware 'rtx-4090, ram 64'`, `make unit`."


def client() -> docker.DockerClient:
    """A client of a daemon that answers; starts the daemon where there is none and this process is root.

    Raises:
        LabError: no daemon answers and none can be started; says what is missing and how to get it.
    """
    answer = _connect()
    if isinstance(answer, docker.DockerClient):
        return answer
    if start_where_allowed():
        _for_labs_only().touch()
    answer = _connect()
    if isinstance(answer, docker.DockerClient):
        return answer
    raise LabError(_how_to_get_docker(answer))


def have_mmdebstrap() -> bool:
    """Whether root file systems can be made here; installs the package where this process is root and apt is there."""
    if shutil.which("mmdebstrap") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install(["mmdebstrap"])
    return shutil.which("mmdebstrap") is not None


def start_where_allowed() -> bool:
    """Starts a Docker daemon unless one answers, where this process is root; True when this call started it.

    Raises:
        LabError: as `start`, or this process is not root, or the engine is to be another than this machine's.
    """
    answer = _connect()
    if isinstance(answer, docker.DockerClient):
        return False
    if os.geteuid() != 0 or "DOCKER_HOST" in os.environ:
        raise LabError(_how_to_get_docker(answer))
    return start()


def start() -> bool:
    """Starts a Docker daemon unless one answers; True when this call started it.

    Raises:
        LabError: the packages cannot be installed, or the daemon ends at once.
    """
    with one_at_a_time("dockerd"):
        if isinstance(_connect(), docker.DockerClient):
            return False
        if shutil.which("dockerd") is None:
            install(PACKAGES)
        if _started_by_package():
            return True
        log = cache_dir() / "dockerd.log"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                ["dockerd", "--pidfile", str(_pid_file())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_for(daemon, log)
        return True


def stop() -> bool:
    """Ends the daemon that `start` started; True when there was one. A daemon of the system is left alone."""
    try:
        pid = int(_pid_file().read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    for attempt in stamina.retry_context(on=_StillThereError, timeout=START_TIMEOUT_S, attempts=None, wait_max=1.0):
        with attempt:
            if _alive(pid):
                raise _StillThereError(f"dockerd, process {pid}, did not end")
    _pid_file().unlink(missing_ok=True)
    return True


def stop_unless_used() -> bool:
    """Ends the daemon that `start` started; True when there was one. Hosts of a lab that are left end it as they go."""
    answer = _connect()
    if isinstance(answer, docker.DockerClient) and answer.containers.list(all=True, filters={"label": LAB_LABEL}):
        _for_labs_only().touch()
        return False
    return stop()


def stop_unneeded() -> bool:
    """Ends the daemon after the last lab if it was started for labs only, not by a script; True if it was."""
    needed = not _for_labs_only().exists()
    _for_labs_only().unlink(missing_ok=True)
    return not needed and stop()


class _StillThereError(LabError):
    """The daemon has not ended yet."""


class _NotYetError(LabError):
    """The daemon does not answer yet."""


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _pid_file() -> Path:
    return cache_dir() / "dockerd.pid"


def _for_labs_only() -> Path:
    """There while the daemon runs only because a lab needed it."""
    return cache_dir() / "dockerd.for-labs-only"


def _connect() -> docker.DockerClient | DockerException:
    try:
        connection = docker.from_env()
        connection.ping()
    except DockerException as error:
        return error
    return connection


def _started_by_package() -> bool:
    """Under systemd the package docker.io starts its service itself: then it is the system's daemon, not ours."""
    if not Path("/run/systemd/system").is_dir():
        return False
    subprocess.run(["systemctl", "start", "docker.service"], check=False, capture_output=True)
    return isinstance(_connect(), docker.DockerClient)


def _wait_for(daemon: subprocess.Popen[bytes], log: Path) -> None:
    for attempt in stamina.retry_context(on=_NotYetError, timeout=START_TIMEOUT_S, attempts=None, wait_max=1.0):
        with attempt:
            if daemon.poll() is not None:
                raise LabError(
                    f"dockerd ended at once (exit {daemon.returncode}); its log is {log}. Last lines:\n{_tail(log)}\n"
                    "A machine that may not start containers (no rights, no kernel support) cannot run a lab. Needed: "
                    f"a machine or a virtual machine whose root may. {_WITHOUT_HOSTS}"
                )
            if not isinstance(_connect(), docker.DockerClient):
                raise _NotYetError(f"dockerd does not answer; its log is {log}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-5:])


def install(packages: Sequence[str]) -> None:
    """Installs Debian packages; for root.

    Raises:
        LabError: there is no apt-get, or it fails.
    """
    if shutil.which("apt-get") is None:
        raise LabError(f"no apt-get found; needed: {', '.join(packages)}. Install them, then repeat.")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            raise LabError(f"`{' '.join(command)}` failed (exit {done.returncode}):\n{last}")


def _how_to_get_docker(error: DockerException) -> str:
    return (
        f"The lab's hosts are Docker containers, and no Docker daemon answers here ({error}). Needed: a Docker Engine "
        "that this user may use. On Debian and Ubuntu run `sudo apt-get install docker.io mmdebstrap` and "
        '`sudo usermod -aG docker "$USER"`, then log in again; or run the same command as root, which installs and '
        f"starts the engine itself. On a Mac or Windows start Docker Desktop. {_WITHOUT_HOSTS}"
    )


if __name__ == "__main__":
    actions = {"start": start_where_allowed, "stop": stop_unless_used}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit("usage: python -m inhouse.lab.controller start|stop")
    logging.getLogger("stamina").setLevel(logging.ERROR)  # waiting is not worth a word; giving up raises
    try:
        done = actions[sys.argv[1]]()
    except LabError as error:
        sys.exit(str(error))
    if done and sys.argv[1] == "start":
        sys.stdout.write("started\n")
