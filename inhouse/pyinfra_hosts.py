"""The inventory as pyinfra wants it: Ansible's loader in, hosts with their plan and connection out.

`inventories/NAME.py`, beside the folder `inventories/NAME`, is all that plain pyinfra needs:

    from inhouse.pyinfra_hosts import hosts_of
    hosts = hosts_of(__file__)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent import monkey  # type: ignore[import-untyped]
from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError

from inhouse.console import Progress, for_people
from inhouse.deploys.session import Hidden
from inhouse.errors import InhouseError, SettingsError
from inhouse.handover import INVENTORY_VARIABLE, PLAN_VARIABLE, PLANS
from inhouse.planner.plan import Plan

if TYPE_CHECKING:
    from inhouse.inventory import Connection, Host, Inventory

HostData = tuple[str, dict[str, Any]]


def hosts_of(shim: str) -> list[HostData]:
    """Return the hosts that can be deployed, each with its plan as flat data.

    Args:
        shim: path of the inventory's `.py` file; the inventory is the folder of the same name beside it.

    Raises:
        PyinfraError: the inventory or its settings are wrong, or no host can be deployed; pyinfra shows the message.
    """
    with _ansibles_view_of_sockets():
        from inhouse.inventory import load
    try:
        inventory = load(Path(os.environ.get(INVENTORY_VARIABLE) or Path(shim).resolve().with_suffix("")))
        return _hosts(inventory)
    except InhouseError as error:
        raise PyinfraError(str(error)) from error


@contextmanager
def _ansibles_view_of_sockets() -> Iterator[None]:
    """Keep a traceback out of the output: on import Ansible tries a call that gevent, under pyinfra, fails loudly.

    Ansible then replaces the function by one of its own; afterwards pyinfra gets back the one it knows.
    """
    known = socket.getaddrinfo
    socket.getaddrinfo = monkey.get_original("socket", "getaddrinfo")
    try:
        yield
    finally:
        socket.getaddrinfo = known


def _hosts(inventory: Inventory) -> list[HostData]:
    if inventory.secrets is None:
        raise SettingsError(f"{inventory.path}: no secrets yet. To have them made, run: inhouse init {inventory.path}")
    shared = {
        "secrets": Hidden(inventory.secrets),
        "ca_certificate": inventory.ca_certificate.read_text(encoding="utf-8"),
    }
    file = os.environ.get(PLAN_VARIABLE)
    plans = PLANS.validate_json(Path(file).read_bytes()) if file else _plans(inventory)
    by_name = {host.name: host for host in inventory.hosts}
    return [pyinfra_host(by_name[plan.host], plan, shared) for plan in plans]


def _plans(inventory: Inventory) -> Iterable[Plan]:
    """Make the plans here: pyinfra was started without our command."""
    from inhouse.survey import survey

    found = survey(inventory, Progress(for_people(quiet=True)))
    for error in found.errors.values():
        logger.error(str(error))
    for plan in found.plans.values():
        for warning in plan.warnings:
            logger.warning(f"[{plan.host}] {warning}")
        for problem in plan.problems:
            logger.error(f"[{plan.host}] left out: {problem}")
    if not found.applicable:
        raise SettingsError("No host can be deployed; the reasons are above.")
    return found.applicable


def pyinfra_host(host: Host, plan: Plan, shared: Mapping[str, Any]) -> HostData:
    """Return one host as pyinfra's inventory has it: name, and data with connection, plan and secrets."""
    data = {**asdict(plan), **shared, **connection_data(host.connection)}
    # pyinfra knows one local host, by this name; the inventory's name is in the plan.
    return ("@local" if host.connection.kind == "local" else host.name), data


def connection_data(connection: Connection) -> dict[str, Any]:
    """Return Ansible's connection variables in pyinfra's words."""
    data: dict[str, Any] = {"_sudo": connection.become, "become_password": Hidden(connection.become_password)}
    if connection.become_password is not None:
        # Says that sudo must ask. The password itself is handed over by inhouse.deploys.session, because pyinfra would
        # put it on a command line.
        data["_sudo_password"] = "by-askpass"
    if connection.kind == "local":
        return data
    optional = {
        "ssh_port": connection.port if connection.port != 22 else None,
        "ssh_user": connection.user,
        "ssh_key": connection.private_key_file,
        "ssh_config_file": connection.ssh_config_file,
    }
    return {
        **data,
        "ssh_hostname": connection.address,
        # pyinfra's own default writes unknown keys to known_hosts without asking.
        "ssh_strict_host_key_checking": "yes",
        **{key: value for key, value in optional.items() if value is not None},
    }
