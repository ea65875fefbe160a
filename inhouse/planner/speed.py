"""How fast a model answers: a rough prediction from memory bandwidth. Tokens/s."""

from dataclasses import dataclass
from typing import Literal

from inhouse.catalogue.models import Model
from inhouse.planner.memory import Use

GPU_EFFICIENCY = 0.7
"""Part of a GPU's bandwidth that is used while weights are read."""
GPU_SECONDS_PER_BLOCK = 60e-6
"""What a block of the model costs beside that (starting its kernels).

Both numbers are set so that a 27B model of 64 blocks gives the 36 tokens/s that were published for Ollama on an RTX
4090 (1008 GB/s); nothing else was measured yet.
"""
CPU_GBS_PER_CORE = 10.0
"""GB/s that one core keeps busy: 80 tokens/s of a 253 MB model on two cores, measured."""
CPU_EXPERTS_EFFICIENCY = 0.6
"""A mixture of experts reads scattered pieces of memory; an assumption."""
LIKELY_GBS = ((32, 160.0), (16, 80.0), (0, 40.0))
"""Cores → GB/s a processor of that size likely gets from its RAM (8, 4 and 2 channels of DDR4-3200, at four fifths).

A host does not say how many channels are filled, so this is an assumption; `inhouse verify` measures.
"""
PROMPT_SHARE = 0.5
"""Part of the context that the prompt fills whose first token is waited for."""

COMFORTABLE = 8.0
"""Tokens/s a person reads along with."""
THINKING_FACTOR = 2.0
"""A model that thinks first must be so much faster to feel as fast."""

Backend = Literal["cuda", "vulkan", "metal", "cpu"]


@dataclass(frozen=True, slots=True)
class Range:
    """An honest number: most likely `likely`, and four times in five between `low` and `high`."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Speed:
    """How one person's answer comes."""

    tokens_per_second: Range
    first_token_s: Range
    """Seconds to the first token of the answer to a prompt that fills half of the context."""
    measured: bool
    """`tokens_per_second` was measured on this hardware, not predicted."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What a model runs on, as far as its speed depends on it."""

    backend: Backend
    bandwidth_gbs: float | None
    """GB/s of one GPU's memory, of the slowest where they differ; None: not known, or no GPU."""
    tflops: float | None
    """Dense fp16 TFLOPS of one GPU; None: not known, or no GPU."""
    ram_gbs: float
    """GB/s of the host's RAM (`likely_ram_gbs` where the host does not tell)."""
    cores: int
    gpu_share: float = 1.0
    """Part of the model's weights that lies on GPUs."""
    gpus: int = 1
    generation: str | None = None
    """Of the GPU, as in the catalogue ("ampere"); None: not known."""


def predict(model: Model, use: Use, engine: Engine, measured: float | None = None) -> Speed | None:
    """Predict how a model answers; `measured` tokens/s replace the prediction. None: nothing known of the device."""
    likely = on_cpu(model, engine.cores)
    if engine.backend != "cpu":
        if engine.bandwidth_gbs is None:
            return None
        likely = 1 / (engine.gpu_share / on_gpu(model, engine.bandwidth_gbs) + (1 - engine.gpu_share) / likely)
    generation = Range(likely * 0.7, likely, likely * 1.3) if measured is None else Range(measured, measured, measured)
    seconds = use.context_length * PROMPT_SHARE / (likely * 20)
    return Speed(generation, Range(seconds / 2, seconds, seconds * 2), measured is not None)


def likely_ram_gbs(cores: int) -> float:
    """GB/s that a host with so many cores likely gets from its RAM."""
    return next(gbs for at_least, gbs in LIKELY_GBS if cores >= at_least)


def gigabytes_per_token(model: Model) -> float:
    """What is read from memory for one token: in a mixture of experts only those in use."""
    text = (model.file_mib - model.projector_mib) * 2**20 / 1e9
    return text * model.active_b / model.parameters_b


def on_gpu(model: Model, bandwidth_gbs: float) -> float:
    """Tokens/s with every layer on the GPU. Several GPUs take turns, so theirs is the speed of one."""
    reading = gigabytes_per_token(model) / (bandwidth_gbs * GPU_EFFICIENCY)
    return 1 / (reading + model.architecture.blocks * GPU_SECONDS_PER_BLOCK)


def on_cpu(model: Model, cores: int) -> float:
    """Tokens/s from RAM."""
    efficiency = 1.0 if model.dense else CPU_EXPERTS_EFFICIENCY
    return min(max(cores, 1) * CPU_GBS_PER_CORE, likely_ram_gbs(cores)) * efficiency / gigabytes_per_token(model)


def comfortable(model: Model, tokens_per_second: float) -> bool:
    """Whether a person would wait for this model at that speed."""
    return tokens_per_second >= COMFORTABLE * (THINKING_FACTOR if model.thinks else 1.0)
