"""Machines side by side: what each runs, and what it cannot run that another can. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inhouse.catalogue.models import Model
from inhouse.planner import speed
from inhouse.planner.budget import Budget
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.explain import runner_up
from inhouse.planner.hardware import imagined_host, parse
from inhouse.planner.plan import Plan
from inhouse.planner.selection import Needs, Selection, candidates
from inhouse.settings import HostSettings


@dataclass(frozen=True)
class Compared:
    """One machine."""

    text: str
    """As a person named it."""
    plan: Plan
    bandwidth_gbs: float | None
    """Of the memory that models are read from: one GPU's, or the RAM's (an assumption); None: not known."""
    cannot: tuple[str, ...]
    """What other machines of the comparison run and this one cannot, each with what is missing."""


@dataclass(frozen=True)
class _Machine:
    text: str
    plan: Plan
    needs: Needs
    budget: Budget
    selection: Selection


def compare(texts: Sequence[str], settings: HostSettings) -> tuple[Compared, ...]:
    """Plan for machines of which each is written as for `hardware.parse`.

    Raises:
        PlanError: one of them is not understood.
    """
    machines = [_planned(text, settings) for text in dict.fromkeys(texts)]
    return tuple(Compared(m.text, m.plan, _bandwidth(m.budget), tuple(_cannot(m, machines))) for m in machines)


def _planned(text: str, settings: HostSettings) -> _Machine:
    host, facts = imagined_host(settings), parse(text)
    return _Machine(text, make_plan(host, facts), *decided(host, facts))


def _bandwidth(budget: Budget) -> float | None:
    if not budget.cards:
        return speed.likely_ram_gbs(budget.cores)
    known = [card.bandwidth_gbs for card in budget.cards if card.bandwidth_gbs]
    return min(known) if len(known) == len(budget.cards) else None


def _cannot(machine: _Machine, machines: Sequence[_Machine]) -> Iterator[str]:
    """For each purpose the better models that others run: what this machine lacks for them."""
    for purpose in machine.needs.settings.purposes:
        mine = next((c.model.quality_for(purpose) for c in machine.selection.chosen if purpose in c.purposes), 0)
        judged = {c.model.tag: c for c in candidates(machine.needs, machine.budget, purpose)}
        for model in _run_by_others(purpose, machines):
            if model.quality_for(purpose) > mine:
                other = runner_up(model, judged.get(model.tag), machine.needs, machine.budget)
                yield f"{model.tag} for {purpose}: {other.sentence}"


def _run_by_others(purpose: str, machines: Sequence[_Machine]) -> list[Model]:
    found = [c.model for m in machines for c in m.selection.chosen if purpose in c.purposes]
    return list({model.tag: model for model in found}.values())
