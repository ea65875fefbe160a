"""Which models, at which context: the decision itself, pure and deterministic."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.catalogue.version import version
from inhouse.planner import speed
from inhouse.planner.budget import Budget
from inhouse.planner.memory import Use
from inhouse.planner.speed import Speed
from inhouse.settings import HostSettings

GOAL = 8192
"""Context that a chat with a document or two needs."""
FLOOR = 4096
"""Below this a chat forgets its beginning after a few answers."""
LADDER = (FLOOR, GOAL, 16384, 32768)
"""Contexts the planner chooses from. Beyond the last, reading a full context takes minutes and Ollama's batches grow to
2048 tokens with buffers of gigabytes: that is for `context_length` to ask for."""
EMBEDDING_SHARE = 0.08
"""Part of the memory kept for the embedding model."""
CPU_EMBEDDING_B = 0.2
"""Largest embedding model on a CPU, in thousand millions of parameters: documents are indexed while somebody waits."""


@dataclass(frozen=True)
class Chosen:
    """A model, and what it is for."""

    model: Model
    purposes: tuple[str, ...]
    pinned: bool = False
    better: Model | None = None
    """The next better model of the catalogue, which did not fit or was too slow."""


@dataclass(frozen=True)
class Selection:
    """All models of a host."""

    chosen: tuple[Chosen, ...]
    use: Use
    loaded: int
    """How many of them, whichever they are, fit in memory together."""
    problems: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Rank of the worst model that generates text; 0 if there is none."""
        return min((c.model.rank for c in self.chosen if c.purposes != ("embedding",)), default=0)


@dataclass(frozen=True)
class Needs:
    """What is asked of a host."""

    settings: HostSettings
    flash_attention: bool
    disk_mib: float
    """What all models together may take on disk."""

    def use(self, context_length: int) -> Use:
        """The settings at a context."""
        asked = self.settings
        return Use(context_length, asked.parallel or 1, asked.kv_cache_type or "f16", self.flash_attention)

    @property
    def contexts(self) -> tuple[int, ...]:
        """Contexts to try, the wanted one first."""
        return (self.settings.context_length,) if self.settings.context_length else (GOAL, FLOOR)


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
    """None: nothing is known of the device."""
    why_not: str | None
    """Why it cannot be chosen, as the end of a sentence that begins with its tag; None: it can."""


def candidates(needs: Needs, budget: Budget, purpose: Purpose) -> tuple[Candidate, ...]:
    """Every model of a purpose that the planned Ollama can run, the best first, each with its verdict.

    Each is seen as if it were alone on the host, at the first context of `needs`.
    """
    use = needs.use(needs.contexts[0])
    return tuple(_judged(model, use, needs, budget) for model in _for(purpose, needs))


def _judged(model: Model, use: Use, needs: Needs, budget: Budget) -> Candidate:
    missing = max(lacking(model, use, budget), 0.0)
    expected = budget.speed(model, use)
    why_not = None
    if model.file_mib > needs.disk_mib:
        why_not = f"needs {model.file_mib} MiB of disk, {max(needs.disk_mib, 0):.0f} MiB can be used"
    elif missing > 0:
        why_not = f"needs {missing:.0f} MiB more at {use.context_length} tokens"
    elif not _pleasant(model, needs, budget):
        known = "embedding" not in model.purposes and expected
        why_not = (
            f"would be slow at {expected.tokens_per_second.likely:.0f} tokens/s" if known and expected else "is slow"
        )
    room = min(budget.usable, budget.room(model, use))
    return Candidate(model, use, budget.need(model, use), room, missing, expected, why_not)


def select(needs: Needs, budget: Budget) -> Selection:
    """Choose the models of a host: those pinned, else the best for each purpose."""
    pins = needs.settings.models
    chosen, problems = _by_purpose(needs, budget) if pins is None else _pinned(pins)
    use = _base_use(chosen, needs, budget)
    if pins is not None:
        problems += _misfits(chosen, use, budget)
    loaded = _together(chosen, use, budget)
    return Selection(chosen, _grow(chosen, use, loaded, needs, budget), loaded, problems)


def _by_purpose(needs: Needs, budget: Budget) -> tuple[tuple[Chosen, ...], tuple[str, ...]]:
    purposes = needs.settings.purposes
    smallest = min((budget.need(m, needs.use(FLOOR)) for m in _for("embedding", needs)), default=0.0)
    kept = max(budget.usable * EMBEDDING_SHARE, smallest) if "embedding" in purposes else 0.0
    found: dict[str, Chosen] = {}
    problems: tuple[str, ...] = ()
    disk = needs.disk_mib
    for purpose in purposes:
        room = kept if purpose == "embedding" else budget.usable - kept
        best = _best(purpose, replace(needs, disk_mib=disk), replace(budget, usable=max(room, 0.0)))
        if best is None:
            problems += (_nothing(purpose, needs, budget),)
            continue
        if best.model.tag not in found:
            disk -= best.model.file_mib
        earlier = found.get(best.model.tag)
        found[best.model.tag] = replace(earlier, purposes=(*earlier.purposes, purpose)) if earlier else best
    return tuple(found.values()), problems


def _best(purpose: Purpose, needs: Needs, budget: Budget) -> Chosen | None:
    """The best model for a purpose that fits and is fast enough; the fastest that fits if none is."""
    candidates = [m for m in _for(purpose, needs) if m.file_mib <= needs.disk_mib]
    for context in needs.contexts:
        fitting = [m for m in candidates if fits(m, needs.use(context), budget)]
        pleasant = [m for m in fitting if _pleasant(m, needs, budget)]
        if pleasant or fitting:
            best = pleasant[0] if pleasant else min(fitting, key=speed.gigabytes_per_token)
            better = [m for m in _for(purpose, needs) if m.rank > best.rank]
            return Chosen(best, (purpose,), better=better[-1] if better else None)
    return None


