"""Ansible's own loader, silenced: hosts and their variables, with the file and line each one comes from.

Ansible skips an inventory file it cannot read and prints a warning; here that is an error. Everything else is as
`ansible-inventory` has it: groups, ranges, group_vars, host_vars, Vault, Jinja in values.

Written for ansible-core 2.19: what is private there (origins, the Vault context, the display) is used in this module
and nowhere else.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible._internal._templating._jinja_common import UndecryptableVaultError
from ansible.errors import AnsibleError
from ansible.inventory.helpers import sort_groups
from ansible.inventory.host import Host as AnsibleHost
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import AnsibleVaultError, VaultSecretsContext
from ansible.plugins.loader import init_plugin_loader
from ansible.plugins.vars import host_group_vars
from ansible.template import Templar
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible.vars.plugins import get_vars_from_inventory_sources

from inhouse import vault
from inhouse.errors import InventoryError
from inhouse.host_variables import HostVariables, Variable

_MADE_BY_ANSIBLE = {"inventory_file", "inventory_dir"}
"""Variables that Ansible itself gives to every host of an inventory."""


def read(folder: Path, source: Path) -> tuple[HostVariables, ...]:
    """All hosts of an inventory, in the order in which they are written.

    Args:
        folder: the inventory's folder; origins are given relative to it.
        source: the folder again, or one hosts file in it.

    Raises:
        InventoryError: a file is no inventory or no YAML, there are no hosts, or Vault data cannot be decrypted.
    """
    with _quiet() as said:
        try:
            loader = _Loader(folder, source)
            if said.failures:
                raise InventoryError(said.first_failure(folder))
            return tuple(loader.host(host) for host in loader.manager.hosts.values())
        except AnsibleError as error:
            if _caused_by_vault(error):
                raise InventoryError(vault.explain(folder, _where(error, folder))) from error
            place = _where(error, folder)
            raise InventoryError(f"{place}: {_reason(error)}" if place else f"{folder}: {_one_line(error)}") from error


class _Loader:
    """Ansible's three objects (loader, inventory, variables), set up for one inventory."""

    def __init__(self, folder: Path, source: Path) -> None:
        _forget_earlier_inventories()
        self.folder = folder
        self.sources = [str(source)]
        self.files = DataLoader()
        self.files.set_basedir(str(folder))
        secrets = vault.secrets(folder, self.files)
        self.files.set_vault_secrets(secrets)  # for files
        VaultSecretsContext._current = VaultSecretsContext(secrets)  # for `!vault` strings
        self.manager = InventoryManager(loader=self.files, sources=self.sources)
        self.values = VariableManager(loader=self.files, inventory=self.manager)
        HostVars(inventory=self.manager, variable_manager=self.values, loader=self.files)
        self._layers_of_group: dict[str, list[Mapping[str, Any]]] = {}

    def host(self, host: AnsibleHost) -> HostVariables:
        """One host with its own variables, without those that Ansible gives to every host."""
        groups = sort_groups(host.get_groups())
        layers = [layer for group in groups for layer in self._group_layers(group)]
        layers += [host.vars, self._beside(host)]
        merged = self.values.get_vars(host=host)
        templar = Templar(loader=self.files, variables=merged)
        names = dict.fromkeys(str(name) for layer in layers for name in layer)
        return HostVariables(
            name=str(host.name),
            groups=tuple(str(group.name) for group in groups if group.name not in ("all", "ungrouped")),
            variables={
                name: self._variable(name, merged[name], layers, templar)
                for name in names
                if name in merged and name not in _MADE_BY_ANSIBLE
            },
        )

    def _group_layers(self, group: Any) -> list[Mapping[str, Any]]:
        if group.name not in self._layers_of_group:
            self._layers_of_group[group.name] = [group.vars, self._beside(group)]
        return self._layers_of_group[group.name]

    def _beside(self, entity: Any) -> Mapping[str, Any]:
        """What group_vars or host_vars hold for a group or a host."""
        found: Mapping[str, Any] = get_vars_from_inventory_sources(self.files, self.sources, [entity], "task")
        return found

    def _variable(self, name: str, raw: Any, layers: list[Mapping[str, Any]], templar: Templar) -> Variable:
        origin = _place(Origin.get_tag(raw) or _origin_of_name(name, layers), self.folder)
        if name.startswith("x_"):  # the user's own: only read where another value uses it
            return Variable(None, origin)
        try:
            return Variable(_plain(templar.template(raw)), origin)
        except AnsibleError as error:
            if _caused_by_vault(error):
                raise InventoryError(vault.explain(self.folder, origin)) from error
            return Variable(None, origin, error=_reason(error))


def _origin_of_name(name: str, layers: list[Mapping[str, Any]]) -> Origin | None:
    """Where a variable is set last. Numbers and texts know their own origin; true, false and null do not."""
    for layer in reversed(layers):
        for key in layer:
            if key == name:
                return Origin.get_tag(key)
    return None


def _plain(value: Any) -> Any:
    """The value without Ansible's tags; lists become tuples, which nobody can change."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


@dataclass
class _Said:
    """What Ansible would have printed while it read an inventory."""

    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    """Message and error of each plugin that could not read a file."""

    def first_failure(self, folder: Path) -> str:
        """The failure of the plugin that was meant for the file: YAML's for .yml, else the last one tried."""
        for_yaml = [error for message, error in self.failures if "'yaml'" in message and _where(error, folder)]
        error = for_yaml[0] if for_yaml else self.failures[-1][1]
        return f"{_where(error, folder) or folder}: this is no inventory. {_reason(error)}"


@contextmanager
def _quiet() -> Iterator[_Said]:
    """Keep Ansible from printing; what it says about unreadable files is collected."""
    said, display = _Said(), Display()

    def error_as_warning(msg: str | None, exception: BaseException, **_: Any) -> None:
        said.failures.append((msg or "", exception))

    def ignore(*_: Any, **__: Any) -> None:
        return None

    replaced = {"error_as_warning": error_as_warning, "display": ignore, "_warning": ignore, "_deprecated": ignore}
    for name, function in replaced.items():
        setattr(display, name, function)
    try:
        yield said
    finally:
        for name in replaced:
            delattr(display, name)


def _forget_earlier_inventories() -> None:
    """Ansible reads one inventory per process; ours may read a second one, or the same again after a change."""
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()  # lookups, filters and tests in templates, by their full names too
    host_group_vars.FOUND.clear()
    host_group_vars.NAK.clear()
    host_group_vars.CANONICAL_PATHS.clear()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, the deepest last. (Ansible builds chains that bite their own tail.)"""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _caused_by_vault(error: BaseException) -> bool:
    return any(isinstance(one, AnsibleVaultError | UndecryptableVaultError) for one in _chain(error))


def _where(error: BaseException, folder: Path) -> str:
    """File and line of an error; the deepest cause knows best."""
    origins = [Origin.get_tag(one.obj) or one.obj for one in _chain(error) if isinstance(one, AnsibleError) and one.obj]
    known = [origin for origin in origins if isinstance(origin, Origin) and origin.path]
    return _place(known[-1], folder) if known else ""


def _reason(error: BaseException) -> str:
    """Message of the deepest cause, as one line."""
    causes = [one for one in _chain(error) if isinstance(one, AnsibleError)]
    return _one_line(causes[-1]._original_message if causes else error)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _place(origin: Origin | None, folder: Path) -> str:
    if origin is None or not origin.path:
        return ""
    path = Path(origin.path)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return f"{shown}:{origin.line_num}" if origin.line_num else str(shown)
