"""Which NVIDIA driver a host is to have, by its cards, its system, and what the inventory states for it.

The facts behind the rules stand in the catalogue (drivers.yml, and releases.yml for what Ollama asks).
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from inhouse.catalogue.chips import CHIPS
from inhouse.catalogue.drivers import ChipNeeds, Family, Module, Origin, System, drivers
from inhouse.catalogue.gpus import find
from inhouse.catalogue.releases import releases
from inhouse.catalogue.version import version
from inhouse.facts.model import PASSED_THROUGH, DisplayDevice, HostFacts, Virtualization
from inhouse.planner.nvidia_names import names
from inhouse.role_variables import NOTHING, RoleVariables
from inhouse.units import listed

_SPARK = "12.1"
"""Compute capability of GB10, whose driver is part of the system it is sold with."""
_VGPU = re.compile(r"^GRID |-\d+[ABCQ]$")
"""Names of virtual GPUs: "GRID T4-16Q", "NVIDIA A16-8Q", "NVIDIA H100L-2-24C"."""


class Owner(StrEnum):
    """Who changes the driver of a host's cards."""

    HOST = "the host itself"
    BELOW = "the machine that a container runs on"
    WINDOWS = "Windows"
    JETPACK = "NVIDIA's JetPack"
    DGX_OS = "NVIDIA's DGX OS"
    HYPERVISOR = "whoever runs the hypervisor"


@dataclass(frozen=True)
class Outlook:
    """What the roles will have made of the driver before the first model runs."""

    mended: bool = False
    """It will be as wanted, whatever it is now."""
    removed: bool = False
    remedy: str = ""
    """What a person types where the roles must not go on; "" for what suits the distribution."""


AS_IS = Outlook()


@dataclass(frozen=True)
class Wanted:
    """What the role nvidia_driver is told."""

    source: Origin
    branch: str
    module: Module
    minimum: str
    """Oldest version that is good enough."""
    maximum_branch: str
    """Newest branch that knows all cards; "" while new ones do."""
    desktop: bool

    def variables(self) -> dict[str, Any]:
        """By the role's names."""
        return {"nvidia_driver_state": "present", **{f"nvidia_driver_{name}": one for name, one in vars(self).items()}}


@dataclass(frozen=True)
class Impossible:
    """Why no driver can be had, and what to do about it: both sentences."""

    why: str
    advice: str
    stated: str = ""
    """The variable of the inventory that makes it so."""


class Cards:
    """What the NVIDIA cards of a host that Ollama could use have in common."""

    def __init__(self, facts: HostFacts) -> None:
        """Leave out what is handed to guests, and what is too old anyway."""
        devices = usable(facts)
        rows = [find(d.device_id) for d in devices]
        computes = {row.compute for row in rows if row} | {gpu.compute_capability for gpu in facts.nvidia.gpus}
        # In WSL and in some containers a driver shows cards that are not on the PCI bus.
        found = [drivers().family(d.device_id) for d in devices] or list(_families(computes))
        self.families: tuple[Family, ...] = tuple(dict.fromkeys(found))
        self.chips: tuple[ChipNeeds, ...] = tuple(c for c in drivers().chips if c.compute in computes)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Kernel modules that drive all of them, the better one first; none where no driver does."""
        every = self.families[0].modules if self.families else ()
        return tuple(module for module in every if all(module in family.modules for family in self.families))

    @cached_property
    def last_branch(self) -> str | None:
        """Newest branch that knows all of them; None while new ones do."""
        return min((f.last_branch for f in self.families if f.last_branch), default=None)

    @cached_property
    def minimum(self) -> str:
        """Oldest branch that knows all of them and that Ollama takes for them."""
        ollama = releases().ollama
        floors = [
            ollama.driver_floor_below_compute_7 if f.below_compute_7 else ollama.driver_floor for f in self.families
        ]
        firsts = [*(f.first_branch for f in self.families), *(chip.first_branch for chip in self.chips)]
        return str(max((*floors, *(int(first) for first in firsts if first)), default=ollama.driver_floor))

    def take(self, branch: str) -> bool:
        """Whether a branch knows all of them and Ollama takes it."""
        return int(self.minimum) <= int(branch) <= int(self.last_branch or branch)


def _families(computes: Collection[str | None]) -> Iterator[Family]:
    """Families of chips with these compute capabilities."""
    generations = {chip.generation for chip in CHIPS.values() if chip.compute in computes}
    yield from (family for family in drivers().families if generations & set(family.generations))


def usable(facts: HostFacts) -> tuple[DisplayDevice, ...]:
    """NVIDIA's cards that are this host's and that Ollama could use."""
    own = (d for d in facts.nvidia_devices if d.kernel_driver not in PASSED_THROUGH)
    return tuple(d for d in own if drivers().family(d.device_id).usable)


def owner(facts: HostFacts) -> Owner:
    """Who changes the driver of this host's cards."""
    if facts.virtualization is Virtualization.WSL:
        return Owner.WINDOWS
    if facts.virtualization is Virtualization.CONTAINER:
        return Owner.BELOW
    if facts.jetson_linux:
        return Owner.JETPACK
    rows = [find(d.device_id) for d in facts.nvidia_devices]
    if any(row and row.compute == _SPARK for row in rows):
        return Owner.DGX_OS
    virtual = any(_VGPU.search(gpu.name) for gpu in facts.nvidia.gpus)
    return Owner.HYPERVISOR if virtual else Owner.HOST


