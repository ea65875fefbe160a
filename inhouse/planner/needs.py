"""What is asked of a host: settings and what follows from them for the choice."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model, Purpose
from inhouse.catalogue.version import version
from inhouse.planner.kept import Kept
from inhouse.planner.memory import Use
from inhouse.settings import HostSettings

GOAL = 8192
"""Context that a chat with a document or two needs."""
FLOOR = 4096
"""Below this a chat forgets its beginning after a few answers."""
LADDER = (FLOOR, GOAL, 16384, 32768)
"""Contexts the planner chooses from. Beyond the last, reading a full context takes minutes and Ollama's batches grow to
2048 tokens with buffers of gigabytes: that is for `context_length` to ask for."""
SLOWEST_LIKED = 3.0
"""Tokens/s. Less may be tolerated (`min_tokens_per_second`), but is not taken for what a person likes."""
MOST_SLOTS = 64
"""Slots of one model that are ever planned; each has a context of its own."""


FRAIL = frozenset({"phi3"})
"""Architectures whose engine ends with a quantized KV cache and several slots (llama.cpp 11669, docs/oracle.md)."""


Allowed = tuple[str, tuple[str, ...] | None, tuple[str, ...], int, bool]
"""Release of Ollama, licences (None: any), languages, the context a model for text must be trained for, and whether
frail models do."""


class Wants(NamedTuple):
    """What the worth of a model depends on."""

    context_length: int | None
    """That was stated."""
    slots: int
    cache_type: str
    """The one of highest quality that may be."""
    least_speed: float
    """Tokens/s."""
    speed_is_stated: bool
    """Somebody said what is fast enough."""


@dataclass(frozen=True)
class Needs:
    """What is asked of a host."""

    settings: HostSettings
    flash_attention: bool
    disk_mib: float
    """What all models together may take on disk."""

    def use(self, context_length: int) -> Use:
        """The settings at a context, with as many slots as are wanted."""
        return Use(context_length, self.slots[0], self.settings.kv_cache_type or "f16", self.flash_attention)

    @Kept
    def purposes(self) -> tuple[Purpose, ...]:
        """What models are wanted for; none where models are pinned and purposes are not stated."""
        stated = "purposes" in self.settings.stated
        return () if self.settings.models is not None and not stated else self.settings.purposes

    @Kept
    def contexts(self) -> tuple[int, ...]:
        """Contexts for which models are looked for, the wanted one first."""
        return (self.settings.context_length,) if self.settings.context_length else (GOAL, FLOOR)

    @Kept
    def slots(self) -> tuple[int, ...]:
        """Numbers of slots to try, the wanted one first: one for each person, then halves of it."""
        if self.settings.parallel:
            return (self.settings.parallel,)
        most = min(self.settings.people, MOST_SLOTS)
        return tuple(dict.fromkeys(max(most >> halvings, 1) for halvings in range(most.bit_length())))

    @Kept
    def cache_types(self) -> tuple[str, ...]:
        """Types of the KV cache to try, the one of highest quality first."""
        if self.settings.kv_cache_type:
            return (self.settings.kv_cache_type,)
        pins = [catalogue.find(tag) for tag in self.settings.models or ()]
        frail = self.slots[0] > 1 and any(pin and is_frail(pin) for pin in pins)
        return ("f16", "q8_0") if self.flash_attention and not frail else ("f16",)

    @Kept
    def wants(self) -> Wants:
        """What the worth of a model depends on."""
        least = self.settings.min_tokens_per_second
        stated = "min_tokens_per_second" in self.settings.stated and least >= SLOWEST_LIKED
        return Wants(self.settings.context_length, self.slots[0], self.cache_types[0], least, stated)

    @Kept
    def allowed(self) -> Allowed:
        """What decides which models may be chosen, whatever the hardware."""
        settings, context = self.settings, self.settings.context_length or 0
        return settings.ollama_version, settings.licences, settings.languages, context, self.takes_frail

    @property
    def takes_frail(self) -> bool:
        """Frail models may be chosen: a quantized KV cache and several slots do not come together here."""
        return self.slots[0] == 1 or self.cache_types == ("f16",)

    def uses(self, on_gpu: bool) -> Iterator[Use]:
        """Every use that may be planned. On a CPU, where reading a prompt is slow, no context above the goal."""
        stated = self.settings.context_length
        ladder = (stated,) if stated else LADDER if on_gpu else (FLOOR, GOAL)
        for context in ladder:
            for slots in self.slots:
                for kind in self.cache_types:
                    yield Use(context, slots, kind, self.flash_attention)

    def able(self, purpose: Purpose) -> tuple[Model, ...]:
        """Models for a purpose that may be chosen here, whatever the hardware, the best first."""
        return able(purpose, self.allowed)


def is_frail(model: Model) -> bool:
    """Whether a quantized KV cache and several slots end the model's engine."""
    return model.architecture.name in FRAIL


@lru_cache(maxsize=256)
def able(purpose: Purpose, allowed: Allowed) -> tuple[Model, ...]:
    """Models for a purpose that a release, licences and languages leave, the best first.

    Of models for text those trained for the context, unless none is.
    """
    release, licences, languages, context, frail = allowed
    newest, wanted = version(release), frozenset(languages)
    found = [m for m in catalogue.models() if purpose in m.purposes and version(m.min_ollama) <= newest]
    if licences is not None:
        found = [m for m in found if m.licence in licences]
    if wanted:
        found = [m for m in found if wanted.issubset(m.languages)]
    if not frail:
        found = [m for m in found if not is_frail(m)]
    if purpose != "embedding" and context:
        found = [m for m in found if m.context_trained >= context] or found
    found.sort(key=lambda m: (-m.quality[purpose], m.file_mib, m.tag))
    return tuple(found)
