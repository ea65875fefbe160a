"""What the planner must know of a host of an inventory, so that planning needs no inventory and no Ansible."""

from typing import Protocol

from inhouse.role_variables import RoleVariables
from inhouse.settings import HostSettings


class Reached(Protocol):
    """How a host is reached."""

    @property
    def address(self) -> str:
        """Where clients and tests connect."""


class Subject(Protocol):
    """The host to plan for; `inhouse.inventory.Host` is one."""

    @property
    def name(self) -> str:
        """Name in the inventory."""

    @property
    def server_name(self) -> str:
        """Name in the certificate and in the URL."""

    @property
    def connection(self) -> Reached:
        """How it is reached."""

    @property
    def settings(self) -> HostSettings:
        """What is set for it."""

    @property
    def role_variables(self) -> RoleVariables:
        """What is stated for the roles that prepare it."""
