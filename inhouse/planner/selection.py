"""Which models a host gets and how they run: the decision itself, pure and deterministic."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import memory, worth
from inhouse.planner.budget import Budget, Placement
from inhouse.planner.memory import Use
from inhouse.planner.needs import FLOOR as FLOOR
from inhouse.planner.needs import GOAL as GOAL
from inhouse.planner.needs import LADDER as LADDER
from inhouse.planner.needs import Needs as Needs
from inhouse.planner.options import Option
from inhouse.planner.search import NO_FLOOR, best, bound
from inhouse.planner.shortfall import nothing_for
from inhouse.planner.speed import Speed
from inhouse.planner.texts import Found, Key, Pins, fit_together


@dataclass(frozen=True)
class Chosen:
    """A model, what it is for, and how it runs."""

    model: Model
    purposes: tuple[str, ...]
    use: Use
    """With the slots and the context that it really gets."""
    placement: Placement
    speed: Speed | None
    """None where nothing is known of the device, and of embedding models."""
    pinned: bool = False
    better: Model | None = None
    """The next better model of the catalogue for its first purpose."""
    stays: bool = True
    """Stays loaded beside the others; False: takes turns with them."""


@dataclass(frozen=True)
class Selection:
    """All models of a host."""

    chosen: tuple[Chosen, ...]
    use: Use
    loaded: int
    """How many models may be loaded at the same time, so that whichever they are, all fit."""
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    key: Key
    """What the choice is worth, to be compared with that of another budget of the same host."""
    together: bool
    """All models stay loaded side by side."""


@dataclass(frozen=True)
class Candidate:
    """A model of one purpose, and what stands against it on a host. Memory is MiB."""

    model: Model
    use: Use
    need_mib: float
    """What it must find free on the accelerator."""
    room_mib: float
    """What it may take there."""
    missing_mib: float
    """What it lacks, on the accelerator or in RAM; 0 if it fits."""
    speed: Speed | None
    """With every layer on the accelerator; None: nothing is known of the device."""
    why_not: str | None
    """Why it cannot be chosen, as the end of a sentence that begins with its tag; None: it can."""


def candidates(needs: Needs, budget: Budget, purpose: Purpose) -> tuple[Candidate, ...]:
    """Every model of a purpose that the planned Ollama can run, the best first, each with its verdict.

    Each is seen as if it were alone on the host, at the first context of `needs`, with all of it on the accelerator.
    """
    use = needs.use(needs.contexts[0])
    return tuple(judged(model, use, needs, budget) for model in needs.able(purpose))


def judged(model: Model, use: Use, needs: Needs, budget: Budget) -> Candidate:
    """One model's verdict on a host, as if it were alone there."""
    load = budget.load(model, use)
    missing = max(lacking(model, use, budget), 0.0)
    expected = None if "embedding" in model.purposes else budget.speed(model, load.use)
    likely = expected.tokens_per_second.likely if expected else None
    why_not = None
    if model.file_mib > needs.disk_mib:
        why_not = f"needs {model.file_mib} MiB of disk, {max(needs.disk_mib, 0):.0f} MiB can be used"
    elif missing > 0:
        why_not = f"needs {missing:.0f} MiB more at {use.context_length} tokens"
    elif likely is not None and likely < needs.settings.min_tokens_per_second:
        least = needs.settings.min_tokens_per_second
        why_not = f"would answer at {likely:.1f} tokens/s, {least:g} are the least (min_tokens_per_second)"
    elif likely is not None and likely < worth.liked(model, needs.wants):
        why_not = f"would be slow at {likely:.0f} tokens/s"
    elif expected is None and not budget.cards and model.parameters_b > worth.CPU_EMBEDDING_B:
        why_not = "is slow to index documents on a CPU"
    return Candidate(model, load.use, budget.needed(load), budget.usable, missing, expected, why_not)


def lacking(model: Model, use: Use, budget: Budget) -> float:
    """MiB a model lacks to run on the accelerator with every layer; zero or below if it fits."""
    load = budget.load(model, use)
    return max(budget.needed(load) - budget.usable, budget.in_ram(load) - budget.ram)


