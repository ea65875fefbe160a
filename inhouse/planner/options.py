"""Models as they would run on a device: worked out once for all hosts that have it, whatever their memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple

from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import memory, speed, worth
from inhouse.planner.budget import Budget, Kind, Placement
from inhouse.planner.kept import PerModel, Row
from inhouse.planner.loads import Load, loads
from inhouse.planner.memory import Use, tables_mib
from inhouse.planner.needs import Allowed, Needs, Wants, able
from inhouse.planner.speed import Engine, Speed


@dataclass(frozen=True, eq=False)
class Option:
    """A model as it would run on a host."""

    model: Model
    load: Load
    placement: Placement
    speed: Speed | None
    """None where nothing is known of the device, and of embedding models."""
    points: float
    """What is added to its quality for the way it would run."""
    fast_enough: bool
    """Not below the least that is acceptable."""
    liked: bool
    """As fast as a person likes; not so where nothing is known."""

    @property
    def likely(self) -> float:
        """Likely tokens/s; 0 where nothing is known."""
        return self.speed.tokens_per_second.likely if self.speed else 0.0

    def worth(self, purpose: Purpose) -> float:
        """Its worth for a purpose that it serves."""
        return self.model.quality_for(purpose) + self.points


def option(model: Model, load: Load, placement: Placement, expected: Speed | None, wants: Wants) -> Option:
    """A model for text at its place, with what that is worth."""
    likely = expected.tokens_per_second.likely if expected else None
    return Option(
        model,
        load,
        placement,
        expected,
        worth.of_model(model, load.use, placement.share, expected, wants),
        fast_enough=likely is None or likely >= wants.least_speed,
        liked=likely is not None and likely >= worth.liked(model, wants),
    )


NOTHING = float("-inf")
"""What a model is worth that may not be chosen."""


_SURE = 0.9
"""Part of a file that is surely loaded: draft layers may be left out, and the text of the vocabulary is."""


class Outline(NamedTuple):
    """What rules a model out before anything else of it is worked out."""

    model: Model
    file_mib: int
    floor_mib: float
    """Less than it needs on any accelerator."""
    gigabytes: float
    """Read for each token."""


@lru_cache(maxsize=256)
def outlines(purpose: Purpose, allowed: Allowed) -> Row[tuple[int, Outline]]:
    """The models for a purpose that may be chosen, each with its quality, the best first."""
    return Row((model.quality_for(purpose), _OUTLINES.of(model)) for model in able(purpose, allowed))


def _outline(model: Model) -> Outline:
    floor = _SURE * (model.file_mib - model.projector_mib) - tables_mib(model.architecture)
    return Outline(model, model.file_mib, floor, speed.gigabytes_per_token(model))


_OUTLINES = PerModel(_outline)


def hope(most: float, outline: Outline, budget: Budget, wants: Wants) -> float:
    """What is left of a worth at the speed that a device's bandwidth bounds; nothing below the least speed."""
    rate = budget.most_gbs / outline.gigabytes
    if rate < wants.least_speed:
        return NOTHING
    return most if rate >= worth.most_liked(wants) else worth.slow(most, rate, outline.model, wants)


def embedder(model: Model, budget: Budget, use: Use) -> Option:
    """An embedding model with every layer on the accelerator: how fast it is does not matter."""
    return _embeddings(use, budget.gpus, budget.kind).of(model)


@lru_cache(maxsize=512)
def embedders(allowed: Allowed, use: Use, gpus: int, kind: Kind) -> Row[Option]:
    """The embedding models that may be chosen, that of most worth first, then the smaller."""
    return Row(_embedders(allowed, _embeddings(use, gpus, kind), use, kind))


def _embedders(allowed: Allowed, table: PerModel[Option], use: Use, kind: Kind) -> Iterator[Option]:
    """These, each worked out when those before it might be worth less."""
    points = _points(use, kind.gpu)
    found: list[tuple[float, int, int, Model]] = []
    for most, place, model in _hopes(allowed, use, kind.gpu):
        while found and -found[0][0] > most:
            yield table.of(heappop(found)[-1])
        heappush(found, (-points.of(model), model.file_mib, place, model))
    while found:
        yield table.of(heappop(found)[-1])


