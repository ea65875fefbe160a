"""Hosts, how to reach them, and what is set for each: read by Ansible's own loader."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from inhouse import tls
from inhouse.connection import Connection, connection, same_machine
from inhouse.errors import InventoryError, SettingsError
from inhouse.host_variables import HostVariables
from inhouse.paths import inventories_folder
from inhouse.role_variables import NOTHING, RoleVariables
from inhouse.secret_settings import Secrets
from inhouse.settings import HostSettings
from inhouse.validation import Problem, report, role_variables_of, secrets_of, settings_of
from inhouse.variables import read

__all__ = ["Connection", "Host", "Inventory", "load"]


@dataclass(frozen=True)
class Host:
    """One host of an inventory."""

    name: str
    groups: tuple[str, ...]
    """Groups of the inventory it is in, from the outermost to the innermost, without `all`."""
    connection: Connection
    settings: HostSettings
    role_variables: RoleVariables = NOTHING
    """What is stated for the roles of the machine layer."""

    @property
    def server_name(self) -> str:
        """Name in the certificate and in the URL."""
        return self.settings.server_name or self.name


@dataclass(frozen=True)
class Inventory:
    """A folder in Ansible's inventory format."""

    path: Path
    hosts: tuple[Host, ...]
    secrets: Secrets | None
    """None until `inhouse init` has made them; `up` and `verify` need them."""

    @property
    def state_dir(self) -> Path:
        """Where plans and results of this inventory are kept."""
        return self.path / ".inhouse"

    @property
    def ca_certificate(self) -> Path:
        """Root certificate of the fleet, for clients to trust."""
        return ca_certificate(self.path)

    def limited_to(self, patterns: Sequence[str]) -> "Inventory":
        """The same inventory with only some hosts.

        Args:
            patterns: names of hosts or groups; `*` stands for any characters, as in Ansible.

        Raises:
            InventoryError: a pattern stands for no host; the nearest name is suggested.
        """
        wanted: set[str] = set()
        for pattern in (pattern.strip() for pattern in patterns):
            found = {host.name for host in self.hosts if _matches(pattern, host)}
            if not found:
                raise InventoryError(self._no_host_for(pattern))
            wanted |= found
        return replace(self, hosts=tuple(host for host in self.hosts if host.name in wanted))

    def _no_host_for(self, pattern: str) -> str:
        names = sorted({name for host in self.hosts for name in (host.name, *host.groups)})
        near = get_close_matches(pattern, names, n=3) or names[:5]
        return f'"{pattern}" is no host or group of {self.path}. Nearest: {", ".join(near)}.'


def ca_certificate(folder: Path) -> Path:
    """Where the fleet's root certificate is exported to.

    Beside the secrets, not beside the hosts: Ansible takes every file there for an inventory, and complains.
    """
    return folder / "group_vars" / "all" / "fleet-ca.crt"


def load(path: Path) -> Inventory:
    """Read an inventory and check every setting of every host. Nothing is contacted.

    Args:
        path: a folder in Ansible's inventory format, or one hosts file in it.

    Raises:
        InventoryError: it is not there or cannot be read, has no hosts, one machine stands in it twice, or a connection
            variable is not supported.
        SettingsError: settings or secrets are unknown, of the wrong type or contradict each other.
    """
    source = _existing(path)
    folder = source if source.is_dir() else source.parent
    found = read(folder, source)
    if not found:
        begin = "" if _hosts_file(folder, source).exists() else f" To begin an inventory: inhouse init {path}"
        raise InventoryError(f"{path} has no hosts. Add one under all: hosts: in {_hosts_file(folder, source)}.{begin}")
    settings, secrets = _checked(path, found)
    connections = _reachable(path, folder, found)
    hosts = tuple(
        Host(host.name, host.groups, connections[host.name], settings[host.name], role_variables_of(host)[0])
        for host in found
    )
    if secrets is not None:
        _check_ca(folder, secrets)
    return Inventory(path=folder, hosts=hosts, secrets=secrets)


