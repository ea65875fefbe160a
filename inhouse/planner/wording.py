"""Sentences and numbers of a plan, as a person reads them."""

from collections.abc import Iterator

from inhouse.facts.model import HostFacts
from inhouse.planner import machine as machines
from inhouse.planner.budget import Budget
from inhouse.planner.decide import Decision
from inhouse.planner.explain import why_not
from inhouse.planner.loads import slots
from inhouse.planner.machine import Machine
from inhouse.planner.needs import GOAL, LADDER
from inhouse.planner.plan import PlannedModel
from inhouse.planner.selection import Chosen, Selection
from inhouse.planner.speed import Speed
from inhouse.units import counted, gib, listed, number, rate


def hardware(facts: HostFacts, machine: Machine) -> str:
    """One line: "RTX 4090 24 GiB, 16 threads, 64 GiB RAM"."""
    parts = []
    if machine.cards:
        each = [f"{c.name} {'unified memory' if c.unified else as_on_the_box(c.memory_mib)}" for c in machine.cards]
        parts += counted(each)
    elif machine.has_nvidia:
        parts.append(f"{machines.names(facts)} (not usable)")
    return ", ".join((*parts, f"{facts.cpu.threads} threads", f"{as_on_the_box(facts.memory_total_mib)} RAM"))


def as_on_the_box(mib: float) -> str:
    """Whole GiB; tenths below 4 GiB."""
    return gib(mib) if mib < 4000 else f"{round(mib / 1024)} GiB"


def tokens_per_second(model: PlannedModel) -> str:
    """The speed of one answer: "38 measured", "31 to 42, likely 36"; "" where it is not known or says nothing."""
    likely, low, high = model.tokens_per_second, model.tokens_per_second_low, model.tokens_per_second_high
    if likely is None or model.purposes == ("embedding",):
        return ""
    if model.speed_measured:
        return f"{rate(likely)} measured"
    if low is None or high is None or rate(low) == rate(high):
        return f"about {rate(likely)}"
    return f"{rate(low)} to {rate(high)}, likely {rate(likely)}"


def reason(chosen: Chosen, decision: Decision, gpu_mib: int, ram_mib: int) -> str:
    """One sentence: why this model, what it takes, how fast it answers, and what the next better one lacks.

    Args:
        chosen: the model.
        decision: of its host.
        gpu_mib: what the plan says it takes on GPUs.
        ram_mib: and in RAM.
    """
    why = "Pinned in the inventory" if chosen.pinned else f"Best model for {listed(chosen.purposes)} that fits"
    parts = [f"{_lies(chosen, decision, gpu_mib, ram_mib)} at {chosen.use.context_length} tokens"]
    if chosen.speed and chosen.purposes != ("embedding",):
        parts.append(_speed(chosen.speed))
    return f"{why}: {', '.join(parts)}{_runner_up(chosen, decision)}."


def _lies(chosen: Chosen, decision: Decision, gpu_mib: int, ram_mib: int) -> str:
    share, budget = chosen.placement.share, decision.budget
    if share <= 0:
        return f"{gib(ram_mib)} of {gib(budget.ram)} in RAM"
    if share < 1:
        return f"{share:.0%} of its layers on the {_gpus(budget)} ({gib(gpu_mib)}) and the rest in RAM ({gib(ram_mib)})"
    if len(budget.cards) > 1 and chosen.model.tag in decision.layout.alone:
        largest = max(card.room_mib for card in budget.cards)
        return f"{gib(gpu_mib)} on one GPU of {as_on_the_box(largest)}"
    return f"{gib(gpu_mib)} of {gib(budget.usable)} on the {_gpus(budget)}"


def _gpus(budget: Budget) -> str:
    return "GPU" if len(budget.cards) == 1 else f"{len(budget.cards)} GPUs"


def _speed(speed: Speed) -> str:
    low, likely, high = (rate(round(one, 1)) for one in speed.tokens_per_second)  # as in the plan
    return f"{likely} tokens/s measured" if speed.measured else f"{low} to {high} tokens/s expected"


def _runner_up(chosen: Chosen, decision: Decision) -> str:
    """What stands against the next better model, as `--explain` says it; of embedding models nothing."""
    better = chosen.better
    if better is None or "embedding" in better.purposes:
        return ""
    purpose = next(p for p in better.purposes if p in chosen.purposes)
    other = why_not(better, purpose, decision.needs, decision.budget, decision.selection)
    return f"; {better.tag} {other.lacks[0]}" if other.lacks else ""


def about_host(decision: Decision) -> tuple[str, ...]:
    """Why the host's common settings are as they are."""
    if not decision.needs.purposes and decision.needs.settings.models == ():
        return ("No model is planned: models is an empty list, and purposes does not say what others are for.",)
    return (*_in_memory(decision.selection), *_context(decision), *_slots(decision), *_cache(decision))


def _in_memory(selection: Selection) -> Iterator[str]:
    turning = [c.model.tag for c in selection.chosen if not c.stays]
    if turning:
        verb = "is" if len(turning) == 1 else "are"
        yield f"{listed(turning)} {verb} loaded in turn: not all models fit in memory together."
    elif len(selection.chosen) > 1:
        yield "All models stay in memory together."


def _context(decision: Decision) -> Iterator[str]:
    asked, planned = decision.needs.settings.context_length, decision.selection.use.context_length
    if all(chosen.purposes == ("embedding",) for chosen in decision.selection.chosen):
        return
    if asked is None:
        most = LADDER[-1] if decision.budget.cards else GOAL
        why = "as far as the planner goes unasked" if planned >= most else "more would cost more than it is worth"
        yield f"Context {planned} tokens: {why} (context_length sets another)."
    elif asked > planned:
        yield f"Context {planned} tokens instead of {asked}: no model here was trained for more."


def _slots(decision: Decision) -> Iterator[str]:
    settings, planned = decision.needs.settings, decision.selection.use.parallel
    wanted = settings.parallel or settings.people
    talking = [c.model for c in decision.selection.chosen if c.purposes != ("embedding",)]
    single = [model.tag for model in talking if slots(model, wanted) < wanted]
    if single:
        verb = "answers" if len(single) == 1 else "answer"
        yield f"{listed(single)} {verb} one request at a time, whatever is set: of {wanted}, the others wait."
    if len(single) == len(talking):
        return
    if planned < wanted:
        why = "more would not fit" if planned < decision.needs.slots[0] else "no model gets more slots"
        yield f"{number(planned, 'request')} at a time of {wanted} wanted: {why}, the others wait."
    elif planned > 1:
        yield f"{planned} requests are answered side by side, each with a context of its own."


def _cache(decision: Decision) -> Iterator[str]:
    kind = decision.selection.use.kv_cache_type
    if decision.selection.chosen and kind != "f16" and decision.needs.settings.kv_cache_type is None:
        room = "a better model, more slots or more context"
        yield f"KV cache in {kind}: it takes half of f16, which makes room for {room}."