def most_of_embedding(allowed: Allowed, use: Use, kind: Kind) -> float | None:
    """What no embedding model that may be chosen is worth more than; None if there is none."""
    hopes = _hopes(allowed, use, kind.gpu)
    return hopes[0][0] if hopes else None


@lru_cache(maxsize=512)
def _hopes(allowed: Allowed, use: Use, on_gpu: bool) -> list[tuple[float, int, Model]]:
    """What each embedding model is worth at most, as if it took only its weights and its cache, the most first."""
    context, scale = use.context_length, memory.BYTES_PER_ELEMENT[use.kv_cache_type] / memory.BYTES_PER_ELEMENT["f16"]
    hopes = [
        (most - per_token * scale * min(context, model.context_trained), place, model)
        for place, (most, per_token, model) in enumerate(_without_cache(allowed, on_gpu))
    ]
    hopes.sort(key=lambda hope: (-hope[0], hope[1]))
    return hopes


@lru_cache(maxsize=256)
def _without_cache(allowed: Allowed, on_gpu: bool) -> list[tuple[float, float, Model]]:
    """Each embedding model with its points without a cache, and those that a token in its cache takes."""
    found = ((_SURE * m.file_mib, memory.per_token(m.architecture), m) for m in able("embedding", allowed))
    return [(worth.of_embedding(m, mib, on_gpu), worth.EMBEDDING_GIB * kv / 1024, m) for mib, kv, m in found]


def wholes(needs: Needs, budget: Budget, use: Use) -> PerModel[Option]:
    """Models for text with every layer on the accelerator; of a device that was measured, a table of its own."""
    engine = budget.engine(1.0)
    if not budget.measured:
        return _wholes(needs.wants, use, engine, budget.kind)
    return PerModel(lambda model: _whole(model, use, engine, budget.kind, needs.wants, budget.measured))


def partly(model: Model, needs: Needs, budget: Budget, use: Use, room: float) -> Option | None:
    """A model of which only a part fits in a room of the GPU; None unless that is as fast as a person likes.

    Several requests at a time would share what the processor does, so it is for one.
    """
    load = budget.load(model, use)
    if load.use.parallel > 1:
        return None
    placed = budget.partly(load, room, model.architecture.blocks)
    if placed is None or "embedding" in model.purposes:
        return None
    found = option(model, load, placed, budget.speed(model, load.use, placed.share), needs.wants)
    return found if found.fast_enough and found.liked else None


@lru_cache(maxsize=4096)
def _wholes(wants: Wants, use: Use, engine: Engine, kind: Kind) -> PerModel[Option]:
    return PerModel(lambda model: _whole(model, use, engine, kind, wants, {}))


def _whole(model: Model, use: Use, engine: Engine, kind: Kind, wants: Wants, measured: Mapping[str, float]) -> Option:
    load = loads(use, engine.gpus).of(model)
    expected = speed.predict(model, load.use, engine, measured.get(model.tag))
    return option(model, load, kind.whole(load), expected, wants)


@lru_cache(maxsize=512)
def _embeddings(use: Use, gpus: int, kind: Kind) -> PerModel[Option]:
    def work_out(model: Model) -> Option:
        load = loads(use, gpus).of(model)
        return Option(model, load, kind.whole(load), None, _points(use, kind.gpu).of(model), True, True)

    return PerModel(work_out)


@lru_cache(maxsize=256)
def _points(use: Use, on_gpu: bool) -> PerModel[float]:
    """What embedding models are worth. What one takes alone decides: more GPUs must not make it worth less."""

    def work_out(model: Model) -> float:
        load = loads(use, 1).of(model)
        return worth.of_embedding(model, load.gpu + load.beside if on_gpu else load.cpu, on_gpu)

    return PerModel(work_out)
