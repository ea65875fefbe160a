"""Virtual lab hosts by the group: `up`, `down`. Beside the lab's containers, for what only a real kernel shows.

A group is a folder in the cache, one folder per host in it, each with its process's number; nothing else is remembered.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from inhouse.errors import LabError
from inhouse.lab import controller, inventory_files, network, profiles, vm, vm_hardware, vm_image
from inhouse.lab.archive import File, tar
from inhouse.lab.hosts import ADMIN_UID
from inhouse.lab.images import require_space
from inhouse.lab.making import known_as
from inhouse.lab.paths import HOST_FOLDER, cache_dir, private_dir
from inhouse.lab.ssh import ClientFiles, KeyPair, new_key

HOST_MIB = 3072
"""Space that one host's own disk takes after a kernel, headers and a driver's packages (measured: 1.9 GiB)."""
_PYTHON = "/usr/lib/python3/dist-packages"
"""Where each of a host's Pythons, of whatever version, finds what all of them load as they start."""


@dataclass(frozen=True)
class Wanted:
    """A virtual lab host as it was asked for."""

    profile: str
    """Its suite, and the PCI devices it shows beside its own."""
    cloud: bool = True
    """See `vm_image.Recipe`."""
    secure_boot: bool = False


def up(name: str, hosts: Mapping[str, Wanted], folder: Path, on_step: Callable[[str], None] | None = None) -> Path:
    """Makes the hosts, boots them and writes their inventory.

    Args:
        name: of the group.
        hosts: host name → what it is to be.
        folder: where the inventory is written; must not hold anything yet.
        on_step: told about every step, for a person to read.

    Returns:
        The inventory's folder, absolute.

    Raises:
        LabError: a host cannot be made here or does not boot; whatever was begun is removed again.
    """
    report = on_step or (lambda _line: None)
    disks = {
        host: vm_image.ensure_disk(vm_image.Recipe(profiles.load(wanted.profile).suite, wanted.cloud), report)
        for host, wanted in hosts.items()
    }
    if _group(name).exists():
        raise LabError(f"virtual lab hosts {name!r} are there already, in {_group(name)}.")
    require_space(cache_dir(), HOST_MIB * len(hosts))
    folder = folder.resolve()
    inventory_files.claim(folder, name)
    (_group(name)).mkdir(parents=True)
    (_group(name) / "inventory").symlink_to(folder)
    try:
        _make(name, hosts, disks, folder, report)
    except BaseException:  # Ctrl-C too leaves nothing behind
        down(name)
        raise
    return folder


def down(name: str) -> None:
    """Ends the hosts and removes every trace of them; none is fine. Their disks' common part stays in the cache.

    Raises:
        LabError: a process does not end.
    """
    if not _group(name).is_dir():
        return
    for folder in _group(name).iterdir():
        if folder.is_dir() and not folder.is_symlink():
            vm.stop(folder)
    inventory_files.remove((_group(name) / "inventory").readlink(), name)
    shutil.rmtree(_group(name))


def groups() -> tuple[str, ...]:
    """Names of all groups of this machine."""
    return tuple(sorted(folder.name for folder in _groups().glob("*/")))


def listing() -> list[str]:
    """One line per group and host, for a person to read."""
    lines = []
    for group in groups():
        lines.append(f"{group}: {(_group(group) / 'inventory').readlink()}")
        lines += [
            f"  {host.parent.name:<16} virtual machine{'' if vm.running(host.parent) else ' (stopped)'}"
            for host in sorted(_group(group).glob("*/disk.qcow2"))
        ]
    return lines


def _groups() -> Path:
    return cache_dir() / "machines"


def _group(name: str) -> Path:
    return _groups() / name


def _make(
    name: str,
    hosts: Mapping[str, Wanted],
    disks: Mapping[str, Path],
    folder: Path,
    report: Callable[[str], None],
) -> None:
    login, host_keys = new_key(), {host: new_key() for host in hosts}
    with network.allocation():
        endpoints = network.free_endpoints(controller.client(), len(hosts))
        machines = {
            host: vm.Machine(_group(name) / host, endpoint, hosts[host].secure_boot)
            for host, endpoint in zip(hosts, endpoints, strict=True)
        }
        for host, machine in machines.items():
            machine.folder.mkdir()
            machine.files.write_bytes(tar(_files(machine, hosts[host], host_keys[host], login)).getbuffer())
            vm.create(machine, disks[host])
            vm.start(machine)
    client_files = ClientFiles(private_dir(folder))
    client_files.write(login, {known_as(machines[host].endpoint): key for host, key in host_keys.items()})
    for host, machine in machines.items():
        vm.await_ssh(machine, client_files)
        report(f"{host} runs at {machine.endpoint.address}; its console: {machine.console}")
    named = {host: (wanted.profile, machines[host].endpoint) for host, wanted in hosts.items()}
    inventory_files.write(folder, named, client_files, {})


def _files(machine: vm.Machine, wanted: Wanted, host_key: KeyPair, login: KeyPair) -> dict[str, File]:
    with tempfile.TemporaryDirectory(dir=machine.folder) as scratch:
        pretended = vm_hardware.files(profiles.load(wanted.profile), Path(scratch))
    return pretended | {
        "/etc/hostname": File(f"{machine.name}\n".encode()),
        "/etc/hosts": File(f"127.0.0.1 localhost\n127.0.1.1 {machine.name}\n".encode()),
        "/etc/ssh/ssh_host_ed25519_key": File(host_key.private, 0o600),
        "/etc/ssh/ssh_host_ed25519_key.pub": File(host_key.public + b"\n"),
        "/home/admin/.ssh/authorized_keys": File(login.public + b"\n", 0o600, ADMIN_UID),
        f"{HOST_FOLDER}/profile": File(f"{wanted.profile}\n".encode()),
        f"{_PYTHON}/inhouse_lab.py": File(resources.files("inhouse.lab").joinpath("vm_python.py").read_bytes()),
        f"{_PYTHON}/inhouse_lab.pth": File(b"import inhouse_lab\n"),
    }
