"""What a model takes under one use: worked out once, then looked up for every host that might run it."""

from functools import lru_cache
from typing import NamedTuple

from inhouse.catalogue.models import Model
from inhouse.planner import memory
from inhouse.planner.kept import PerModel
from inhouse.planner.memory import Memory, Use

ONE_SLOT = frozenset(
    {
        "mllama",
        "qwen3vl",
        "qwen3vlmoe",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "lfm2",
        "lfm2moe",
        "nemotron_h",
        "nemotron_h_moe",
    }
)
"""Architectures for which Ollama plans one slot, whatever OLLAMA_NUM_PARALLEL says (server/sched.go)."""


class Load(NamedTuple):
    """A model, loaded. MiB."""

    use: Use
    """With the slots and the context that this model really gets."""
    memory: Memory
    gpu: float
    """On GPUs with every layer there; spread over several, the layer that each further one may waste is counted."""
    beside: float
    """In RAM then."""
    cpu: float
    """In RAM without a GPU."""
    image: float
    """Room for working on images, beyond the vision part itself."""
    fixed: float
    """The part of `gpu` that does not lie in layers: it is on the GPU however few layers are."""
    predicted: float
    """What Ollama takes the model for."""
    copies: float
    """What it takes beyond `gpu` on GPUs that run on CUDA."""
    gpus: int
    """Over how many GPUs it is spread."""
    amx: float
    """What it takes beyond `cpu` on a processor with AMX."""


@lru_cache(maxsize=256)
def loads(use: Use, gpus: int) -> PerModel[Load]:
    """What models take under a use, spread over so many GPUs: one table for all hosts, the last 256 are kept."""
    return PerModel(lambda model: _load(model, use, gpus))


def slots(model: Model, wanted: int) -> int:
    """How many requests a model answers side by side when so many slots are set."""
    return 1 if "embedding" in model.purposes or model.architecture.name in ONE_SLOT else wanted


def _own(model: Model, use: Use) -> Use:
    """The part of a use that matters for a model: a context it was trained for, its slots; no cache, no cache type."""
    context, parallel = min(use.context_length, model.context_trained), slots(model, use.parallel)
    cache_type = use.kv_cache_type if model.architecture.kv else "f16"
    if (context, parallel, cache_type) == use[:3]:
        return use
    return Use(context, parallel, cache_type, *use[3:])


def _load(model: Model, use: Use, gpus: int) -> Load:
    own = _own(model, use)
    if own is not use:
        return loads(own, gpus).of(model)
    parts = _PARTS.of(model)
    m = memory.estimate(model, own, gpus, parts)
    per_layer = (m.weights - m.embedding) / model.architecture.blocks
    return Load(
        use=own,
        memory=m,
        gpu=m.gpu + (gpus - 1) * per_layer,
        beside=m.beside_gpu,
        cpu=m.cpu,
        image=m.vision_reserve,
        fixed=m.fixed,
        predicted=parts.predicted + parts.predicted_per_token * own.context_length * own.parallel,
        copies=m.copies,
        gpus=gpus,
        amx=m.amx,
    )


_PARTS = PerModel(memory.parts_of)
