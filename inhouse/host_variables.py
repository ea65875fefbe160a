"""Hosts and their variables as plain values: what Ansible's loader gives, usable without Ansible."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variable:
    """One variable of one host, templated, as plain Python values."""

    value: Any
    origin: str
    """ "group_vars/all/settings.yml:3", relative to the inventory; empty if Ansible does not know."""
    error: str = ""
    """Why the value could not be worked out (an undefined variable in a template)."""


@dataclass(frozen=True)
class HostVariables:
    """One host as Ansible sees it."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Variable]
