"""Machines side by side: what each runs, and what it cannot run that another can. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inhouse.catalogue.models import Model
from inhouse.planner import apple
from inhouse.planner.budget import Budget
from inhouse.planner.choose import decided, make_plan, planned
from inhouse.planner.explain import why_not
from inhouse.planner.hardware import Wanted, facts_of, imagined_host, read
from inhouse.planner.machine import judge
from inhouse.planner.plan import PlannedModel
from inhouse.planner.selection import Needs, Selection
from inhouse.settings import HostSettings


@dataclass(frozen=True)
class Compared:
    """One machine."""

    text: str
    """As a person named it."""
    hardware: str
    accelerator: str
    """As in `Plan`; "metal" of Apple's machines."""
    memory_mib: int
    """The GPUs' memory or the RAM, all of it."""
    bandwidth_gbs: float | None
    """Of the memory that models are read from: one GPU's, or the RAM's (an assumption); None: not known."""
    models: tuple[PlannedModel, ...]
    notes: tuple[str, ...]
    """Why its GPU is not used, warnings and problems of its plan."""
    deployable: bool
    """inhouse can take it to a working service."""
    unified: bool = False
    """The GPU's memory is the RAM."""
    cannot: tuple[str, ...] = ()
    """What other machines of the comparison run and this one cannot, each with what is missing."""


@dataclass(frozen=True)
class _Machine:
    shown: Compared
    needs: Needs
    budget: Budget
    selection: Selection


def compare(texts: Sequence[str], settings: HostSettings) -> tuple[Compared, ...]:
    """Plan for machines of which each is written as for `hardware.read`.

    Raises:
        PlanError: one of them is not understood.
    """
    machines = [_planned(text, read(text), settings) for text in dict.fromkeys(texts)]
    return tuple(replace(one.shown, cannot=tuple(_cannot(one, machines))) for one in machines)


def _planned(text: str, wanted: Wanted, settings: HostSettings) -> _Machine:
    if wanted.apple:
        return _by_apple(text, wanted, settings)
    host, facts = imagined_host(settings), facts_of(wanted)
    plan = make_plan(host, facts)
    needs, budget, selection = decided(host, facts)
    unused = judge(facts).reasons if wanted.cards and plan.accelerator == "cpu" else ()
    shown = Compared(
        text=text,
        hardware=plan.hardware,
        accelerator=plan.accelerator,
        memory_mib=plan.memory_total_mib,
        bandwidth_gbs=_bandwidth(budget),
        models=plan.models,
        notes=(*unused, *plan.warnings, *plan.problems),
        deployable=True,
        unified=budget.kind.unified,
    )
    return _Machine(shown, needs, budget, selection)


def _by_apple(text: str, wanted: Wanted, settings: HostSettings) -> _Machine:
    machine = wanted.cards[0]
    decision = apple.decide(machine, wanted, settings)
    shown = Compared(
        text=text,
        hardware=apple.hardware(machine),
        accelerator="metal",
        memory_mib=machine.memory_mib,
        bandwidth_gbs=machine.bandwidth_gbs,
        models=tuple(planned(chosen, decision) for chosen in decision.selection.chosen),
        notes=decision.selection.problems,
        deployable=False,
        unified=True,
    )
    return _Machine(shown, decision.needs, decision.budget, decision.selection)


def _bandwidth(budget: Budget) -> float | None:
    if not budget.cards:
        return budget.ram_gbs
    known = [card.bandwidth_gbs for card in budget.cards if card.bandwidth_gbs]
    return min(known) if len(known) == len(budget.cards) else None


def _cannot(machine: _Machine, machines: Sequence[_Machine]) -> Iterator[str]:
    """For each purpose the better models that others run: what this machine lacks for them."""
    for purpose in machine.needs.purposes:
        mine = next((c.model.quality_for(purpose) for c in machine.selection.chosen if purpose in c.purposes), 0)
        for model in _run_by(machines, purpose):
            if model.quality_for(purpose) > mine:
                other = why_not(model, purpose, machine.needs, machine.budget, machine.selection)
                if other.fits is None:
                    yield f"{model.tag} for {purpose}: {other.sentence}"


def _run_by(machines: Sequence[_Machine], purpose: str) -> list[Model]:
    found = [c.model for m in machines for c in m.selection.chosen if purpose in c.purposes]
    return list({model.tag: model for model in found}.values())
