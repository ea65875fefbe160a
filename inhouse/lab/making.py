"""How a lab is made: images, a network, the mirror, the hosts, and at last the inventory that names them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from inhouse.lab import engine, hosts, inventory_files, mirror_host, network
from inhouse.lab.archive import File
from inhouse.lab.images import ensure_image, require_space
from inhouse.lab.paths import (
    ADDRESS_LABEL,
    FOLDER_LABEL,
    HOST_LABEL,
    LAB_LABEL,
    cache_dir,
    object_name,
    private_dir,
)
from inhouse.lab.profiles import SOFTWARE_GPU_PACKAGES, Profile
from inhouse.lab.ssh import ClientFiles, new_key
from inhouse.lab.trust import CA_FOLDER, controller_files

BOOTS_AT_ONCE = 4
HOST_MIB = 2048
"""Space a host takes once everything is deployed: Open-WebUI 1 GB, the engine and two models 0.6 GB."""
UPSTREAM_MODELS = ("smollm2:135m", "all-minilm")
"""Two real models small enough for a demo that downloads them."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """A lab as it was asked for."""

    name: str
    hosts: Mapping[str, str]
    """Host name → profile as it was written."""
    profiles: Mapping[str, Profile]
    folder: Path
    release: Path | None
    upstream: bool


@dataclass(frozen=True)
class _Surroundings:
    """What hosts find around them: names, certificates, settings."""

    names: Mapping[str, str]
    files: Mapping[str, File]
    settings: Mapping[str, Any]


def make(client: docker.DockerClient, order: Order, report: Report) -> None:
    """Makes everything; what was begun when it fails is for the caller to remove.

    Raises:
        LabError: something cannot be made here.
    """
    images = {
        name: ensure_image(client, profile.suite, _packages(order, profile), report)
        for name, profile in order.profiles.items()
    }
    require_space(Path(client.info()["DockerRootDir"]), HOST_MIB * len(order.hosts))
    client.networks.create(
        object_name(order.name),
        driver="bridge",
        labels={LAB_LABEL: order.name, FOLDER_LABEL: str(order.folder)},
        check_duplicate=True,
    )
    around = _surroundings(client, order, next(iter(images.values())), report)
    login, host_keys = new_key(), {name: new_key() for name in order.hosts}
    with network.allocation():
        endpoints = dict(zip(order.hosts, network.free_endpoints(client, len(order.hosts)), strict=True))
        specs = [
            hosts.HostSpec(
                lab=order.name,
                name=name,
                profile_name=order.hosts[name],
                profile=profile,
                image=images[name],
                endpoint=endpoints[name],
                host_key=host_keys[name],
                login_key=login.public,
                names=around.names,
                files=around.files,
                software_driver=_software_driver(order, profile),
            )
            for name, profile in order.profiles.items()
        ]
        containers = [hosts.create(client, spec, order.folder, cache_dir()) for spec in specs]
    boot(containers, report)
    client_files = ClientFiles(private_dir(order.folder))
    client_files.write(login, {known_as(endpoints[name]): key for name, key in host_keys.items()})
    named = {name: (profile, endpoints[name]) for name, profile in order.hosts.items()}
    inventory_files.write(order.folder, named, client_files, around.settings)


def boot(containers: Sequence[Container], report: Report) -> None:
    """Starts hosts, a few at a time.

    Raises:
        LabError: one does not boot.
    """
    with ThreadPoolExecutor(BOOTS_AT_ONCE) as pool:
        for container, _ in zip(containers, pool.map(hosts.start, containers), strict=True):
            report(f"{container.labels[HOST_LABEL]} runs at {container.labels[ADDRESS_LABEL]}")


def _surroundings(client: docker.DockerClient, order: Order, image: str, report: Report) -> _Surroundings:
    files = controller_files()
    if order.upstream:
        return _Surroundings({}, files, {"models": list(UPSTREAM_MODELS)})
    report("release of Ollama and two small models: looked up in the cache, or made (once; a few minutes)")
    served = mirror_host.served_release(order.release, order.folder, cache_dir())
    authority = mirror_host.new_authority(order.name)
    labels = mirror_host.labels(order.folder, order.release)
    address = mirror_host.start(client, order.name, image, served, authority, labels, cache_dir())
    report(f"mirror serves Ollama {served.version}: {order.release or 'a stand-in with the real llama.cpp engine'}")
    files[str(CA_FOLDER / "inhouse-lab.crt")] = File(authority.ca_pem.encode())
    return _Surroundings(dict.fromkeys(mirror_host.NAMES, address), files, mirror_host.settings(served))


def _packages(order: Order, profile: Profile) -> Sequence[str]:
    """Debian's own Mesa where the engine is a real one, which runs with the host's libraries."""
    return SOFTWARE_GPU_PACKAGES if profile.software_gpu and _real_engine(order) else ()


def _software_driver(order: Order, profile: Profile) -> Path | None:
    """The driver that belongs to the lab's own engine; it keeps compiled shaders, which Debian 12's and 13's do not."""
    return engine.software_gpu(cache_dir()) if profile.software_gpu and not _real_engine(order) else None


def _real_engine(order: Order) -> bool:
    return order.upstream or order.release is not None


def known_as(endpoint: network.Endpoint) -> str:
    """How known_hosts names it: other ports than 22 stand in brackets."""
    if endpoint.ssh_port == network.SSH_PORT:
        return endpoint.address
    return f"[{endpoint.address}]:{endpoint.ssh_port}"
