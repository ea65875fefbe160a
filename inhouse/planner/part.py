"""One role's part of a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """What a role is told, whether it runs, and what is to be said about it."""

    role: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Its variables that are decided; the rest has the inventory's value or the role's default."""
    runs: bool = False
    """The host is not as it should be, and the role can make it so."""
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
