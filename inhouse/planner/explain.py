"""What came close: the models that are better than a chosen one, and what each would have needed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.catalogue.version import version
from inhouse.planner.budget import Budget
from inhouse.planner.memory import Use
from inhouse.planner.selection import Candidate, Chosen, Needs, Selection, candidates, lacking
from inhouse.settings import HostSettings
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
    """Its numbers on this host; None where it was not looked at (it needs another release of Ollama, …)."""
    lacks: tuple[str, ...]
    """What it would have needed, each as the end of a sentence that begins with its tag; empty: nothing."""
    instead: str | None
    """With which other settings it would fit: "with q8_0 KV it would fit at 8192 tokens"."""

    @property
    def sentence(self) -> str:
        """All of it, without the tag."""
        text = ", ".join(self.lacks) or "would fit"
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
    return tuple(_explained(purpose, needs, budget, selection) for purpose in _purposes(needs, selection))


def _purposes(needs: Needs, selection: Selection) -> tuple[Purpose, ...]:
    """What was asked for, and what pinned models are for."""
    return tuple(dict.fromkeys((*needs.purposes, *(p for c in selection.chosen if c.pinned for p in c.model.purposes))))


def _explained(purpose: Purpose, needs: Needs, budget: Budget, selection: Selection) -> Explanation:
    chosen = next((c for c in selection.chosen if purpose in c.purposes), None)
    judged = {c.model.tag: c for c in candidates(needs, budget, purpose)}
    rest = sorted(
        (m for m in catalogue.models() if purpose in m.purposes and not (chosen and m == chosen.model)),
        key=lambda m: (-m.quality_for(purpose), m.file_mib, m.tag),
    )
    looked_at = [runner_up(model, judged.get(model.tag), needs, budget) for model in rest]
    if chosen is None:
        return Explanation(purpose, None, tuple(reversed(looked_at)), ())
    quality = chosen.model.quality_for(purpose)
    better = [
        one if one.lacks else replace(one, lacks=(_passed_over(one, chosen, purpose, budget, selection),))
        for one in looked_at
        if one.model.quality_for(purpose) > quality
    ]
    others = [one for one in looked_at if one.model.quality_for(purpose) <= quality]
    return Explanation(purpose, chosen.model, tuple(reversed(better)), tuple(others))


def _passed_over(one: RunnerUp, chosen: Chosen, purpose: Purpose, budget: Budget, selection: Selection) -> str:
    """Why a better model that would fit if it were alone on the host was not chosen."""
    model, others = one.model, [c.model for c in selection.chosen if purpose not in c.purposes]
    left = replace(budget, usable=max(budget.usable - sum(budget.need(m, selection.use) for m in others), 0.0))
    beside = f" beside {listed([m.tag for m in others])}" if others else ""
    if one.candidate and (missing := lacking(model, one.candidate.use, left)) > 0:
        return f"needs {gib(missing)} more{beside}"
    if (missing := lacking(model, selection.use, left)) > 0:
        slots = f"{selection.use.parallel} x " if selection.use.parallel > 1 else ""
        return f"needs {gib(missing)} more at {slots}{selection.use.context_length} tokens{beside}"
    if further := [p for p in chosen.purposes if p not in model.purposes]:
        return f"fits, but is not for {listed(further)}, as {chosen.model.tag} is"
    own, likely = one.candidate and one.candidate.speed, chosen.speed
    if own and likely and own.tokens_per_second.likely < SLOWER * likely.tokens_per_second.likely:
        rates = rate(own.tokens_per_second.likely), rate(likely.tokens_per_second.likely)
        return f"fits, but answers at about {rates[0]} tokens/s, {chosen.model.tag} at {rates[1]}"
    if len(chosen.purposes) > 1:
        return f"fits, but over {listed(chosen.purposes)} {chosen.model.tag} is the better one"
    return f"fits, but {chosen.model.tag} is worth more with its context, speed and memory"


def runner_up(model: Model, candidate: Candidate | None, needs: Needs, budget: Budget) -> RunnerUp:
    """Say what a model would have needed on a host."""
    lacks = tuple(_lacks(model, candidate, needs))
    instead = _instead(model, candidate.use, budget) if candidate and candidate.missing_mib > 0 else None
    return RunnerUp(model, candidate, lacks, instead)


def _lacks(model: Model, candidate: Candidate | None, needs: Needs) -> Iterator[str]:
    asked = (*_of_the_model(model, needs.settings), *_of_the_host(model, candidate, needs))
    yield from asked
    if not asked and candidate and candidate.why_not:
        yield candidate.why_not


def _of_the_model(model: Model, asked: HostSettings) -> Iterator[str]:
    """What no other hardware would mend."""
    if version(model.min_ollama) > version(asked.ollama_version):
        yield f"needs Ollama {model.min_ollama}"
    if asked.licences and model.licence not in asked.licences:
        yield f"licence {model.licence} is not allowed"
    if unknown := [code for code in asked.languages if code not in model.languages]:
        yield f"its maker does not name {' and '.join(unknown)}"
    if "embedding" not in model.purposes and model.context_trained < (asked.context_length or 0):
        yield f"was trained for {model.context_trained} tokens, {asked.context_length} are asked for"


def _of_the_host(model: Model, candidate: Candidate | None, needs: Needs) -> Iterator[str]:
    if candidate is None:
        return
    if candidate.missing_mib > 0:
        yield f"needs {gib(candidate.missing_mib)} more"
    if (over := model.file_mib - needs.disk_mib) > 0:
        yield f"needs {gib(over)} more disk"
    floor = needs.settings.min_tokens_per_second
    if candidate.speed and "embedding" not in model.purposes:
        likely = candidate.speed.tokens_per_second.likely
        if likely < floor:
            yield f"too slow: about {rate(likely)} tokens/s, {rate(floor)} needed"


def _instead(model: Model, use: Use, budget: Budget) -> str | None:
    """The least change of settings with which a model would fit; None if none of these few suffices."""
    for other, words in _alternatives(use):
        if lacking(model, other, budget) <= 0:
            return f"{words} it would fit at {min(other.context_length, model.context_trained)} tokens"
    return None


def _alternatives(use: Use) -> Iterator[tuple[Use, str]]:
    """Other ways to run a model, the one that costs people least first."""
    smaller = replace(use, kv_cache_type="q8_0") if use.kv_cache_type == "f16" and use.flash_attention else None
    fewer = replace(use, parallel=use.parallel - 1) if use.parallel > 1 else None
    if smaller:
        yield smaller, "with q8_0 KV"
    if fewer:
        yield fewer, f"with parallel {fewer.parallel}"
    if use.context_length // 2 >= SHORTEST_CONTEXT:
        half = use.context_length // 2
        yield replace(use, context_length=half), "with a shorter context"
        if smaller:
            yield replace(smaller, context_length=half), "with q8_0 KV and a shorter context"
