"""Throw-away hosts to rehearse on: `up`, `down`, `labs`.

A lab is a network, a mirror, and one container per host, all labelled with the lab's name; its inventory is an
ordinary one. Nothing else is remembered anywhere: `down` finds everything by the labels.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from inhouse.errors import LabError
from inhouse.lab import controller, inventory_files, network, profiles
from inhouse.lab import hosts as hosts_module
from inhouse.lab.images import ensure_image, require_space
from inhouse.lab.paths import (
    ADDRESS_LABEL,
    FOLDER_LABEL,
    HOST_LABEL,
    LAB_LABEL,
    PROFILE_LABEL,
    ROLE_LABEL,
    cache_dir,
    object_name,
    private_dir,
)
from inhouse.lab.ssh import ClientFiles, new_key
from inhouse.lab.trust import controller_files

_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
RESERVED_NAMES = ("registry", "mirror")
"""What faults are told by; no host may be called so."""
BOOTS_AT_ONCE = 4
HOST_MIB = 2048
"""Space a host takes once everything is deployed: Open-WebUI 1 GB, the engine and two models 0.6 GB."""


@dataclass(frozen=True)
class LabHost:
    """A host of a running lab."""

    name: str
    profile: str
    address: str
    running: bool


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    name: str
    folder: Path
    """Its inventory."""
    hosts: tuple[LabHost, ...]


def up(
    name: str,
    hosts: Mapping[str, str],
    folder: Path,
    release: Path | None = None,
    on_step: Callable[[str], None] | None = None,
    upstream: bool = False,
) -> Path:
    """Makes the hosts and writes their inventory; a lab that is already up as asked is left as it is.

    Args:
        name: of the lab; several can run side by side.
        hosts: host name → profile ("rtx-4090", "rtx-4090@trixie").
        folder: where the inventory is written; must not hold anything yet.
        release: a real release archive of Ollama, served in place of the stand-in.
        on_step: told about every step, for a person to read.
        upstream: no mirror: the hosts fetch Ollama and models from their makers.

    Returns:
        The inventory's folder, absolute.

    Raises:
        LabError: the lab cannot be made here; whatever was begun is removed again.
    """
    report = on_step or (lambda _line: None)
    folder = folder.resolve()
    chosen = _check(name, hosts)
    client = controller.client()
    if (existing := _find(client, name)) is not None:
        return _reuse(client, existing, hosts, folder)
    inventory_files.claim(folder, name)
    try:
        _make(client, name, hosts, chosen, folder, report)
    except BaseException as error:  # Ctrl-C too leaves nothing behind
        _remove(client, name, folder)
        if isinstance(error, DockerException):
            raise LabError(f"lab {name}: the engine refused: {error}") from error
        raise
    return folder


def down(name: str) -> None:
    """Removes a lab and every trace of it. Images and downloads stay in the cache.

    Raises:
        LabError: no lab has that name.
    """
    client = controller.client()
    found = _find(client, name)
    if found is None:
        others = ", ".join(lab.name for lab in labs()) or "none"
        raise LabError(f"no lab is named {name!r}. There are: {others}.")
    _remove(client, name, found.folder)


def run(name: str, host: str, command: str) -> str:
    """Runs a shell command as root on a host, past SSH and sudo, and gives its output.

    Raises:
        LabError: no such host, or the command ended with another status than 0.
    """
    return hosts_module.run(container_of(controller.client(), name, host), command)


def container_of(client: docker.DockerClient, name: str, host: str) -> Container:
    """The container of a lab's host.

    Raises:
        LabError: no such host.
    """
    for container in _containers(client, name):
        if container.labels.get(HOST_LABEL) == host:
            return container
    raise LabError(f"lab {name!r} has no host {host!r}. Run: inhouse lab list")


def labs() -> tuple[Lab, ...]:
    """All labs of this machine."""
    client = controller.client()
    names = {bridge.attrs["Labels"][LAB_LABEL] for bridge in client.networks.list(filters={"label": LAB_LABEL})}
    names |= {container.labels[LAB_LABEL] for container in _containers(client)}
    return tuple(lab for name in sorted(names) if (lab := _find(client, name)) is not None)


def listing() -> list[str]:
    """One line per lab and host, for a person to read."""
    lines = []
    for lab in labs():
        lines.append(f"{lab.name}: {lab.folder}")
        lines += [
            f"  {host.name:<16} {host.address:<12} {host.profile}{'' if host.running else ' (stopped)'}"
            for host in lab.hosts
        ]
    return lines or ["No lab is up. Run: inhouse lab up"]


def _check(name: str, wanted: Mapping[str, str]) -> dict[str, profiles.Profile]:
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot name a lab: a lower-case letter, then at most 29 of a-z, 0-9 and -.")
    if not wanted:
        raise LabError(f"lab {name!r} has no hosts. Name profiles: {', '.join(profiles.names())}.")
    for host in wanted:
        if not _HOST_NAME.fullmatch(host) or host in RESERVED_NAMES:
            raise LabError(f"{host!r} cannot name a lab host: lower-case letters, digits and -, and not `registry`.")
    return {host: profiles.load(text) for host, text in wanted.items()}


def _reuse(client: docker.DockerClient, lab: Lab, wanted: Mapping[str, str], folder: Path) -> Path:
    """The lab as it is, its stopped hosts started again."""
    if {host.name: host.profile for host in lab.hosts} != dict(wanted) or lab.folder != folder:
        has = ", ".join(f"{host.name}={host.profile}" for host in lab.hosts)
        raise LabError(
            f"a lab {lab.name!r} is up already, with {has} and its inventory in {lab.folder}. "
            f"Run: inhouse lab down --name {lab.name}"
        )
    for container in _containers(client, lab.name):
        if container.status != "running":
            _start(container)
    return folder


def _make(
    client: docker.DockerClient,
    name: str,
    wanted: Mapping[str, str],
    chosen: Mapping[str, profiles.Profile],
    folder: Path,
    report: Callable[[str], None],
) -> None:
    kinds = sorted({(profile.suite, profile.packages) for profile in chosen.values()})
    images = {kind: ensure_image(client, *kind, report) for kind in kinds}
    require_space(Path(client.info()["DockerRootDir"]), HOST_MIB * len(wanted))
    report(f"lab {name}: network")
    client.networks.create(
        object_name(name), driver="bridge", labels={LAB_LABEL: name, FOLDER_LABEL: str(folder)}, check_duplicate=True
    )
    login, host_keys = new_key(), {host: new_key() for host in wanted}
    files = controller_files()
    with network.allocation():
        endpoints = dict(zip(wanted, network.free_endpoints(client, len(wanted)), strict=True))
        containers = [
            hosts_module.create(
                client,
                hosts_module.HostSpec(
                    lab=name,
                    name=host,
                    profile_name=wanted[host],
                    profile=profile,
                    image=images[profile.suite, profile.packages],
                    endpoint=endpoints[host],
                    host_key=host_keys[host],
                    login_key=login.public,
                    names={},
                    files=files,
                ),
                folder,
                cache_dir(),
            )
            for host, profile in chosen.items()
        ]
    _boot(containers, report)
    client_files = ClientFiles(private_dir(folder))
    client_files.write(login, {_known_as(endpoints[host]): key for host, key in host_keys.items()})
    inventory_files.write(folder, {host: (wanted[host], endpoints[host]) for host in wanted}, client_files, {})


def _known_as(endpoint: network.Endpoint) -> str:
    """How known_hosts names it: other ports than 22 stand in brackets."""
    if endpoint.ssh_port == network.SSH_PORT:
        return endpoint.address
    return f"[{endpoint.address}]:{endpoint.ssh_port}"


def _boot(containers: Sequence[Container], report: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(BOOTS_AT_ONCE) as pool:
        for container, _ in zip(containers, pool.map(hosts_module.start, containers), strict=True):
            report(f"{container.labels[HOST_LABEL]} runs at {container.labels[ADDRESS_LABEL]}")


def _start(container: Container) -> None:
    if container.labels.get(ROLE_LABEL) == "host":
        hosts_module.start(container)
    else:
        container.start()


def _containers(client: docker.DockerClient, lab: str | None = None) -> list[Container]:
    label = f"{LAB_LABEL}={lab}" if lab else LAB_LABEL
    found: list[Container] = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    return found


def _find(client: docker.DockerClient, name: str) -> Lab | None:
    containers = _containers(client, name)
    networks = client.networks.list(filters={"label": f"{LAB_LABEL}={name}"})
    volumes = client.volumes.list(filters={"label": f"{LAB_LABEL}={name}"})
    folders = [c.labels[FOLDER_LABEL] for c in containers] + [n.attrs["Labels"][FOLDER_LABEL] for n in networks]
    if not (containers or networks or volumes):
        return None
    found = (
        LabHost(c.labels[HOST_LABEL], c.labels[PROFILE_LABEL], c.labels[ADDRESS_LABEL], c.status == "running")
        for c in containers
        if c.labels.get(ROLE_LABEL) == "host"
    )
    return Lab(name, Path(folders[0]) if folders else Path(), tuple(sorted(found, key=lambda host: host.name)))


def _remove(client: docker.DockerClient, name: str, folder: Path) -> None:
    """Everything that carries the lab's label, then the inventory."""
    with ThreadPoolExecutor(BOOTS_AT_ONCE) as pool:
        list(pool.map(_remove_container, _containers(client, name)))
    for volume in client.volumes.list(filters={"label": f"{LAB_LABEL}={name}"}):
        volume.remove(force=True)
    for bridge in client.networks.list(filters={"label": f"{LAB_LABEL}={name}"}):
        bridge.remove()
    inventory_files.remove(folder, name)


def _remove_container(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        raise LabError(f"{container.name} could not be removed: {error.explanation}") from error
