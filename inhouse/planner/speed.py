"""How fast a model answers, predicted from what is read from memory, as a range. docs/speed.md explains every number.

Generating is bound by memory: a token costs the time to read the weights it needs and the KV cache so far, and a fixed
time per block. Reading a prompt is bound by arithmetic. The constants were fitted on published measurements
(tests/data/speeds.yml); `python -m tests.speed_fit` fits them anew and prints how far the points lie from the curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Literal, NamedTuple

from inhouse.catalogue.models import Model
from inhouse.planner.kept import PerModel
from inhouse.planner.memory import BYTES_PER_ELEMENT, Use

PROMPT_SHARE = 0.5
"""Part of the context that is taken to be filled: an answer is half way through a conversation that fits."""
COMFORTABLE = 8.0
"""Tokens/s a person reads along with."""
THINKING_FACTOR = 2.0
"""A model that thinks first must be so much faster to feel as fast."""

Backend = Literal["cuda", "vulkan", "metal", "cpu"]

_MXFP4_BITS = 4.25
"""Bits per weight of experts in MXFP4 files (32 of 4 bits and a scale of 8); what is no expert there has 16."""
_MIB = 2**20
_STATE_BYTES = 4


class Range(NamedTuple):
    """An honest number: most likely `likely`, and four times in five between `low` and `high`."""

    low: float
    likely: float
    high: float

    @classmethod
    def around(cls, likely: float, spread: float) -> "Range":
        """The range from `likely` divided by `spread` to `likely` times `spread`."""
        return cls(likely / spread, likely, likely * spread)


class Speed(NamedTuple):
    """How one person's answer comes."""

    tokens_per_second: Range
    first_token_s: Range
    """Seconds to the first token of the answer to a prompt that fills half of the context."""
    measured: bool
    """`tokens_per_second` was measured on this hardware, not predicted."""


class Engine(NamedTuple):
    """What a model runs on, as far as its speed depends on it. A tuple, as `memory.Use` is."""

    backend: Backend
    bandwidth_gbs: float | None
    """GB/s of one GPU's memory, of the slowest where they differ; None: not known, or no GPU."""
    tflops: float | None
    """Dense fp16 TFLOPS of one GPU; None: not known, or no GPU."""
    ram_gbs: float
    """GB/s at which the processor reads weights from RAM (`likely_ram_gbs` where the host does not tell)."""
    cores: int
    gpu_share: float = 1.0
    """Part of the model's weights that lies on GPUs."""
    gpus: int = 1
    avx512: bool = False
    """The processor has AVX-512."""
    compute: str | None = None
    """CUDA compute capability ("8.6"); None: not known, or not NVIDIA's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """GPUs that behave alike."""

    efficiency: float
    """Part of the memory's bandwidth that is reached while weights are read."""
    block_us: float
    """Microseconds a block of the model costs beside that: starting its kernels, and their tails."""
    spread: float
    """Four of five points lie within this factor of the curve."""
    prompt: float
    """TFLOPS reached while a prompt is read, by the root of dense fp16 TFLOPS times GB/s: both bound it."""
    tflops_per_gbs: float
    """Dense fp16 TFLOPS of such a GPU per GB/s of its memory, where its own are not known."""
    prompt_spread: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """Every fitted constant."""

    kinds: Mapping[str, Kind]
    experts: float
    """Part of the efficiency that is left where a GPU reads scattered experts."""
    experts_block_us: float
    """What a block with experts costs more, in microseconds."""
    recurrent_block_us: float
    """What a block with a recurrent state costs more, in microseconds."""
    kv: float
    """Part of the efficiency that is left where a GPU reads the KV cache."""
    further_gpu_us: float
    """Handing a token from one GPU to the next, in microseconds."""
    experts_prompt: float
    """Part of the arithmetic that is left where a prompt's tokens go to different experts."""
    processors: Mapping[bool, "Processor"]
    """Without and with AVX-512."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Processors that behave alike. Those with AVX-512 have newer, faster RAM as well."""

    gbs: float
    gbs_power: float
    """n cores read weights at `gbs` * n ** `gbs_power` GB/s."""
    spread: float
    gflops: float
    gflops_power: float
    """n cores read a prompt with `gflops` * n ** `gflops_power` GFLOPS."""
    prompt_spread: float


_KINDS = {
    "5": "pascal",
    "6": "pascal",
    "7": "volta",
    "7.5": "turing",
    "8": "ampere",
    "8.0": "hbm",
    "8.9": "ada",
    "9": "hbm",
    "10": "hbm",
    "11": "blackwell",
    "12": "blackwell",
}
"""Kind by CUDA compute capability: the exact one if it is here, else its first number."""

