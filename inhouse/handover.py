"""What our process and its pyinfra child tell each other: files named in the child's environment. Never secrets."""

from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from inhouse.planner.plan import Plan

INVENTORY_VARIABLE: Final = "INHOUSE_INVENTORY"
"""Environment variable: the inventory's folder, where it is not the one beside the shim."""
PLAN_VARIABLE: Final = "INHOUSE_PLAN"
"""Environment variable: file with the plans to apply. Without it, the child gathers facts and plans itself."""
EVENTS_VARIABLE: Final = "INHOUSE_EVENTS"
"""Environment variable: file that gets one JSON line (an Event) for every finished operation of every host."""

PLANS: Final = TypeAdapter(tuple[Plan, ...])
"""Reads and writes the file of plans."""


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
