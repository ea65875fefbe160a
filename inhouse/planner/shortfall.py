"""Why a purpose cannot be served, in words: the need that cannot be met, and the nearest that can."""

from dataclasses import replace

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.catalogue.version import version
from inhouse.planner.budget import Budget
from inhouse.planner.memory import Use
from inhouse.planner.needs import GOAL, LADDER, Needs
from inhouse.planner.search import best
from inhouse.planner.texts import Pins


def nothing_for(purpose: Purpose, needs: Needs, budget: Budget, taken_mib: int) -> str:
    """Say why no model for a purpose can be planned on a host beside others that take so much of its disk."""
    everyone = needs.able(purpose)
    if not everyone:
        return _nothing_able(purpose, needs)
    modest = _modest(needs, needs.contexts[-1])
    small = [m for m in everyone if m.file_mib <= needs.disk_mib - taken_mib]
    if not small:
        return _too_large_for_disk(purpose, needs, needs.disk_mib - taken_mib, beside=taken_mib > 0)
    running = [m for m in small if _runs(m, modest, budget)]
    if running and purpose != "embedding":
        return _too_slow(purpose, running, modest, needs, budget)
    shorter = _longest_context(purpose, needs, budget) if purpose != "embedding" else None
    return f"{_too_large(purpose, small, modest, budget)}{shorter or ''} {_ADVICE}"


def _too_large_for_disk(purpose: Purpose, needs: Needs, left_mib: float, *, beside: bool) -> str:
    least = min(needs.able(purpose), key=lambda m: m.file_mib)
    other = "raise models_disk_gib" if needs.settings.models_disk_gib else "lower disk_reserve_mib"
    others = " beside the others" if beside else ""
    return (
        f"No {purpose} model fits on the disk{others}: the smallest, {least.tag}, takes {least.file_mib} MiB, "
        f"{max(left_mib, 0):.0f} MiB can be used. Set ollama_models_dir to a larger disk, or {other}."
    )


_ADVICE = "Add memory, or take the host out of the inventory."


def _nothing_able(purpose: Purpose, needs: Needs) -> str:
    """No row of the catalogue will do, whatever the hardware: name the settings that leave none."""
    settings = needs.settings
    release = version(settings.ollama_version)
    everyone = [m for m in catalogue.models() if purpose in m.purposes]
    running = [m for m in everyone if version(m.min_ollama) <= release]
    if not running:
        return f"No {purpose} model of the catalogue runs on Ollama {settings.ollama_version}."
    allowed = [m for m in running if settings.licences is None or m.licence in settings.licences]
    if not allowed:
        found = ", ".join(sorted({m.licence for m in running}))
        wanted = ", ".join(settings.licences or ())
        return f"No {purpose} model has the licence {wanted} (licences). Those of {purpose} models are: {found}."
    named = {code for m in allowed for code in m.languages}
    missing = [code for code in settings.languages if code not in named]
    wanted = " and ".join(missing or settings.languages)
    most = max(allowed, key=lambda m: (len(set(settings.languages) & set(m.languages)), m.quality_for(purpose)))
    speaks = " and ".join(code for code in settings.languages if code in most.languages)
    nearest = f" Nearest: {most.tag} names {speaks}." if speaks else ""
    of_licence = f" with the licence {' or '.join(settings.licences)} (licences)" if settings.licences else ""
    return f"No {purpose} model{of_licence} names {wanted} among its languages (languages).{nearest}"


def _modest(needs: Needs, context: int) -> Use:
    """The use that takes the least memory of those that may be planned at a context."""
    return Use(context, needs.slots[-1], needs.cache_types[-1], needs.flash_attention)


def _runs(model: Model, use: Use, budget: Budget) -> bool:
    """Whether it runs at all, however slowly."""
    return budget.place(model, use) is not None


def _likely(model: Model, use: Use, budget: Budget) -> float:
    """Likely tokens/s, as much of the model on the accelerator as fits."""
    placed = budget.place(model, use)
    speed = budget.speed(model, budget.load(model, use).use, placed.share) if placed else None
    return speed.tokens_per_second.likely if speed else 0.0


def _too_slow(purpose: Purpose, running: list[Model], use: Use, needs: Needs, budget: Budget) -> str:
    least = needs.settings.min_tokens_per_second
    fastest = max(running, key=lambda m: _likely(m, use, budget))
    likely = _likely(fastest, use, budget)
    text = (
        f"No {purpose} model answers at {least:g} tokens/s (min_tokens_per_second) at {use.context_length} tokens. "
        f"Nearest: {purpose} at {use.context_length} tokens runs {fastest.tag} at about {likely:.1f} tokens/s"
    )
    if use.context_length > GOAL:
        shorter = use._replace(context_length=GOAL)
        other = max(running, key=lambda m: _likely(m, shorter, budget))
        text += f", at {GOAL} tokens {other.tag} at about {_likely(other, shorter, budget):.1f}"
    faster = "a GPU with memory of more bandwidth" if budget.cards else "a GPU"
    return f"{text}. {least:g} tokens/s need {faster}; or lower min_tokens_per_second."


def _too_large(purpose: Purpose, small: list[Model], use: Use, budget: Budget) -> str:
    least = min(small, key=lambda m: budget.needed(budget.load(m, use)))
    where, needed, usable = budget.short_of(budget.load(least, use))
    found = f"{budget.total} MiB of {'GPU memory' if budget.cards else 'RAM'} found"
    return (
        f"No {purpose} model fits: {found}, models may take {usable:.0f} MiB {where}; "
        f"the smallest, {least.tag}, needs {needed:.0f} MiB there at "
        f"{min(use.context_length, least.context_trained)} tokens."
    )


def _longest_context(purpose: Purpose, needs: Needs, budget: Budget) -> str | None:
    """The longest shorter context at which a model would run, where a context was asked for."""
    asked = needs.settings.context_length or 0
    for context in sorted((c for c in (2048, *LADDER, 65536, 131072) if c < asked), reverse=True):
        shorter = replace(needs, settings=replace(needs.settings, context_length=context))
        if option := best(shorter, budget, (purpose,), Pins()).serving.get(purpose):
            speed = f" at about {option.likely:.1f} tokens/s" if option.speed else ""
            return f" Nearest: {purpose} at {context} tokens runs {option.model.tag}{speed}."
    return None