FITTED = Fitted(
    kinds={
        "pascal": Kind(0.409, 59.2, 1.4, 0.159, 0.0233, 2.48),
        "volta": Kind(0.832, 75.6, 1.2, 0.139, 0.126, 1.46),
        "turing": Kind(0.874, 69.9, 1.2, 0.141, 0.18, 1.46),
        "hbm": Kind(0.63, 98, 1.15, 0.114, 0.228, 1.49),
        "ampere": Kind(0.857, 60.4, 1.2, 0.192, 0.158, 1.34),
        "ada": Kind(0.885, 60.2, 1.11, 0.192, 0.318, 1.46),
        "blackwell": Kind(0.842, 41.2, 1.13, 0.248, 0.234, 1.46),
        "vulkan": Kind(0.882, 66.8, 1.2, 0.183, 0.209, 2.17),
        "metal": Kind(0.811, 98.4, 1.34, 0.114, 0.034, 1.58),
        "cuda": Kind(0.89, 75.1, 1.41, 0.179, 0.202, 2.08),
    },
    experts=1.02,
    experts_block_us=12.0,
    recurrent_block_us=2.28,
    kv=0.942,
    further_gpu_us=534.0,
    experts_prompt=0.47,
    processors={
        False: Processor(7.62, 0.594, 1.5, 87.7, 0.704, 2.21),
        True: Processor(11, 0.75, 1.3, 125, 0.983, 1.39),
    },
)
"""As `python -m tests.speed_fit` printed it."""


def predict(model: Model, use: Use, engine: Engine, measured: float | None = None) -> Speed | None:
    """Predict how one person's answer comes.

    Args:
        model: a row of the catalogue.
        use: context, slots and cache.
        engine: what it runs on.
        measured: tokens/s that were measured on this hardware with a nearly empty context; they replace the prediction,
            and the range goes down from them to what is left when the context is half full. They do not count for a
            model that is to lie partly in RAM, since those measured lay wholly where they were planned.

    Returns:
        None where nothing is known of the device.
    """
    context = min(use.context_length, model.context_trained)
    filled = context * PROMPT_SHARE
    seconds = seconds_per_token(model, engine, filled)
    reading = prompt_seconds(model, filled, engine)
    if seconds is None or reading is None:
        return None
    first = Range.around(reading + seconds, _spread(engine, prompt=True))
    partly = engine.backend != "cpu" and 0 < engine.gpu_share < 1
    if measured is None or partly:
        return Speed(Range.around(1 / seconds, _spread(engine, prompt=False)), first, measured=False)
    empty = seconds_per_token(model, engine) or seconds
    return Speed(Range(measured * empty / seconds, measured, measured), first, measured=True)


def seconds_per_token(model: Model, engine: Engine, filled: float = 0, fitted: Fitted = FITTED) -> float | None:
    """Seconds to generate one token when the context holds `filled` tokens already; None: nothing known of the device.

    GPUs take turns: each works on its layers while the others wait, so their times add up.
    """
    weights = gigabytes_per_token(model)
    cache = _cache(model, filled)
    share = 0.0 if engine.backend == "cpu" else engine.gpu_share
    in_ram = (1 - share) * (weights + cache) / engine.ram_gbs
    if not share:
        return in_ram
    if engine.bandwidth_gbs is None:
        return None
    kind = fitted.kinds[kind_name(engine)]
    scattered, block_us = (1.0, kind.block_us)
    if not model.dense:
        scattered, block_us = fitted.experts, kind.block_us + fitted.experts_block_us
    reading = (weights / scattered + cache / fitted.kv) / (engine.bandwidth_gbs * kind.efficiency)
    recurrent = model.architecture.recurrent
    starting = model.architecture.blocks * block_us + (recurrent.layers if recurrent else 0) * fitted.recurrent_block_us
    return in_ram + share * (reading + starting * 1e-6) + (engine.gpus - 1) * fitted.further_gpu_us * 1e-6


def most_gbs(engine: Engine, fitted: Fitted = FITTED) -> float:
    """GB/s at which a GPU reads weights at most, scattered experts or not; 0 where its bandwidth is not known."""
    return (engine.bandwidth_gbs or 0.0) * fitted.kinds[kind_name(engine)].efficiency * max(1.0, fitted.experts)


