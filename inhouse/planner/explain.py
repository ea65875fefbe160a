"""What came close: the models that are better than a chosen one, and what each would have needed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.catalogue.version import version
from inhouse.planner import worth
from inhouse.planner.budget import Budget
from inhouse.planner.memory import Use
from inhouse.planner.needs import is_frail
from inhouse.planner.selection import Candidate, Chosen, Needs, Selection, candidates, judged, lacking
from inhouse.units import gib, listed, rate

SHOWN = 5
"""Runner-ups of one purpose that a person is shown."""
SLOWER = 0.8
"""Below this part of the chosen model's speed a better model is said to be slower."""
SHORTEST_CONTEXT = 2048
"""Tokens below which no context is proposed: a question with its answer hardly fits."""


@dataclass(frozen=True)
class RunnerUp:
    """A model that was not chosen."""

    model: Model
    candidate: Candidate | None
    """Its numbers on this host; None where it is not allowed here (it needs another release of Ollama, …)."""
    lacks: tuple[str, ...]
    """What it would have needed, each as the end of a sentence that begins with its tag."""
    instead: str | None = None
    """In which other way it would run: "with q8_0 KV it would fit at 8192 tokens"."""
    fits: str | None = None
    """How it fits if it is alone on the host: "fits", "fits with q8_0 KV"; None if it lacks something."""
    likely: float | None = None
    """Tokens/s at which it would then answer; None where that is not known."""

    @property
    def sentence(self) -> str:
        """All of it, without the tag."""
        text = ", ".join(self.lacks) or self.fits or "is not looked at"
        return f"{text}; {self.instead}" if self.instead else text


@dataclass(frozen=True)
class Explanation:
    """One purpose of one host."""

    purpose: Purpose
    chosen: Model | None
    better: tuple[RunnerUp, ...]
    """Models of higher quality, the next better one first."""
    others: tuple[RunnerUp, ...]
    """The rest, best first."""


def explain(needs: Needs, budget: Budget, selection: Selection) -> tuple[Explanation, ...]:
    """Say for each purpose of a host what was chosen, and what stands against everything else."""
    pinned = (p for c in selection.chosen if c.pinned for p in c.model.purposes)
    purposes = dict.fromkeys((*needs.purposes, *pinned))
    return tuple(_explained(purpose, needs, budget, selection) for purpose in purposes)


def _explained(purpose: Purpose, needs: Needs, budget: Budget, selection: Selection) -> Explanation:
    chosen = next((c for c in selection.chosen if purpose in c.purposes), None)
    judgements = {c.model.tag: c for c in candidates(needs, budget, purpose)}
    rest = sorted(
        (m for m in catalogue.models() if purpose in m.purposes and not (chosen and m == chosen.model)),
        key=lambda m: (-m.quality_for(purpose), m.file_mib, m.tag),
    )
    looked_at = [_runner_up(model, judgements.get(model.tag), needs, budget) for model in rest]
    if chosen is None:
        return Explanation(purpose, None, tuple(reversed(looked_at)), ())
    quality = chosen.model.quality_for(purpose)
    better = [
        _passed_over(one, chosen, purpose, budget, selection)
        for one in looked_at
        if one.model.quality_for(purpose) > quality
    ]
    others = [one for one in looked_at if one.model.quality_for(purpose) <= quality]
    return Explanation(purpose, chosen.model, tuple(reversed(better)), tuple(others))


def why_not(model: Model, purpose: Purpose, needs: Needs, budget: Budget, selection: Selection) -> RunnerUp:
    """Say of one model why a host does not run it for a purpose."""
    allowed = model in needs.able(purpose)
    candidate = judged(model, needs.use(needs.contexts[0]), needs, budget) if allowed else None
    one = _runner_up(model, candidate, needs, budget)
    chosen = next((c for c in selection.chosen if purpose in c.purposes), None)
    return _passed_over(one, chosen, purpose, budget, selection) if chosen else one


def _runner_up(model: Model, candidate: Candidate | None, needs: Needs, budget: Budget) -> RunnerUp:
    """Say what a model would have needed if it were alone on the host."""
    lacks = list(_of_the_model(model, needs))
    if candidate is None:
        return RunnerUp(model, None, tuple(lacks))
    if (over := model.file_mib - needs.disk_mib) > 0:
        lacks.append(f"needs {gib(over)} more disk")
    way = _way(model, candidate, needs, budget)
    if way.missing:
        ram = " RAM" if budget.cards and candidate.need_mib <= candidate.room_mib else ""
        lacks.insert(0, f"needs {gib(candidate.missing_mib)} more{ram}")
    elif slow := _slow(model, candidate, way.share, needs, budget):
        lacks.append(slow)
    elif candidate.why_not and not lacks and candidate.missing_mib <= 0:
        lacks.append(candidate.why_not)
    if lacks:
        return RunnerUp(model, candidate, tuple(lacks), way.instead)
    return RunnerUp(model, candidate, (), None, way.words, _likely(model, candidate, way.share, budget))


@dataclass(frozen=True)
class _Way:
    """How a model runs on a host when it is alone there."""

    missing: bool
    """It does not, in no way that the planner tries."""
    words: str = "fits"
    share: float = 1.0
    """Part of its layers on the accelerator."""
    instead: str | None = None