def select(needs: Needs, budget: Budget, floor: float = NO_FLOOR) -> Selection:
    """Choose the models of a host: those pinned, and the best for each purpose that no pin serves.

    A selection that is worth `floor` or less need not be the best.
    """
    pinned, problems = _pins(needs.settings.models or ())
    fitting = [m for m in pinned if _can_run(m, needs, budget)]
    pins = Pins(
        tuple(m for m in fitting if "embedding" not in m.purposes),
        tuple(m for m in fitting if "embedding" in m.purposes),
    )
    served = {p for m in pinned for p in m.purposes}
    open_ = tuple(p for p in needs.purposes if p not in served)
    found = best(needs, budget, open_, pins, floor)
    misfits = [m for m in pinned if m not in fitting]
    said = tuple(_misfit(m, needs, budget, found.use) for m in misfits)
    forced = needs.settings.force_models
    return _selection(
        found,
        needs,
        budget,
        pinned=pinned,
        problems=(*problems, *(() if forced else said), *_unserved(open_, found, needs, budget)),
        warnings=said if forced else (),
    )


def most(needs: Needs, budget: Budget, floor: float) -> float:
    """What no selection for a budget is worth more than; looked at no closer than needed to find it below `floor`."""
    pinned, _ = _pins(needs.settings.models or ())
    served = {p for m in pinned for p in m.purposes}
    texts = tuple(m for m in pinned if "embedding" not in m.purposes)
    return bound(needs, budget, tuple(p for p in needs.purposes if p not in served), Pins(texts), floor)


def _pins(tags: Iterable[str]) -> tuple[list[Model], tuple[str, ...]]:
    known, problems = [], []
    for tag in dict.fromkeys(tags):
        model = catalogue.find(tag)
        if model:
            known.append(model)
            continue
        near = ", ".join(catalogue.nearest(tag)) or "nothing like it"
        problems.append(f'models: "{tag}" is not in the catalogue, so its memory is not known; nearest: {near}.')
    return known, tuple(problems)


def _can_run(model: Model, needs: Needs, budget: Budget) -> bool:
    """Whether a pinned model runs in some way, partly in RAM if that is fast enough."""
    pins = Pins((), (model,)) if "embedding" in model.purposes else Pins((model,), ())
    return best(needs, budget, (), pins).key[0] > -worth.UNSERVED / 2


def _misfit(model: Model, needs: Needs, budget: Budget, use: Use) -> str:
    """Say of a pinned model that does not fit, or answers too slowly, what it lacks and what can be done."""
    load = budget.load(model, use)
    over = lacking(model, use, budget)
    slow = ""
    partly = budget.place(model, use)
    if over > 0 and partly and (speed := budget.speed(model, load.use, partly.share)):
        likely, wanted = speed.tokens_per_second.likely, worth.liked(model, needs.wants)
        slow = (
            f" With {1 - partly.share:.0%} of it in RAM it would answer at {likely:.1f} tokens/s; "
            f"{wanted:g} are wanted of it then."
        )
    if over <= 0:
        speed = budget.speed(model, load.use)
        likely = speed.tokens_per_second.likely if speed else 0.0
        return (
            f"models: {model.tag} would answer at {likely:.1f} tokens/s, {needs.settings.min_tokens_per_second:g} are "
            f"the least (min_tokens_per_second). {_ways_out('lower that', needs)}"
        )
    where, needed, usable = budget.short_of(load)
    return (
        f"models: {model.tag} needs {needed:.0f} MiB {where} at {use.context_length} tokens, "
        f"{usable:.0f} MiB can be used: {over:.0f} MiB are missing.{slow} "
        f"{_ways_out('lower context_length or parallel', needs)}"
    )


def _ways_out(lower: str, needs: Needs) -> str:
    if needs.settings.force_models:
        return "It is planned all the same (force_models: true)."
    return f"Pin a smaller model, {lower}, or set force_models: true."


