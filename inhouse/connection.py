"""Ansible's connection variables, as far as every tool that inhouse uses understands them."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.parsing.convert_bool import boolean
from pydantic import SecretStr

from inhouse.host_variables import HostVariables, Variable

_KINDS: dict[str, Literal["ssh", "local"]] = {"ssh": "ssh", "smart": "ssh", "local": "local"}
_SSH_CONFIG = "Put it into an ssh config file and name that: ansible_ssh_common_args: -F FILE"
_REFUSED = {
    "ansible_password": "Passwords for SSH are not supported. Use a key: ssh-copy-id USER@HOST",
    "ansible_ssh_pass": "Passwords for SSH are not supported. Use a key: ssh-copy-id USER@HOST",
    "ansible_ssh_args": _SSH_CONFIG,
    "ansible_ssh_extra_args": _SSH_CONFIG,
}


@dataclass(frozen=True)
class Connection:
    """How a host is reached; the same for the probe, pyinfra, testinfra and Ansible."""

    kind: Literal["ssh", "local"]
    address: str
    """ansible_host, or the host's name."""
    port: int = 22
    user: str | None = None
    private_key_file: str | None = None
    ssh_config_file: str | None = None
    """From `-F FILE` in ansible_ssh_common_args: jump hosts, known-hosts files and the like."""
    become: bool = False
    become_password: SecretStr | None = None


class _Reader:
    """The connection variables of one host; what is wrong with them is collected."""

    def __init__(self, host: HostVariables, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.wrong: list[str] = []

    def first(self, *names: str) -> tuple[str, Variable | None]:
        """The first of some names of one thing that is set, and its value."""
        for name in names:
            variable = self.host.variables.get(name)
            if variable and variable.error:
                self.refuse(name, f"its template cannot be worked out: {variable.error}")
            elif variable and variable.value is not None:
                return name, variable
        return names[0], None

    def refuse(self, name: str, why: str) -> None:
        """Note what is wrong, with the place where it is set."""
        variable = self.host.variables[name]
        self.wrong.append(f"{variable.origin or self.host.name}: {name}: {why}")

    def text(self, *names: str) -> str | None:
        """A text; a number is accepted for it, as Ansible does."""
        name, variable = self.first(*names)
        if variable is None:
            return None
        if isinstance(variable.value, str | int) and not isinstance(variable.value, bool):
            return str(variable.value)
        self.refuse(name, "text is needed.")
        return None

    def kind(self) -> Literal["ssh", "local"]:
        """Ansible's connection plugin, as one of the two kinds."""
        named = (self.text("ansible_connection") or "ssh").removeprefix("ansible.builtin.")
        if named not in _KINDS:
            self.refuse("ansible_connection", f'"{named}" is not supported; ssh or local is needed.')
        return _KINDS.get(named, "ssh")

    def port(self) -> int:
        """TCP port of SSH."""
        name, variable = self.first("ansible_port", "ansible_ssh_port")
        found = str(variable.value) if variable else "22"
        if not found.isdecimal() or not 0 < int(found) < 65536:
            self.refuse(name, f'"{found}" is no port; a whole number from 1 to 65535 is needed.')
            return 22
        return int(found)

    def become(self) -> bool:
        """Whether sudo is used; it is root that is needed, and sudo that is understood."""
        for name, needed in (("ansible_become_user", "root"), ("ansible_become_method", "sudo")):
            found = (self.text(name) or needed).removeprefix("ansible.builtin.")
            if found != needed:
                self.refuse(name, f'"{found}" is not supported; {needed} is needed (leave it out).')
        name, variable = self.first("ansible_become")
        try:
            return bool(boolean(variable.value)) if variable else False
        except TypeError:
            self.refuse(name, "true or false is needed.")
            return False

    def ssh_config_file(self) -> str | None:
        """The one argument of ssh that pyinfra and testinfra understand as well."""
        for name, why in _REFUSED.items():
            if self.first(name)[1] is not None:
                self.refuse(name, why)
        name = "ansible_ssh_common_args"
        given = self.text(name)
        if not given or not given.strip():
            return None
        match _split(given):
            case ["-F", file] if (path := self.path(file)).is_file():
                return str(path)
            case ["-F", file]:
                self.refuse(name, f"the ssh config file {self.path(file)} does not exist.")
            case _:
                self.refuse(name, f'"{given}": only -F FILE is understood. {_SSH_CONFIG}')
        return None

    def path(self, given: str) -> Path:
        """A file on the controller; relative to the inventory."""
        return self.folder / Path(given).expanduser()


def connection(host: HostVariables, folder: Path) -> tuple[Connection, list[str]]:
    """How a host is reached, and what is wrong with its connection variables (each with file and line)."""
    reader = _Reader(host, folder)
    kind = reader.kind()
    key = reader.text("ansible_ssh_private_key_file", "ansible_private_key_file")
    password = reader.text("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
    found = Connection(
        kind=kind,
        address=reader.text("ansible_host", "ansible_ssh_host") or host.name,
        port=reader.port(),
        user=reader.text("ansible_user", "ansible_ssh_user"),
        private_key_file=str(reader.path(key)) if key else None,
        ssh_config_file=reader.ssh_config_file(),
        become=reader.become(),
        become_password=SecretStr(password) if password else None,
    )
    return found, reader.wrong


def _split(arguments: str) -> list[str]:
    """The words of a command line, with "-FFILE" as two; empty if its quotes do not close."""
    try:
        words = shlex.split(arguments)
    except ValueError:
        return []
    return ["-F", words[0][2:]] if len(words) == 1 and words[0].startswith("-F") and len(words[0]) > 2 else words


def same_machine(connections: Mapping[str, Connection]) -> list[tuple[str, ...]]:
    """Names that stand for one machine: the same address and port, reached in the same way."""
    names: dict[tuple[Any, ...], list[str]] = {}
    for name, one in connections.items():
        key = ("local",) if one.kind == "local" else (one.address.lower(), one.port, one.ssh_config_file)
        names.setdefault(key, []).append(name)
    return [tuple(group) for group in names.values() if len(group) > 1]
