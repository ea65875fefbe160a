"""Models as they would run on a device: worked out once for all hosts that have it, whatever their memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import speed, worth
from inhouse.planner.budget import Budget, Kind, Placement
from inhouse.planner.loads import Load, loads
from inhouse.planner.memory import Use, tables_mib
from inhouse.planner.needs import Allowed, Needs, Wants, able
from inhouse.planner.per_model import PerModel
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


class Outline(NamedTuple):
    """What rules a model out before anything else of it is worked out."""

    floor_mib: float
    """Less than it needs on any accelerator."""
    gigabytes: float
    """Read for each token."""


def _outline(model: Model) -> Outline:
    """Nine tenths of the weights: draft layers are left out where they are not used, and the vocabulary's text."""
    floor = 0.9 * (model.file_mib - model.projector_mib) - tables_mib(model.architecture)
    return Outline(floor, speed.gigabytes_per_token(model))


outlines = PerModel(_outline)


def embedder(model: Model, budget: Budget, use: Use) -> Option:
    """An embedding model with every layer on the accelerator: how fast it is does not matter."""
    return _embeddings(use, budget.gpus, budget.kind).of(model)


@lru_cache(maxsize=512)
def embedders(allowed: Allowed, use: Use, gpus: int, kind: Kind) -> tuple[Option, ...]:
    """The embedding models that may be chosen, that of most worth first."""
    table = _embeddings(use, gpus, kind)
    return tuple(sorted((table.of(m) for m in able("embedding", allowed)), key=lambda o: (-o.points, o.model.file_mib)))


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
        if load.use != use:
            return _embeddings(load.use, gpus, kind).of(model)
        alone = loads(use, 1).of(model)
        # What it takes alone decides its worth: spreading it over more GPUs must not make it worth less.
        points = worth.of_embedding(model, alone.gpu + alone.beside if kind.gpu else alone.cpu, kind.gpu)
        return Option(model, load, kind.whole(load), None, points, True, True)

    return PerModel(work_out)