def _unserved(purposes: Sequence[Purpose], found: Found, needs: Needs, budget: Budget) -> tuple[str, ...]:
    lack = [p for p in purposes if p not in found.serving and not (p == "embedding" and found.embeddings)]
    taken = sum(o.model.file_mib for o in (*found.texts, *found.embeddings))
    return tuple(nothing_for(purpose, needs, budget, taken) for purpose in lack)


def _selection(
    found: Found,
    needs: Needs,
    budget: Budget,
    *,
    pinned: Sequence[Model],
    problems: tuple[str, ...],
    warnings: tuple[str, ...],
) -> Selection:
    options = {o.model.tag: o for o in (*found.texts, *found.embeddings)}
    loaded, staying = _loaded(found, budget)
    chosen = [_pin(m, options.get(m.tag), staying, budget, found.use) for m in pinned]
    for option in options.values():
        if option.model not in pinned:
            chosen.append(_choice(option, found, needs, stays=option in staying))
    if len(chosen) == 1:  # nothing takes turns with it
        chosen = [replace(chosen[0], stays=True)]
    chosen.sort(key=lambda c: _place_in_list(c, pinned, needs))
    texts = [c for c in chosen if c.purposes != ("embedding",)]
    context = max((c.use.context_length for c in texts), default=found.use.context_length)
    use = found.use._replace(context_length=context, parallel=max((c.use.parallel for c in texts), default=1))
    worth_, speed, size = found.key
    key = (worth_ - worth.WITHOUT_PIN * (len(pinned) - sum(m.tag in options for m in pinned)), speed, size)
    return Selection(tuple(chosen), use, loaded, problems, warnings, key, found.together)


def _place_in_list(chosen: Chosen, pinned: Sequence[Model], needs: Needs) -> tuple[int, int]:
    """Pins as they are written, then the others in the order of their purposes."""
    if chosen.pinned:
        return 0, list(pinned).index(chosen.model)
    return 1, min(list(needs.purposes).index(p) for p in chosen.purposes if p in needs.purposes)


def _pin(model: Model, option: Option | None, staying: Sequence[Option], budget: Budget, use: Use) -> Chosen:
    purposes = tuple(model.purposes)
    if option:
        return _chosen(option, purposes, pinned=True, stays=option in staying)
    load = budget.load(model, use)  # it does not fit: planned only if that is forced, and then as far as it goes
    in_ram = Placement(0.0, 0.0, load.cpu)
    placed = budget.place(model, use) or in_ram
    speed = None if "embedding" in purposes else budget.speed(model, load.use, placed.share)
    return Chosen(model, purposes, load.use, placed, speed, pinned=True, stays=False)


def _choice(option: Option, found: Found, needs: Needs, *, stays: bool) -> Chosen:
    serves = tuple(p for p in needs.purposes if found.serving.get(p) is option)
    if not serves:
        return _chosen(option, ("embedding",), stays=stays)
    better = None
    for model in needs.able(serves[0]):
        if model is option.model:
            break
        better = model
    return _chosen(option, serves, stays=stays, better=better)


def _chosen(
    option: Option, purposes: tuple[str, ...], *, stays: bool, pinned: bool = False, better: Model | None = None
) -> Chosen:
    return Chosen(option.model, purposes, option.load.use, option.placement, option.speed, pinned, better, stays)


def _loaded(found: Found, budget: Budget) -> tuple[int, tuple[Option, ...]]:
    """How many models may be loaded together, and which stay loaded whatever is asked for."""
    everyone = (*found.texts, *found.embeddings)
    if found.together or len(everyone) < 2:
        return max(len(everyone), 1), everyone
    staying = found.embeddings if found.embedding_stays else ()
    for number in range(len(staying) + 1, 1, -1):
        if all(fit_together(some, budget) or _unloads(some, budget) for some in combinations(everyone, number)):
            return number, staying if number == len(staying) + 1 else ()
    return 1, ()


def _unloads(options: Sequence[Option], budget: Budget) -> bool:
    """Whether Ollama is sure to unload one of these models instead of leaving a part of another in RAM."""
    total = sum(budget.needed(o.load) for o in options)
    return all(
        o.load.predicted > memory.SINGLE_GPU_SHARE * (budget.free - total + budget.needed(o.load)) for o in options
    )