def _existing(path: Path) -> Path:
    found = path.expanduser().absolute()
    if found.exists() and found.suffix != ".py":
        return found
    if found.suffix == ".py" and found.with_suffix("").is_dir():
        raise InventoryError(f"{path} is for plain pyinfra. Name the folder: {path.with_suffix('')}")
    beside = {folder for parent in (found.parent, inventories_folder()) for folder in _inventories_in(parent)}
    near = get_close_matches(found.name, sorted(folder.name for folder in beside), n=1)
    shown = sorted(str(folder) for folder in beside if not near or folder.name in near)
    known = f" There are: {', '.join(shown)}." if shown else ""
    raise InventoryError(f"{path} does not exist.{known} To begin one: inhouse init {path}")


def _inventories_in(folder: Path) -> list[Path]:
    return [one.parent for one in sorted(folder.glob("*/hosts*")) if one.is_file()]


def _hosts_file(folder: Path, source: Path) -> Path:
    return folder / "hosts.yml" if source.is_dir() else source


def _checked(path: Path, found: Sequence[HostVariables]) -> tuple[dict[str, HostSettings], Secrets | None]:
    """Settings of every host and the secrets; everything that is wrong with any of them in one error."""
    settings: dict[str, HostSettings] = {}
    problems: dict[str, list[Problem]] = {}
    for host in found:
        made, wrong = settings_of(host)
        problems[host.name] = [*wrong, *role_variables_of(host)[1]]
        if made is not None:
            settings[host.name] = made
    secrets, problems["secrets"] = secrets_of(found)
    if lines := report(problems):
        counted = "1 setting is" if len(lines) == 1 else f"{len(lines)} settings are"
        raise SettingsError("\n  ".join([f"{counted} wrong in {path} (nothing was contacted):", *lines]))
    if lines := _shared_names(settings):
        raise SettingsError("\n  ".join([f"Hosts of {path} share a name:", *lines]))
    return settings, secrets


def _shared_names(settings: dict[str, HostSettings]) -> list[str]:
    hosts: dict[str, list[str]] = {}
    for name, one in settings.items():
        hosts.setdefault((one.server_name or name).lower(), []).append(name)
    return [
        f"{', '.join(names)}: server_name is {name} for each. Give each its own; "
        "a name they share belongs into server_aliases."
        for name, names in hosts.items()
        if len(names) > 1
    ]


def _reachable(path: Path, folder: Path, found: Sequence[HostVariables]) -> dict[str, Connection]:
    """The connections of all hosts; whatever forbids to connect is reported in one error."""
    connections: dict[str, Connection] = {}
    wrong: list[str] = []
    for host in found:
        connections[host.name], lines = connection(host, folder)
        wrong += lines
    for names in same_machine(connections):
        one = connections[names[0]]
        place = "this machine" if one.kind == "local" else f"{one.address} port {one.port}"
        wrong.append(f"{' and '.join(names)} are one machine ({place}). Remove all but one.")
    if wrong:
        raise InventoryError("\n  ".join([f"{path} cannot be used (nothing was contacted):", *dict.fromkeys(wrong)]))
    return connections


def _check_ca(folder: Path, secrets: Secrets) -> None:
    file = ca_certificate(folder)
    if not file.is_file():
        raise InventoryError(f"{file} is missing: the fleet CA's root certificate. Run: inhouse init {folder}")
    if not tls.belong_together(file.read_text(encoding="utf-8"), secrets.fleet_ca_key.get_secret_value()):
        raise InventoryError(
            f"{file} does not belong to fleet_ca_key in the vault. Remove that file and run: inhouse init {folder}"
        )


def _matches(pattern: str, host: Host) -> bool:
    return pattern == "all" or any(fnmatchcase(name, pattern) for name in (host.name, *host.groups))
