"""On what a host's models run, decided together with the models: on some of its GPUs, or on its CPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from inhouse.catalogue.version import version
from inhouse.facts.model import Cpu, HostFacts
from inhouse.planner import budget as budgets
from inhouse.planner import cards as card_sets
from inhouse.planner.budget import Budget
from inhouse.planner.cards import Layout, layout
from inhouse.planner.machine import Card, Machine
from inhouse.planner.needs import Needs
from inhouse.planner.search import NO_FLOOR
from inhouse.planner.selection import Selection, most, select
from inhouse.planner.webui import Webui
from inhouse.settings import HostSettings
from inhouse.speeds import NONE, Speeds
from inhouse.units import counted, gib, listed

COUNTS_VISION_ONCE = "0.31.2"
"""First release of Ollama whose llama.cpp counts a model's vision part itself when it fits layers."""
MUCH_FASTER = 1.2
"""A part of different GPUs is taken instead of all if it is so much faster."""


@dataclass(frozen=True)
class Decision:
    """What runs on what."""

    needs: Needs
    budget: Budget
    selection: Selection
    layout: Layout
    fit_target: bool
    """Ollama is told how much of each GPU to leave free, so that it does not add the vision part to it."""
    reasons: tuple[str, ...]


def decide(
    settings: HostSettings,
    facts: HostFacts,
    machine: Machine,
    webui: Webui,
    disk_mib: float,
    speeds: Speeds = NONE,
) -> Decision:
    """Choose GPUs or CPU and the models: what is worth most; of equals all GPUs before some, some before the CPU."""
    counts_once = version(settings.ollama_version) >= version(COUNTS_VISION_ONCE)
    alike = _Alike(
        settings=settings,
        cards=tuple(_unnamed(number, card) for number, card in enumerate(machine.cards)),
        memory_mib=facts.memory_total_mib,
        cpu=facts.cpu,
        services_mib=webui.memory_mib,
        disk_mib=disk_mib,
        images=not counts_once or "vision" in settings.purposes,
        facts=facts,
        speeds=speeds,
    )
    best = _best(alike) if speeds is NONE else _Sets(alike).best()
    cards = tuple(machine.cards[alike.cards.index(c)] for c in best.budget.cards)
    reasons = tuple(_left_alone(machine, cards))
    budget = replace(best.budget, cards=cards)
    return Decision(best.needs, budget, best.selection, _layout(best.selection, best.budget), counts_once, reasons)


@dataclass(frozen=True)
class _Choice:
    needs: Needs
    budget: Budget
    selection: Selection


@dataclass(frozen=True)
class _Alike:
    """All that a choice depends on: the same for hosts of one kind, whose GPUs differ only in their UUIDs."""

    settings: HostSettings
    cards: tuple[Card, ...]
    """With numbers instead of UUIDs."""
    memory_mib: int
    cpu: Cpu
    services_mib: int
    disk_mib: float
    images: bool
    facts: HostFacts = field(compare=False)
    """Of any of them."""
    speeds: Speeds = field(compare=False)


def _unnamed(number: int, card: Card) -> Card:
    if not card.uuid:
        return card
    return replace(card, uuid=f"{card_sets.MIG if card.uuid.startswith(card_sets.MIG) else ''}{number}")


@lru_cache(maxsize=512)
def _best(alike: _Alike) -> _Choice:
    """The choice for hosts of one kind; the last 512 kinds are kept."""
    return _Sets(alike).best()


