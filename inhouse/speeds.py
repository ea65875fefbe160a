"""Measured speeds, as the planner takes them: one replaces a predicted speed on the same device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inhouse.units import counted

if TYPE_CHECKING:
    from inhouse.facts.model import HostFacts
    from inhouse.planner.card import Card


@dataclass(frozen=True)
class Speeds:
    """Measured tokens/s by device and tag."""

    by_device: Mapping[tuple[str, str], float] = field(default_factory=dict)
    warning: str = ""
    """Why nothing is known although something was measured; "" if all is well."""

    def of(self, device: str, tag: str) -> float | None:
        """Tokens/s of a model that lies wholly on a device (`device_name`); None if that was never measured."""
        return self.by_device.get((device, tag))


NONE = Speeds()


def device_name(facts: HostFacts, cards: Iterable[Card]) -> str:
    """The name by which speeds are kept: "2 x RTX 3090", or of a host whose models run on the CPU its processor."""
    if names := sorted(card.name for card in cards):
        return " and ".join(counted(names))
    return f"{facts.cpu.model}, {facts.cpu.cores} cores"
