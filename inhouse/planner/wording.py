"""Sentences and numbers of a plan, as a person reads them."""

from inhouse.facts.model import HostFacts
from inhouse.planner import machine as machines
from inhouse.planner.budget import Budget
from inhouse.planner.machine import Machine
from inhouse.planner.plan import PlannedModel
from inhouse.planner.selection import GOAL, LADDER, Chosen, Selection, lacking
from inhouse.units import gib, rate


def hardware(facts: HostFacts, machine: Machine) -> str:
    """One line: "RTX 4090 24 GiB, 16 threads, 64 GiB RAM"."""
    parts = []
    if machine.cards:
        each = [f"{c.name} {'unified memory' if c.unified else as_on_the_box(c.memory_mib)}" for c in machine.cards]
        parts += [f"{each.count(e)} x {e}" if each.count(e) > 1 else e for e in dict.fromkeys(each)]
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


def reason(chosen: Chosen, selection: Selection, budget: Budget) -> str:
    """One sentence: why this model, and what the next better one would need."""
    model, use = chosen.model, selection.use
    why = "Pinned in the inventory" if chosen.pinned else f"Best model for {' and '.join(chosen.purposes)} that fits"
    room = min(budget.usable, budget.room(model, use))
    context = min(use.context_length, model.context_trained)
    need = budget.need(model, use)
    text = f"{why}: {need / 1024:.1f} of {gib(room)} {_where(chosen, selection, budget)} at {context} tokens"
    expected = budget.tokens_per_second(model)
    if expected and "embedding" not in model.purposes:
        text += f", about {expected:.0f} tokens/s expected"
    return f"{text}{_runner_up(chosen, selection, budget)}."


def _where(chosen: Chosen, selection: Selection, budget: Budget) -> str:
    if not budget.cards:
        return "in RAM"
    if len(budget.cards) == 1:
        return "on the GPU"
    return "on one GPU" if budget.alone(chosen.model, selection.use) else f"on {len(budget.cards)} GPUs"


def _runner_up(chosen: Chosen, selection: Selection, budget: Budget) -> str:
    """What the next better model lacks; nothing where embeddings are kept small on purpose."""
    better = chosen.better
    if better is None or "embedding" in better.purposes:
        return ""
    missing = lacking(better, selection.use, budget)
    if missing > 0:
        return f"; {better.tag} would need {gib(missing)} more"
    expected = budget.tokens_per_second(better)
    if expected is None or budget.cards:
        return ""
    thinks = ", which thinks before it answers," if better.thinks else ""
    return f"; {better.tag}{thinks} would be too slow at {expected:.0f} tokens/s"


def about_host(selection: Selection, budget: Budget, context_length: int | None) -> tuple[str, ...]:
    """Why the host's common settings are as they are."""
    reasons = []
    number = len(selection.chosen)
    use = selection.use
    if number > 1:
        some = f"{selection.loaded} of {number} models fit in memory together: the others are loaded in turn."
        reasons.append("All models fit in memory together." if selection.loaded == number else some)
    if number and context_length is None:
        limit = LADDER[-1] if budget.cards else GOAL
        why = "the longest that fits" if use.context_length < limit else "as far as the planner goes unasked"
        reasons.append(f"Context {use.context_length} tokens: {why} (context_length sets another).")
    elif number and context_length and context_length > use.context_length:
        reasons.append(
            f"Context {use.context_length} tokens instead of {context_length}: no model here was trained for more."
        )
    return tuple(reasons)
