"""What we, our pyinfra child and the role `services` tell each other by environment variables. Never secrets."""

import os
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from inhouse.planner.plan import Plan

INVENTORY_VARIABLE: Final = "INHOUSE_INVENTORY"
"""Environment variable: the inventory's folder, where it is not the one beside the shim."""
PLAN_VARIABLE: Final = "INHOUSE_PLAN"
"""Environment variable: file with the plans to apply. Without it, the child gathers facts and plans itself."""
EVENTS_VARIABLE: Final = "INHOUSE_EVENTS"
"""Environment variable: file that gets one JSON line (an Event) for every finished operation of every host."""

STARTED_BY_VARIABLE: Final = "INHOUSE_STARTED_BY"
"""Environment variable: "ansible" where the role `services` started us. Then we start no Ansible, or it would go round
in a circle."""

PLANS: Final = TypeAdapter(tuple[Plan, ...])
"""Reads and writes the file of plans."""


def within_ansible() -> bool:
    """Whether a playbook started us; its roles have prepared the machines."""
    return os.environ.get(STARTED_BY_VARIABLE) == "ansible"


class Event(BaseModel):
    """What happened on one host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """The inventory's name of the host."""
    operation: str | None = None
    """Name of an operation that ended (in a dry run: that would run); None: the host was disconnected."""
    changed: bool = False
    """It changed something (in a dry run: would)."""
    failed: bool = False
    output: tuple[str, ...] = ()
    """The last lines of a failed operation."""
    finished: bool = False
    """On disconnecting: every operation of the host has ended well."""
