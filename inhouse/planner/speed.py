"""How fast a model answers: a rough prediction from memory bandwidth. Tokens/s."""

from inhouse.catalogue.models import Model

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

COMFORTABLE = 8.0
"""Tokens/s a person reads along with."""
THINKING_FACTOR = 2.0
"""A model that thinks first must be so much faster to feel as fast."""


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
    likely = next(gbs for at_least, gbs in LIKELY_GBS if cores >= at_least)
    efficiency = 1.0 if model.dense else CPU_EXPERTS_EFFICIENCY
    return min(max(cores, 1) * CPU_GBS_PER_CORE, likely) * efficiency / gigabytes_per_token(model)


def comfortable(model: Model, tokens_per_second: float) -> bool:
    """Whether a person would wait for this model at that speed."""
    return tokens_per_second >= COMFORTABLE * (THINKING_FACTOR if model.thinks else 1.0)
