"""Throw-away hosts to rehearse on: `up`, `down`, `labs`.

A lab is a network, a mirror, and one container per host, all labelled with the lab's name; its inventory is an
ordinary one. Nothing else is remembered anywhere: `down` finds everything by the labels.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from inhouse.errors import LabError
from inhouse.lab import controller, inventory_files, profiles
from inhouse.lab import hosts as hosts_module
from inhouse.lab.making import BOOTS_AT_ONCE, Order, make
from inhouse.lab.paths import (
    ADDRESS_LABEL,
    FOLDER_LABEL,
    HOST_LABEL,
    LAB_LABEL,
    PROFILE_LABEL,
    RELEASE_LABEL,
    ROLE_LABEL,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
RESERVED_NAMES = ("registry", "mirror")
"""What faults are told by; no host may be called so."""


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
    folder, release = folder.resolve(), release.resolve() if release else None
    chosen = _check(name, hosts)
    client = controller.client()
    if (existing := _find(client, name)) is not None:
        return _reuse(client, existing, hosts, folder, release)
    inventory_files.claim(folder, name)
    try:
        make(client, Order(name, hosts, chosen, folder, release, upstream), report)
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
    if not labs():
        controller.stop_unneeded()


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


def mirror_of(client: docker.DockerClient, name: str) -> Container:
    """The container of a lab's mirror.

    Raises:
        LabError: no such lab, or one that fetches everything from its makers.
    """
    for container in _containers(client, name):
        if container.labels.get(ROLE_LABEL) == "mirror":
            return container
    raise LabError(f"no lab {name!r} with a mirror of its own is up. Run: inhouse lab list")


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
    return lines


def _check(name: str, wanted: Mapping[str, str]) -> dict[str, profiles.Profile]:
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot name a lab: a lower-case letter, then at most 29 of a-z, 0-9 and -.")
    if not wanted:
        raise LabError(f"lab {name!r} has no hosts. Name profiles: {', '.join(profiles.names())}.")
    for host in wanted:
        if not _HOST_NAME.fullmatch(host) or host in RESERVED_NAMES:
            raise LabError(f"{host!r} cannot name a lab host: lower-case letters, digits and -, and not `registry`.")
    return {host: profiles.load(text) for host, text in wanted.items()}


def _reuse(
    client: docker.DockerClient, lab: Lab, wanted: Mapping[str, str], folder: Path, release: Path | None
) -> Path:
    """The lab as it is, what was stopped of it started again."""
    served = {c.labels.get(RELEASE_LABEL, "") for c in _containers(client, lab.name)} - {""}
    same_hosts = {host.name: host.profile for host in lab.hosts} == dict(wanted)
    if not same_hosts or lab.folder != folder or served != ({str(release)} if release else set()):
        has = ", ".join(f"{host.name}={host.profile}" for host in lab.hosts)
        raise LabError(
            f"a lab {lab.name!r} is up already, with {has}, its inventory in {lab.folder} and "
            f"{', '.join(served) or 'no release archive'}. Run: inhouse lab down --name {lab.name}"
        )
    stopped = [c for c in _containers(client, lab.name) if c.status != "running"]
    # The mirror first: so it gets the address again that the hosts know.
    for container in sorted(stopped, key=lambda c: str(c.labels.get(ROLE_LABEL)) == "host"):
        _start(container)
    return folder


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