def _for(purpose: Purpose, needs: Needs) -> list[Model]:
    """Models for a purpose that the planned Ollama can run, the best first.

    Where a context is asked for, only those trained for it, unless none is. Texts to embed come in pieces, so it
    does not bind embedding models.
    """
    release = version(needs.settings.ollama_version)
    able = [m for m in catalogue.models() if purpose in m.purposes and version(m.min_ollama) <= release]
    asked = needs.settings.context_length or 0
    if purpose != "embedding":
        able = [m for m in able if m.context_trained >= asked] or able
    return sorted(able, key=lambda m: (-m.rank, speed.gigabytes_per_token(m), m.tag))


def _pleasant(model: Model, needs: Needs, budget: Budget) -> bool:
    if "embedding" in model.purposes:
        return bool(budget.cards) or model.parameters_b <= CPU_EMBEDDING_B
    expected = budget.tokens_per_second(model)
    if expected is None:
        return True
    return expected >= needs.settings.min_tokens_per_second and (
        bool(budget.cards) or speed.comfortable(model, expected)
    )


def fits(model: Model, use: Use, budget: Budget) -> bool:
    """Whether all of a model runs on the accelerator, with room for what is kept free."""
    return lacking(model, use, budget) <= 0


def lacking(model: Model, use: Use, budget: Budget) -> float:
    """MiB a model lacks; zero or below if it fits."""
    room = min(budget.usable, budget.room(model, use))
    return max(budget.need(model, use) - room, budget.need_ram(model, use) - budget.ram)


def _pinned(pins: Iterable[str]) -> tuple[tuple[Chosen, ...], tuple[str, ...]]:
    chosen, problems = [], []
    for tag in dict.fromkeys(pins):
        model = catalogue.find(tag)
        if model:
            chosen.append(Chosen(model, tuple(model.purposes), pinned=True))
            continue
        near = ", ".join(catalogue.nearest(tag)) or "nothing like it"
        problems.append(f'models: "{tag}" is not in the catalogue, so its memory is not known; nearest: {near}.')
    return tuple(chosen), tuple(problems)


def _misfits(chosen: Sequence[Chosen], use: Use, budget: Budget) -> tuple[str, ...]:
    """Say of each pinned model that does not fit how much it lacks."""
    where = "on the GPU" if budget.cards else "in RAM"
    return tuple(
        f"models: {c.model.tag} needs {budget.need(c.model, use):.0f} MiB {where} at {use.context_length} tokens, "
        f"{min(budget.usable, budget.room(c.model, use)):.0f} MiB can be used: {over:.0f} MiB are missing. "
        "Pin a smaller model, or lower context_length or parallel."
        for c in chosen
        if (over := lacking(c.model, use, budget)) > 0
    )


def _nothing(purpose: Purpose, needs: Needs, budget: Budget) -> str:
    """Say why no model for a purpose fits, by the smallest there is."""
    use = needs.use(needs.contexts[-1])
    all_models = _for(purpose, needs)
    if not all_models:
        return f"No {purpose} model of the catalogue runs on Ollama {needs.settings.ollama_version}."
    least = min(all_models, key=lambda m: budget.need(m, use))
    where = f"{budget.total} MiB of {'GPU memory' if budget.cards else 'RAM'}"
    sentence = (
        f"No {purpose} model fits: {where} found, of which models may take {budget.usable:.0f} MiB; "
        f"the smallest, {least.tag}, needs {budget.need(least, use):.0f} MiB at {use.context_length} tokens"
    )
    if least.file_mib > needs.disk_mib:
        sentence += f" and {least.file_mib} MiB of disk, where {max(needs.disk_mib, 0):.0f} MiB can be used"
    return f"{sentence}. Add memory or disk, or take the host out of the inventory."


def _base_use(chosen: Sequence[Chosen], needs: Needs, budget: Budget) -> Use:
    """The first context at which every chosen model fits, else the lowest."""
    for context in needs.contexts:
        if all(fits(c.model, needs.use(context), budget) for c in chosen):
            return needs.use(context)
    return needs.use(needs.contexts[-1])


def _together(chosen: Sequence[Chosen], use: Use, budget: Budget) -> int:
    """How many models fit in memory together, whichever they are; at least one."""
    needed = sorted((budget.need(c.model, use) for c in chosen), reverse=True)
    in_ram = sorted((budget.need_ram(c.model, use) for c in chosen), reverse=True)
    fitting = [
        n for n in range(1, len(chosen) + 1) if sum(needed[:n]) <= budget.usable and sum(in_ram[:n]) <= budget.ram
    ]
    return max(fitting, default=1)


def _grow(chosen: Sequence[Chosen], use: Use, loaded: int, needs: Needs, budget: Budget) -> Use:
    """The longest context that costs nothing else; never above what the models were trained for."""
    trained = max((c.model.context_trained for c in chosen if c.purposes != ("embedding",)), default=use.context_length)
    if needs.settings.context_length or not budget.cards:
        return replace(use, context_length=min(use.context_length, trained))
    best = use
    for context in (c for c in LADDER if use.context_length < c <= trained):
        longer = needs.use(context)
        if all(fits(c.model, longer, budget) for c in chosen) and _together(chosen, longer, budget) == loaded:
            best = longer
    return replace(best, context_length=min(best.context_length, trained))
