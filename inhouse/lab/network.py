"""Addresses of lab hosts: each has a loopback address of its own with the standard ports, however many labs run."""

import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import docker

from inhouse.errors import LabError
from inhouse.lab.paths import ADDRESS_LABEL, LAB_LABEL, one_at_a_time

PREFIX = "127.0.1."
FIRST, LAST = 2, 254
"""127.0.1.1 is left out: Debian gives it to the machine's own name."""
SSH_PORT, HTTP_PORT, HTTPS_PORT = 22, 80, 443
SSH_PORT_BESIDE_SSHD = 2222
"""Where the controller's own sshd holds port 22 on all addresses."""


@dataclass(frozen=True)
class Endpoint:
    """Where the controller reaches a host."""

    address: str
    ssh_port: int

    @property
    def published(self) -> dict[str, tuple[str, int]]:
        """Port in the host → address and port of the controller, as the engine wants it."""
        return {
            f"{SSH_PORT}/tcp": (self.address, self.ssh_port),
            f"{HTTP_PORT}/tcp": (self.address, HTTP_PORT),
            f"{HTTPS_PORT}/tcp": (self.address, HTTPS_PORT),
        }


@contextmanager
def allocation() -> Iterator[None]:
    """Held from choosing addresses until the containers that carry them exist: labs may start side by side."""
    with one_at_a_time("addresses"):
        yield


def free_endpoints(client: docker.DockerClient, count: int) -> list[Endpoint]:
    """That many endpoints that no lab has and nothing listens on; call it inside `allocation`.

    Raises:
        LabError: not enough of them; names the port that is taken and how to see by what.
    """
    used = {
        container.labels.get(ADDRESS_LABEL, "")
        for container in client.containers.list(all=True, filters={"label": LAB_LABEL}, ignore_removed=True)
    }
    return choose(used, count)


def choose(used: Collection[str], count: int) -> list[Endpoint]:
    """The first `count` addresses that are not `used` and whose ports are free."""
    candidates = [f"{PREFIX}{number}" for number in range(FIRST, LAST + 1) if f"{PREFIX}{number}" not in used]
    chosen: list[Endpoint] = []
    for address in candidates:
        if len(chosen) == count:
            break
        ssh_port = next((port for port in (SSH_PORT, SSH_PORT_BESIDE_SSHD) if not taken(address, port)), None)
        if ssh_port is not None and not taken(address, HTTP_PORT) and not taken(address, HTTPS_PORT):
            chosen.append(Endpoint(address, ssh_port))
    if len(chosen) < count:
        raise LabError(_why_not(candidates, count))
    return chosen


def taken(address: str, port: int) -> bool:
    """Whether a program accepts connections there. (Binding would tell as well, but only root may bind below 1024.)"""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0


def _why_not(candidates: list[str], count: int) -> str:
    if not candidates:
        return (
            f"all addresses {PREFIX}{FIRST} to {PREFIX}{LAST} belong to labs. Run: inhouse lab list, inhouse lab down"
        )
    busy = [port for port in (HTTP_PORT, HTTPS_PORT) if taken(candidates[-1], port)] or [SSH_PORT, SSH_PORT_BESIDE_SSHD]
    ports = " and ".join(str(port) for port in busy)
    return (
        f"{count} lab hosts need loopback addresses {PREFIX}N with ports {HTTP_PORT} and {HTTPS_PORT} and one for SSH, "
        f"but port {ports} is already taken there, so by a program that listens on all addresses. "
        f"See which: ss -ltnp 'sport = :{busy[0]}'. Stop it, or let it listen on its own address."
    )