def decide(facts: HostFacts, stated: RoleVariables = NOTHING) -> Wanted | Impossible:
    """Choose the driver for a host with cards by NVIDIA; what is stated counts, unless it cannot work."""
    cards = Cards(facts)
    system = drivers().system(facts.os.id, facts.os.version_id)
    if not cards.families:
        return Impossible("No card of NVIDIA's that Ollama could use is there.", "Run: sudo lspci -nn")
    if not cards.modules:
        return _no_driver_for_all(facts)
    if system is None:
        branch = cards.last_branch or drivers().production
        return Impossible(
            f"Where {facts.os.name} gets its driver from is not known.",
            f"Install NVIDIA's driver of branch {branch} as the makers of {facts.os.name} describe, then reboot.",
        )
    choice = _Choice(facts, cards, system, stated)
    return next(choice.refused(), None) or choice.made()


@dataclass(frozen=True)
class _Choice:
    """Branch, source and module, one after the other."""

    facts: HostFacts
    cards: Cards
    system: System
    stated: RoleVariables

    def made(self) -> Wanted | Impossible:
        """The first source that has a driver for the cards."""
        asked = self.stated.get("nvidia_driver_source")
        sources: list[Origin] = (
            [asked] if asked else sorted(("distribution", "nvidia"), key=lambda source: source != self.system.prefers)
        )
        for source in sources:
            if branch := self._branch(source):
                return self._wanted(source, branch)
        return self._nothing(asked)

    def _branch(self, source: Origin) -> str | None:
        if source == "distribution" and self._kernel_too_new():
            return None
        there = self.system.branches(source, self.facts.os.architecture)
        if wish := self.asked_branch():
            # What NVIDIA's repository has beside the branches that are known only apt can tell, on the host.
            trusted = source == "nvidia" and (there or "nvidia_driver_repository" in self.stated)
            return wish if trusted or wish in there else None
        fitting = [branch for branch in there if self.cards.take(branch)]
        best = self.cards.last_branch or drivers().production
        return best if best in fitting else max(fitting, default=None)

    def _wanted(self, source: Origin, branch: str) -> Wanted:
        get, cards = self.stated.get, self.cards
        desktop = get("nvidia_driver_desktop")
        return Wanted(
            source=source,
            branch=branch,
            module=get("nvidia_driver_module") or cards.modules[0],
            minimum=get("nvidia_driver_minimum") or cards.minimum,
            maximum_branch=get("nvidia_driver_maximum_branch") or cards.last_branch or "",
            desktop=self.facts.machine.desktop if desktop is None else desktop,
        )

    def asked_branch(self) -> str | None:
        """As stated, by itself or by an exact version."""
        exact: str = self.stated.get("nvidia_driver_version") or ""
        branch: str | None = self.stated.get("nvidia_driver_branch")
        return branch or exact.partition(".")[0] or None

    def refused(self) -> Iterator[Impossible]:
        """What is stated and cannot be."""
        get, cards, asked = self.stated.get, self.cards, self.asked_branch()
        exact, module = get("nvidia_driver_version"), get("nvidia_driver_module")
        known = [row.branch for row in drivers().branches]
        name = "nvidia_driver_branch" if "nvidia_driver_branch" in self.stated else "nvidia_driver_version"
        if asked and asked not in known:
            yield _refused(name, asked, f"known branches are {', '.join(known)}", "Take one of these.")
        elif asked and not cards.take(asked):
            yield _refused(
                name, asked, self._about(), f"Take one from {cards.minimum} on{self._to()}, or leave it out."
            )
        if exact and asked and exact.partition(".")[0] != asked:
            yield _refused("nvidia_driver_version", exact, f"nvidia_driver_branch is {asked}", "Let them agree.")
        if module and module not in cards.modules:
            why = f"{names(self.facts)} works with NVIDIA's {cards.modules[0]} kernel module alone"
            yield _refused("nvidia_driver_module", module, why, "Leave it out.")
        if module == "proprietary" and asked and (row := drivers().branch(asked)) and row.open_only:
            yield _refused("nvidia_driver_module", module, f"branch {asked} has open modules alone", "Leave it out.")
        for name in ("nvidia_driver_minimum", "nvidia_driver_maximum_branch"):
            if get(name) and not version(get(name)):
                yield _refused(name, get(name), 'a version such as "580" is needed', "Write one, or leave it out.")

    def _about(self) -> str:
        needs = f"{names(self.facts)} needs branch {self.cards.minimum} or newer for Ollama"
        last = self.cards.last_branch
        return f"{needs}, and {last} is the last that knows it" if last else needs

    def _to(self) -> str:
        return f" to {self.cards.last_branch}" if self.cards.last_branch else ""

    def _kernel_too_new(self) -> bool:
        limit = self.system.own_newest_kernel
        kernels = [self.facts.os.kernel, *(kernel.name for kernel in self.facts.machine.kernels)]
        return limit is not None and any(version(kernel) > version(limit) for kernel in kernels)

    def _nothing(self, asked: Origin | None) -> Impossible:
        """Why no source has one."""
        system, architecture = self.system, self.facts.os.architecture
        needed = self.asked_branch() or f"{self.cards.minimum}{self._to() or ' or newer'}"
        own = f"its own is {' and '.join(system.own)}" if system.own else "it has none of its own"
        if system.own and self._kernel_too_new():
            own += f", which cannot be built for kernels newer than {system.own_newest_kernel}"
        there = system.branches("nvidia", architecture)
        theirs = f"NVIDIA's repository for it has {' and '.join(there) or f'none for {architecture}'}"
        why = f"{system.name} has no driver of branch {needed} for {names(self.facts)}: {own}, {theirs}"
        if asked:
            return _refused("nvidia_driver_source", asked, why, "Leave it out.")
        if branch := self.asked_branch():
            return _refused("nvidia_driver_branch", branch, why, "Leave it out.")
        others = [s.name for s in drivers().systems if s.id in ("debian", "ubuntu") and self._served_by(s)]
        instead = f"Reinstall the host with {', '.join(others[:-1])} or {others[-1]}"
        kernel = (
            f"Keep to kernels up to {system.own_newest_kernel}, or reinstall" if self._kernel_too_new() else "Reinstall"
        )
        wish = self.cards.last_branch or drivers().production
        repository = f"; or, where a repository of yours has branch {wish}, set nvidia_driver_branch to it"
        return Impossible(f"{why}.", f"{instead.replace('Reinstall', kernel)}{repository}.")

    def _served_by(self, system: System) -> bool:
        sources: tuple[Origin, ...] = ("distribution", "nvidia")
        return any(self.cards.take(b) for s in sources for b in system.branches(s, self.facts.os.architecture))


def _refused(name: str, value: object, why: str, advice: str) -> Impossible:
    return Impossible(f"{name} is {value}, but {why}.", advice, name)


def _no_driver_for_all(facts: HostFacts) -> Impossible:
    """Cards whose drivers exclude each other."""
    families = Cards(facts).families
    old = [f for f in families if "open" not in f.modules]
    new = [f for f in families if "proprietary" not in f.modules]
    why = (
        f"No driver knows all of them: {listed([f.name for f in old])} need branch {old[0].last_branch} with its "
        f"proprietary module, {listed([f.name for f in new])} an open one."
    )
    return Impossible(why, "Run: sudo poweroff, and take cards out.")
