"""What a choice is worth: points that are compared between everything that fits a host.

Points are those of `Model.quality_for`, from 1 to 100. The worth of a choice does not depend on how much memory a host
has, and more memory only adds to what fits: that is why more memory never gives a worse choice. docs/planner.md lists
these numbers for people to argue about; they are this project's judgement.
"""

from functools import lru_cache
from math import log2

from inhouse.catalogue.models import Model
from inhouse.planner import speed
from inhouse.planner.memory import Use
from inhouse.planner.needs import FLOOR, GOAL, Wants
from inhouse.planner.speed import Speed

BELOW_GOAL = 10.0
"""Each halving of the context below 8,192 tokens."""
DOUBLING = 0.5
"""Each doubling above it, on a GPU that reads half of it in PATIENCE_S."""
PATIENCE_S = 60.0
"""Seconds a person waits for the first word of an answer to a long text."""
SMALLER_CACHE = 0.25
"""A KV cache below f16."""
HALF_THE_SLOTS = 2.0
"""Each halving of the slots that are wanted: more people wait for one another."""
FROM_RAM = 6.0
"""All layers in RAM instead of on a GPU, in proportion: prompts are read slowly."""
PARTLY = 1.0
"""Any layer in RAM: the GPU waits for it at each token."""
FURTHER_MODEL = 1.0
"""Each model for text beyond the first: to download, to keep, to explain."""
TURNS = 3.0
"""Models for text that do not fit in memory together: each change of purpose loads gigabytes."""
EMBEDDING_TURNS = 8.0
"""The embedding model takes turns with the others: each question to documents loads two models, the smaller the better
(one point more for each GiB of it)."""
EMBEDDING_PART = 0.05
"""Part of an embedding model's quality that counts: its differences matter less than those of a model that answers."""
EMBEDDING_GIB = 0.05
"""Each GiB an embedding model takes: it must be worth the memory."""
SLOW = 30.0
"""Each halving of the speed below what a person likes to wait for."""
UNSERVED = 1000.0
"""A purpose without a model."""
WITHOUT_PIN = 2000.0
"""A model that is asked for by tag and does not run."""
TOO_LARGE = 200.0
"""An embedding model that is slow on a CPU."""
CPU_EMBEDDING_B = 0.2
"""Largest embedding model on a CPU, in thousand millions of parameters, unless there is none so small: documents are
indexed while somebody waits."""


def context(tokens: int, stated: bool) -> float:
    """Points of a context. One that is stated has none: only whether it is kept counts."""
    if stated:
        return 0.0
    doublings = log2(max(tokens, FLOOR // 4) / GOAL)
    return doublings * (DOUBLING if doublings > 0 else BELOW_GOAL)


@lru_cache(maxsize=4096)
def of_use(use: Use, wants: Wants) -> float:
    """The most a use can add to any model's worth, or the least it takes."""
    return (
        context(use.context_length, wants.context_length is not None)
        - (0.0 if use.kv_cache_type == wants.cache_type else SMALLER_CACHE)
        - HALF_THE_SLOTS * log2(wants.slots / use.parallel)
    )


def of_model(model: Model, own: Use, share: float, expected: Speed | None, wants: Wants) -> float:
    """What is added to a model's quality: below zero for what is wrong with the way it would run.

    Args:
        model: a row of the catalogue.
        own: its slots and its context, which may be fewer than those of the host.
        share: part of its layers on GPUs.
        expected: its speed; None where nothing is known.
        wants: what is asked.
    """
    points = of_use(own, wants) - (in_ram(share) if share < 1 else 0.0)
    if expected is None:
        return points
    if expected.first_token_s.likely > PATIENCE_S:
        points -= max(context(own.context_length, wants.context_length is not None), 0.0)
    return slow(points, expected.tokens_per_second.likely, model, wants)


def in_ram(share: float) -> float:
    """Points that layers in RAM take, with such a share of them on GPUs."""
    return PARTLY + FROM_RAM * (1 - share)


def slow(points: float, likely: float, model: Model, wants: Wants) -> float:
    """Points less what a speed takes from them."""
    missing = liked(model, wants) / max(likely, 0.01)
    return points - SLOW * log2(missing) if missing > 1 else points


def liked(model: Model, wants: Wants) -> float:
    """Tokens/s at which a person likes to wait for this model.

    What was stated is what is enough, and what one reads along with otherwise; twice as much for a model that thinks
    before it answers.
    """
    return most_liked(wants) / (1.0 if model.thinks else speed.THINKING_FACTOR)


def most_liked(wants: Wants) -> float:
    """Tokens/s at which a person likes to wait for any model."""
    return (wants.least_speed if wants.speed_is_stated else speed.COMFORTABLE) * speed.THINKING_FACTOR


def of_embedding(model: Model, mib: float, on_gpu: bool) -> float:
    """Points of an embedding model that takes so much memory."""
    points = EMBEDDING_PART * model.quality_for("embedding") - EMBEDDING_GIB * mib / 1024
    return points if on_gpu or model.parameters_b <= CPU_EMBEDDING_B else points - TOO_LARGE - model.parameters_b
