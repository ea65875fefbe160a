"""How much memory a model takes: pure arithmetic, MiB in and out.

Two estimators live side by side, as they do in Ollama. `estimate` follows llama.cpp, which decides how many layers go
to the GPU; `predicted` follows Ollama's own cruder rule, which decides between one GPU and all of them. docs/planner.md
explains every formula and gives its source; the published points they were checked against are tests.
"""

from dataclasses import dataclass

from inhouse.catalogue.models import KvLayers, Model, RecurrentLayers

MARGIN_MIB = 1024
"""What llama.cpp leaves free on every GPU (LLAMA_ARG_FIT_TARGET); it covers the CUDA context too (300 to 600 MiB)."""
SINGLE_GPU_SHARE = 0.8
"""Ollama takes one GPU alone if its prediction is at most this part of the GPU's free memory."""
ACTIVATIONS_MIB = 100
"""Compute buffers beyond those that grow with batch and context; an upper bound over the logs seen."""

BYTES_PER_ELEMENT = {"f32": 4.0, "f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Size of one element of the KV cache, block scales included."""

_STATE_BYTES = 4
_CELLS_PER_PAGE = 256


@dataclass(frozen=True)
class Use:
    """How a model is run."""

    context_length: int
    """Tokens per slot."""
    parallel: int = 1
    kv_cache_type: str = "f16"
    flash_attention: bool = True
    batch: int | None = None
    """Tokens handled in one step; None: what Ollama starts from, which is an upper bound of what it ends at."""


@dataclass(frozen=True)
class Memory:
    """What one loaded model takes; every part in MiB."""

    weights: float
    """Without the vision part; the token-embedding table is in it once."""
    embedding: float
    """The token-embedding table, which stays in the host's RAM."""
    output_copy: float
    """A second copy of that table on the GPU, where it is the output layer too."""
    kv_cache: float
    recurrent: float
    compute: float
    projector: float

    @property
    def gpu(self) -> float:
        """On the GPU when every layer is there."""
        on_gpu = self.weights - self.embedding + self.output_copy
        return on_gpu + self.kv_cache + self.recurrent + self.compute + self.projector

    @property
    def beside_gpu(self) -> float:
        """In the host's RAM when every layer is on the GPU."""
        return self.embedding

    @property
    def cpu(self) -> float:
        """In the host's RAM when there is no GPU."""
        return self.weights + self.kv_cache + self.recurrent + self.compute + self.projector

    @property
    def vision_reserve(self) -> float:
        """Free memory that a vision model wants beyond what it uses: the vision part is reserved for twice."""
        return self.projector


def estimate(model: Model, use: Use, gpus: int = 1) -> Memory:
    """Estimate the memory of a model.

    Args:
        model: a row of the catalogue.
        use: context, slots and cache; a context above the trained one is cut to it, as Ollama does.
        gpus: number of GPUs it is spread over.
    """
    a = model.architecture
    context = min(use.context_length, model.context_trained)
    slots = 1 if "embedding" in model.purposes else use.parallel
    batch = use.batch or first_batch(model, context, slots)
    return Memory(
        weights=model.file_mib - model.projector_mib,
        embedding=a.embedding_mib,
        output_copy=a.embedding_mib if a.tied else 0.0,
        kv_cache=sum(kv_cache(k, context, slots, use.kv_cache_type, batch) for k in a.kv),
        recurrent=recurrent(a.recurrent, slots) if a.recurrent else 0.0,
        compute=compute(model, context, slots, batch, use.flash_attention, gpus),
        projector=model.projector_mib,
    )


def kv_cache(layers: KvLayers, context: int, slots: int, cache_type: str, batch: int) -> float:
    """KV cache of the layers of one kind; each slot has its own cells, in pages of 256."""
    cells = _pages(min(context, layers.window + batch) if layers.window else context)
    value_dim = layers.dim if layers.value_dim is None else layers.value_dim
    elements = layers.layers * cells * slots * layers.heads * (layers.dim + value_dim)
    return elements * BYTES_PER_ELEMENT[cache_type] / 2**20


def recurrent(layers: RecurrentLayers, slots: int) -> float:
    """State of recurrent layers: independent of the context, never quantized."""
    convolution = (layers.conv - 1) * (layers.inner + 2 * layers.groups * layers.state)
    state = layers.state * layers.inner
    return layers.layers * slots * (convolution + state) * _STATE_BYTES / 2**20


def compute(model: Model, context: int, slots: int, batch: int, flash_attention: bool, gpus: int = 1) -> float:
    """Compute buffers, all GPUs together: the attention mask (once in 32 and once in 16 bits) and activations.

    Spread over several GPUs, inputs are kept for a pipeline: one log of two GPUs shows five copies of the mask.
    """
    a = model.architecture
    mask = batch * _pages(context) * slots * 6 / 2**20
    copies = 1 if gpus == 1 else 3 + gpus
    activations = ACTIVATIONS_MIB + batch * a.embedding * 32 / 2**20
    scores = 0.0 if flash_attention else 4 * a.heads * _pages(context) * batch / 2**20
    return mask * copies + activations * gpus + scores


def first_batch(model: Model, context: int, slots: int) -> int:
    """The batch Ollama starts from; it steps down when memory is short, so this is the most it can be."""
    if "embedding" in model.purposes:
        return min(2048, context)
    tokens = context * slots
    return 2048 if tokens > 32768 else 1024 if tokens > 4096 else 512


def predicted(model: Model, context_length: int, parallel: int) -> float:
    """Ollama's own prediction of a model's memory, with all its simplifications.

    It takes every layer for full attention with heads of embedding/heads elements in 16 bits, and the file as it is.
    """
    a = model.architecture
    kv_heads = min((k.heads for k in a.kv), default=1)
    context = min(context_length, model.context_trained) * parallel
    cache = 2 * a.blocks * kv_heads * (a.embedding // a.heads) * context * 2 / 2**20
    return model.file_mib + cache


def _pages(cells: int) -> int:
    return -(-cells // _CELLS_PER_PAGE) * _CELLS_PER_PAGE
