"""Runs the roles of the machine layer: ansible-playbook as a child process, each task told as it happens."""

import json
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ansible_runner.interface import init_runner

from inhouse import paths, vault
from inhouse.connection import Connection
from inhouse.errors import DeployError
from inhouse.inventory import Inventory
from inhouse.planner.plan import Plan
from inhouse.results import RoleResult, RolesInterrupted
from inhouse.role_events import Story

LEFT_OUT = "plan,services"
"""Tags of roles/site.yml that are inhouse's own part: the plan is made, and the services follow."""
_HOSTS_AT_ONCE = 25
"""Hosts on which Ansible works side by side; each takes a process of some 60 MB on the controller."""
_PATIENCE_S = 10
"""How long an interrupted Ansible may take to end; then it is told to terminate, and after as long again, killed."""
_TAIL_LINES = 15

Event = dict[str, Any]


def run_roles(
    inventory: Inventory, plans: Sequence[Plan], *, check: bool, on_line: Callable[[str], None] | None = None
) -> dict[str, RoleResult]:
    """Run on each host the roles its plan names, or in check mode find out what they would change.

    A host that fails does not stop the others.

    Args:
        inventory: where the hosts are from.
        plans: of the hosts; those without roles are left out. Where none has any, no Ansible is started.
        check: change nothing, and keep the differences of files.
        on_line: called with every line that is worth showing.

    Returns:
        A result for every plan with roles, by host name.

    Raises:
        DeployError: Ansible failed as a whole, before it came to any host.
        RolesInterrupted: Ctrl-C; carries the results.
    """
    due = [plan for plan in plans if plan.machine_roles]
    if not due:
        return {}
    show, story = on_line or (lambda line: None), Story()
    with _private_folder(inventory) as folder:
        limit = write_layer(folder / "layer", inventory, due)
        child = _Child(_arguments(folder, inventory, limit, len(due), check))
        try:
            _follow(story, child.events(), show)
        except KeyboardInterrupt:
            _follow(story, child.end(), lambda line: None)
            raise RolesInterrupted(story.results([plan.host for plan in due], interrupted=True)) from None
    if not story.hosts:
        raise DeployError("Ansible failed before it reached a host:\n" + "\n".join(story.said[-_TAIL_LINES:]))
    return story.results([plan.host for plan in due])


def _follow(story: Story, events: Iterable[Event], show: Callable[[str], None]) -> None:
    for event in events:
        for line in story.add(event):
            show(line)


@contextmanager
def _private_folder(inventory: Inventory) -> Iterator[Path]:
    """All that Ansible and its runner write on the controller; gone afterwards."""
    inventory.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=inventory.state_dir, prefix="ansible-") as name:
        yield Path(name).resolve()


def write_layer(folder: Path, inventory: Inventory, plans: Sequence[Plan]) -> Path:
    """Write what Ansible must know beyond the user's inventory, as an inventory that comes after it.

    What the inventory states is in the plan, so nothing of it is overruled. Connections are written as every other part
    of inhouse understands them: files relative to the inventory, not to the place a person happens to be in.

    Returns:
        A file with the names of the hosts, for Ansible's `--limit`.
    """
    (folder / "host_vars").mkdir(parents=True)
    connections = {host.name: host.connection for host in inventory.hosts}
    _dump(folder / "hosts.json", {"all": {"hosts": {plan.host: {} for plan in plans}}})
    for plan in plans:
        decided = {name: value for role in plan.machine_roles for name, value in plan.role_variables(role).items()}
        connection = connection_variables(connections[plan.host])
        _dump(
            folder / "host_vars" / f"{plan.host}.json", {"machine_roles": plan.machine_roles, **decided, **connection}
        )
    limit = folder.parent / "limit"
    limit.write_text("".join(f"{plan.host}\n" for plan in plans))
    return limit


def connection_variables(connection: Connection) -> dict[str, object]:
    """Return how a host is reached, in Ansible's words. Passwords stay in the inventory, where Ansible reads them."""
    files = {
        "ansible_ssh_private_key_file": connection.private_key_file,
        "ansible_ssh_common_args": connection.ssh_config_file and f"-F {shlex.quote(connection.ssh_config_file)}",
    }
    return {
        "ansible_connection": connection.kind,
        "ansible_become": connection.become,
        # The first Python on the PATH may be a version manager's, which answers only where a version is chosen.
        **({"ansible_python_interpreter": sys.executable} if connection.kind == "local" else {}),
        **{name: value for name, value in files.items() if value},
    }


def _dump(file: Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _arguments(folder: Path, inventory: Inventory, limit: Path, hosts: int, check: bool) -> dict[str, Any]:
    """What ansible-runner is told. No secret: those stay in the inventory's Vault, and its password in its file."""
    return {
        "private_data_dir": str(folder),
        "playbook": str(paths.roles_folder() / "site.yml"),
        "inventory": [str(inventory.path.resolve()), str(folder / "layer")],
        "limit": f"@{limit}",
        "skip_tags": LEFT_OUT,
        "forks": min(hosts, _HOSTS_AT_ONCE),
        "cmdline": "--check --diff" if check else None,
        "envvars": _environment(inventory),
        "settings": {"pexpect_timeout": 1, "suppress_output_file": True},
        "suppress_env_files": True,
        "quiet": True,
    }


def _environment(inventory: Inventory) -> dict[str, str]:
    password = vault.password_file(inventory.path)
    return {
        # The ansible-playbook of the environment that inhouse runs in.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        # ansible-runner would switch the check of host keys off.
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_FORCE_COLOR": "False",
        # What it would warn of is no news to a person who runs inhouse.
        "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
        **({vault.PASSWORD_VARIABLE: str(password.resolve())} if password else {}),
    }


class _Child:
    """ansible-playbook under ansible-runner, in a thread: so that Ctrl-C comes to us, and we end Ansible gently."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._pid: int | None = None
        self._kill = threading.Event()
        self._runner = init_runner(**arguments, event_handler=self._put, cancel_callback=self._kill.is_set)
        self._thread = threading.Thread(target=self._run)

    def events(self) -> Iterator[Event]:
        """Start it and give its events as they come, until it has ended."""
        self._thread.start()
        while (event := self._queue.get()) is not None:
            yield event
        self._thread.join()

    def end(self) -> Iterator[Event]:
        """Interrupt it as Ctrl-C would, wait until its tasks have ended, and give the events of meanwhile.

        Python swallows an interruption that comes while Ansible starts a worker (seen in a fourth of the attempts right
        after a task's start): then Ansible goes on, and is told to terminate, which it passes on to its workers.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            if self._pid is None:  # not even begun
                break
            with suppress(ProcessLookupError):
                os.killpg(self._pid, number)
            ended = yield from self._meanwhile()
            if ended:
                break
        self._kill.set()
        self._thread.join()

    def _meanwhile(self) -> Generator[Event, None, bool]:
        """Give the events of a while, and return whether it has ended. Another Ctrl-C ends the while."""
        until = time.monotonic() + _PATIENCE_S
        with suppress(Empty, KeyboardInterrupt):
            while (left := until - time.monotonic()) > 0:
                event = self._queue.get(timeout=left)
                if event is None:
                    return True
                yield event
        return False

    def _run(self) -> None:
        try:
            self._runner.run()
        finally:
            self._queue.put(None)

    def _put(self, event: Event) -> bool:
        """Take an event from the runner's thread; False: it is not kept on disk."""
        self._pid = event.get("pid", self._pid)
        self._queue.put(dict(event))
        return False