def _way(model: Model, candidate: Candidate, needs: Needs, budget: Budget) -> _Way:
    """The first way in which a model fits: as wanted, in another that the planner tries, or in one that it may not."""
    use, on_gpu = candidate.use, bool(budget.cards)
    if candidate.missing_mib <= 0:
        return _Way(False)
    tried = set(needs.uses(on_gpu))
    for other, words in _alternatives(use):
        if lacking(model, other, budget) <= 0:
            if other in tried:
                return _Way(False, f"fits {words}")
            return _Way(
                True, instead=f"{words} it would fit at {min(other.context_length, model.context_trained)} tokens"
            )
    placed = budget.place(model, use)
    if placed is None or "embedding" in model.purposes:
        return _Way(True)
    in_ram = f"with {1 - placed.share:.0%} of it in RAM"
    slow = _slow(model, candidate, placed.share, needs, budget)
    return _Way(True, instead=f"{in_ram} {slow}") if slow else _Way(False, f"fits {in_ram}", placed.share)


def _alternatives(use: Use) -> Iterator[tuple[Use, str]]:
    """Other ways to run a model, the one that costs people least first."""
    smaller = use._replace(kv_cache_type="q8_0") if use.kv_cache_type == "f16" and use.flash_attention else None
    fewer = use._replace(parallel=use.parallel - 1) if use.parallel > 1 else None
    if smaller:
        yield smaller, "with q8_0 KV"
    if fewer:
        yield fewer, f"with parallel {fewer.parallel}"
    if use.context_length // 2 >= SHORTEST_CONTEXT:
        half = use.context_length // 2
        yield use._replace(context_length=half), "with a shorter context"
        if smaller:
            yield smaller._replace(context_length=half), "with q8_0 KV and a shorter context"


def _slow(model: Model, candidate: Candidate, share: float, needs: Needs, budget: Budget) -> str | None:
    """That a model is slower than was asked for, or than a person likes; None if it is not."""
    likely, wanted = _likely(model, candidate, share, budget), worth.liked(model, needs.wants)
    if likely is None or likely >= wanted:
        return None
    word = "needed" if needs.wants.speed_is_stated else "wanted"
    thinks = " since it thinks first" if model.thinks else ""
    says = f"about {rate(likely)}" if rate(likely) != rate(wanted) else f"just below {rate(wanted)}"
    return f"too slow: {says} tokens/s, {rate(wanted)} {word}{thinks}"


def _likely(model: Model, candidate: Candidate, share: float, budget: Budget) -> float | None:
    """Tokens/s with a part of the layers on the accelerator; None of embedding models, and where nothing is known."""
    if "embedding" in model.purposes:
        return None
    expected = candidate.speed if share >= 1 else budget.speed(model, candidate.use, share)
    return expected.tokens_per_second.likely if expected else None


def _of_the_model(model: Model, needs: Needs) -> Iterator[str]:
    """What no other hardware would mend."""
    asked = needs.settings
    if version(model.min_ollama) > version(asked.ollama_version):
        yield f"needs Ollama {model.min_ollama}"
    if asked.licences and model.licence not in asked.licences:
        yield f"licence {model.licence} is not allowed"
    if unknown := [code for code in asked.languages if code not in model.languages]:
        yield f"its maker does not name {listed(unknown)}"
    if "embedding" not in model.purposes and model.context_trained < (asked.context_length or 0):
        yield f"was trained for {model.context_trained} tokens, {asked.context_length} are asked for"
    if is_frail(model) and not needs.takes_frail:
        yield "ends its engine with a quantized KV cache and several slots (kv_cache_type: f16 would allow it)"


def _passed_over(one: RunnerUp, chosen: Chosen, purpose: Purpose, budget: Budget, selection: Selection) -> RunnerUp:
    """Why a better model was not chosen that would fit if it were alone on the host."""
    if one.fits is None or one.candidate is None:
        return one
    others = _beside(chosen, purpose, budget, selection)
    left = replace(budget, usable=max(budget.usable - sum(budget.needed_by(m, selection.use) for m in others), 0.0))
    beside = f" beside {listed([m.tag for m in others])}" if others else ""
    if one.fits == "fits" and (missing := lacking(one.model, one.candidate.use, left)) > 0:
        return replace(one, lacks=(f"needs {gib(missing)} more{beside}",), fits=None)
    if one.fits == "fits" and (missing := lacking(one.model, selection.use, left)) > 0:
        slots = f"{selection.use.parallel} x " if selection.use.parallel > 1 else ""
        at = f"{slots}{selection.use.context_length} tokens"
        return replace(one, lacks=(f"needs {gib(missing)} more at {at}{beside}",), fits=None)
    return replace(one, fits=f"{one.fits}, but {_worth_less(one.model, one.likely, chosen)}")


def _beside(chosen: Chosen, purpose: Purpose, budget: Budget, selection: Selection) -> list[Model]:
    """What is loaded beside the model for a purpose: those that stay, and of those that take turns the largest.

    One that takes turns itself has none of the others beside it.
    """
    others = [c for c in selection.chosen if purpose not in c.purposes]
    turning = [c.model for c in others if not c.stays]
    beside = [c.model for c in others if c.stays]
    if chosen.stays and turning:
        beside.append(max(turning, key=lambda model: budget.needed_by(model, selection.use)))
    return beside


def _worth_less(model: Model, likely: float | None, chosen: Chosen) -> str:
    """What the planner holds against a better model that fits."""
    if chosen.pinned:
        return f"{chosen.model.tag} is pinned"
    if further := [p for p in chosen.purposes if p not in model.purposes]:
        return f"is not for {listed(further)}, as {chosen.model.tag} is"
    theirs = chosen.speed.tokens_per_second.likely if chosen.speed else None
    if likely and theirs and likely < SLOWER * theirs:
        return f"answers at about {rate(likely)} tokens/s, {chosen.model.tag} at {rate(theirs)}"
    if len(chosen.purposes) > 1:
        return f"over {listed(chosen.purposes)} {chosen.model.tag} is the better one"
    return f"{chosen.model.tag} is worth more with its context, speed and memory"