@dataclass(frozen=True)
class _Sets:
    """Looks at sets of GPUs and at the CPU, as far as one could be better than what was found."""

    alike: _Alike

    def best(self) -> _Choice:
        """The best of all."""
        best: _Choice | None = None
        for group in card_sets.groups(self.alike.cards):
            best = self._of_group(group, best)
        needs, budget = self._measure(())
        if best and most(needs, budget, _floor(best)) <= _floor(best):
            return best
        return _better(_Choice(needs, budget, select(needs, budget, _floor(best))), best)

    def _of_group(self, group: Sequence[tuple[Card, ...]], best: _Choice | None) -> _Choice:
        """All of a group's cards, and fewer where they differ, or where spreading over all costs what matters.

        It does not if nothing better would fit even without what spreading costs.
        """
        best = self._choose(group[0], best)
        fewer, ideal = group[1:], float("inf")
        if fewer and len({c.name for c in group[0]}) == 1:
            floor = best.selection.key[0]
            fewer = tuple(some for some in fewer if most(*self._measure(some), floor) > floor)
            ideal = self._without_spreading(group[0], floor) if fewer else floor
        for some in fewer:
            if best.selection.key[0] >= ideal:
                break
            best = self._choose(some, best)
        return best

    def _without_spreading(self, alike: tuple[Card, ...], floor: float) -> float:
        """What no part of cards that are alike is worth more than; `floor` if that is no more."""
        needs, budget = self._measure(alike)
        ideal = replace(budget, spread=1)
        return floor if most(needs, ideal, floor) <= floor else select(needs, ideal, floor).key[0]

    def _choose(self, some: tuple[Card, ...], best: _Choice | None) -> _Choice:
        needs, budget = self._measure(some)
        floor = NO_FLOOR
        if best and len({c.name for c in best.budget.cards}) == 1:
            floor = _floor(best)
            if most(needs, budget, floor) <= floor:
                return best
        return _better(_Choice(needs, budget, select(needs, budget, floor)), best)

    def _measure(self, some: tuple[Card, ...]) -> tuple[Needs, Budget]:
        alike = self.alike
        if some:
            budget = budgets.on_gpus(alike.facts, some, alike.services_mib, images=alike.images, speeds=alike.speeds)
        else:
            budget = budgets.on_cpu(alike.facts, alike.services_mib, alike.speeds)
        flash_attention = Machine(some, has_nvidia=True, reasons=(), warnings=()).flash_attention
        return Needs(alike.settings, flash_attention, alike.disk_mib), budget


def _floor(best: _Choice | None) -> float:
    return best.selection.key[0] if best else NO_FLOOR


def _better(choice: _Choice, than: _Choice | None) -> _Choice:
    """The better of two: the earlier unless the later is worth more, or is a much faster part of different cards."""
    if than is None or choice.selection.key[0] > than.selection.key[0]:
        return choice
    differ = len({c.name for c in than.budget.cards}) > 1 and choice.budget.cards
    faster = choice.selection.key[1] > than.selection.key[1] * MUCH_FASTER
    return choice if differ and faster and choice.selection.key[0] == than.selection.key[0] else than


def _layout(selection: Selection, budget: Budget) -> Layout:
    """How Ollama lays the chosen models over the GPUs: all together, or each with those that stay."""
    want = [(c.model, budget.load(c.model, selection.use).image if budget.images else 0.0) for c in selection.chosen]
    whole = [c.placement.share >= 1 for c in selection.chosen]
    staying = [pair for pair, c in zip(want, selection.chosen, strict=True) if c.stays]
    alone = [[*staying, pair] for pair, c, w in zip(want, selection.chosen, whole, strict=True) if not c.stays and w]
    return layout([want] if selection.together else alone or [staying], selection.use, budget)


def _left_alone(machine: Machine, used: Sequence[Card]) -> Iterator[str]:
    """Why GPUs that would work are not used."""
    left = [c for c in machine.cards if c not in used]
    if not left:
        return
    names = _names(left)
    if not used:
        yield f"{names} would hold less than what the CPU runs from RAM, or answer too slowly: left alone."
    elif left[0].backend != used[0].backend:
        yield f"{names} is left alone: Ollama does not mix GPUs of different makers."
    elif left[0].uuid.startswith(card_sets.MIG):
        yield f"{names} left alone: a process uses whole GPUs or one MIG slice, and the whole ones serve better here."
    else:
        yield f"{names} left alone: with it nothing better would fit, or answers would be slower."


def _names(cards: Sequence[Card]) -> str:
    return listed(counted([f"{c.name} ({gib(c.memory_mib)})" for c in cards]))
