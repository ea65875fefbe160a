"""What the models of a host run on, and what is wrong with its GPU: a pure mapping from facts."""

from dataclasses import dataclass

from inhouse.catalogue.chips import INTEL
from inhouse.catalogue.version import version
from inhouse.facts.model import HostFacts
from inhouse.planner import amd, nvidia
from inhouse.planner.card import Card as Card
from inhouse.planner.driver import AS_IS, Outlook
from inhouse.planner.nvidia_names import names as names
from inhouse.planner.nvidia_names import short as short

OLDEST_WITH_FLASH_ATTENTION = (6, 0)
"""Compute capability from which CUDA devices have flash attention (7.2, a Jetson, has not)."""
_NEVER_FLASH = (7, 2)


@dataclass(frozen=True)
class Machine:
    """The accelerator of a host and what is to be said about it."""

    cards: tuple[Card, ...]
    """All of one backend; whole GPUs, and last at most one MIG slice, which a process cannot use together with them.
    Empty: the models run on the CPU."""
    has_nvidia: bool
    """A card by NVIDIA is there, in order or not."""
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def flash_attention(self) -> bool:
        """Every card can; the CPU always can."""
        levels = [version(c.compute) for c in self.cards if c.compute]
        return all(level >= OLDEST_WITH_FLASH_ATTENTION and level != _NEVER_FLASH for level in levels)


def judge(facts: HostFacts, outlook: Outlook = AS_IS) -> Machine:
    """Say what the models of a host run on: NVIDIA's GPUs, else AMD's, else the processor.

    Args:
        facts: of the host.
        outlook: what the roles make of NVIDIA's driver before models run.
    """
    by_amd = amd.judge(facts)
    by_nvidia = nvidia.judge(facts, by_amd.cards[0].name if by_amd.cards else "the CPU", outlook)
    present = nvidia.present(facts) and not outlook.removed
    if by_nvidia.cards:
        left = tuple(f"{c.name} is left alone: models run on NVIDIA's GPU." for c in by_amd.cards)
        return Machine(by_nvidia.cards, present, (*by_nvidia.reasons, *dict.fromkeys(left)), by_nvidia.warnings)
    reasons = (*by_nvidia.reasons, *by_amd.reasons)
    warnings = (*by_nvidia.warnings, *by_amd.warnings)
    if not by_amd.cards and not reasons and not warnings:
        reasons = _nothing(facts)
    return Machine(by_amd.cards, present, reasons, warnings)


def _nothing(facts: HostFacts) -> tuple[str, ...]:
    """What is said where neither maker has a card."""
    if facts.intel_devices:
        ids = ", ".join(f"{INTEL}:{d.device_id}" for d in facts.intel_devices)
        return (f"Intel display device found ({ids}): it is too slow or not supported, so models run on the CPU.",)
    return ("No GPU found: models run on the CPU.",)