def prompt_seconds(model: Model, tokens: float, engine: Engine, fitted: Fitted = FITTED) -> float | None:
    """Seconds to read a prompt into an empty context: two operations per weight and token, and attention.

    On GPUs the time falls with arithmetic and with bandwidth alike: published figures follow neither alone.
    """
    weights = 2e-3 * model.active_b * tokens
    attention = 1e-12 * _attention(model, tokens)
    processor = fitted.processors[engine.avx512]
    cpu_tflops: float = processor.gflops * 1e-3 * max(engine.cores, 1) ** processor.gflops_power
    on_cpu = (weights + attention) / cpu_tflops
    share = 0.0 if engine.backend == "cpu" else engine.gpu_share
    if not share:
        return on_cpu
    if engine.bandwidth_gbs is None:
        return None
    kind = fitted.kinds[kind_name(engine)]
    peak = engine.tflops or engine.bandwidth_gbs * kind.tflops_per_gbs
    tflops = kind.prompt * sqrt(peak * engine.bandwidth_gbs)
    scattered = 1.0 if model.dense else fitted.experts_prompt
    on_gpu = weights / (tflops * scattered) + attention / tflops
    return share * on_gpu + (1 - share) * on_cpu


def likely_ram_gbs(cores: int, avx512: bool = False, fitted: Fitted = FITTED) -> float:
    """GB/s at which a processor of so many cores likely reads weights; how many channels are filled is not known."""
    processor = fitted.processors[avx512]
    return float(processor.gbs * max(cores, 1) ** processor.gbs_power)


def gigabytes_per_token(model: Model) -> float:
    """GB of weights read for one token: without idle experts, vision part, and tables of which it needs one row.

    Where the output layer is the token-embedding table, all of that table is read.
    """
    return _GIGABYTES.of(model)


def _gigabytes(model: Model) -> float:
    a = model.architecture
    table = 0.0 if a.tied else a.embedding_mib
    per_layer = a.vocabulary * a.per_layer_input * a.blocks * (a.per_layer_bits or a.embedding_bits) / 8 / _MIB
    text = (model.file_mib - model.projector_mib - table - per_layer) * _MIB / 1e9
    idle_b = _idle_b(model)
    bits = _MXFP4_BITS if model.quantization == "MXFP4" else text * 8 / model.parameters_b
    return max(text - idle_b * bits / 8, text * model.active_b / model.parameters_b)


_GIGABYTES = PerModel(_gigabytes)


def _idle_b(model: Model) -> float:
    """Thousand millions of parameters that do not work on a token."""
    experts = model.architecture.experts
    if experts is None:
        return model.parameters_b - model.active_b
    size = experts.matrices * model.architecture.embedding * experts.feed_forward
    blocks = model.architecture.blocks - experts.dense_blocks
    return (experts.count - experts.used) * size * blocks / 1e9


def _cache(model: Model, filled: float) -> float:
    """GB read of one conversation's KV cache for one token, and of its recurrent state, which is written back too.

    A quantized cache counts as one of 16 bits: less is read, but it is converted at every use, and none was measured.
    """
    a = model.architecture
    cells = sum(
        group.layers
        * min(filled, group.window or filled)
        * group.heads
        * (group.dim + (group.dim if group.value_dim is None else group.value_dim))
        for group in a.kv
    )
    state = a.recurrent.layers * a.recurrent.state * a.recurrent.inner * _STATE_BYTES * 2 if a.recurrent else 0
    return (cells * BYTES_PER_ELEMENT["f16"] + state) / 1e9


def _attention(model: Model, tokens: float) -> float:
    """Operations of attention while a prompt is read: each token looks at those before it, or at its window."""
    heads = model.architecture.heads
    return sum(
        2 * group.layers * heads * 2 * group.dim * tokens * min(tokens / 2, group.window or tokens)
        for group in model.architecture.kv
    )


def kind_name(engine: Engine) -> str:
    """Key of a GPU in `Fitted.kinds`; "cuda", what all have in common, where the compute capability is not known."""
    return engine.backend if engine.backend != "cuda" else _kind_of(engine.compute or "")


@lru_cache(maxsize=64)
def _kind_of(compute: str) -> str:
    return _KINDS.get(compute) or _KINDS.get(compute.partition(".")[0], "cuda")


def _spread(engine: Engine, *, prompt: bool, fitted: Fitted = FITTED) -> float:
    """Factor between the likely and the lowest or highest number; the wider one where GPU and RAM share a model."""
    processor = fitted.processors[engine.avx512]
    on_cpu = processor.prompt_spread if prompt else processor.spread
    if engine.backend == "cpu" or not engine.gpu_share:
        return on_cpu
    kind = fitted.kinds[kind_name(engine)]
    on_gpu = kind.prompt_spread if prompt else kind.spread
    return on_gpu if engine.gpu_share >= 1 else max(on_gpu, on_cpu)
