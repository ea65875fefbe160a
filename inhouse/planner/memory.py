"""How much memory a model takes: pure arithmetic, MiB in and out.

Two estimators live side by side, as they do in Ollama. `estimate` follows llama.cpp, which decides how many layers go
to the GPU; `predicted` follows Ollama's own cruder rule, which decides between one GPU and all of them.
docs/memory.md explains every formula and gives its source; docs/oracle.md compares them with the engine.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from inhouse.catalogue.models import Architecture, KvLayers, RecurrentLayers
from inhouse.planner import compute

MARGIN_MIB = 1024
"""What llama.cpp leaves free on every GPU (LLAMA_ARG_FIT_TARGET) beside its CUDA context, which it has by then."""
SINGLE_GPU_SHARE = 0.8
"""Ollama takes one GPU alone if its prediction is at most this part of the GPU's free memory."""
AMX_PADDING = 0.02
"""On processors with AMX weights take this much more: measured 1.6 to 2.0 % (docs/memory.md)."""
DRAFT_TOKENS = 4
"""Tokens that Ollama lets a model with draft layers guess ahead (draft_num_predict)."""

BYTES_PER_ELEMENT = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Size of one element of the KV cache, block scales included."""
TABLE_TWICE = frozenset({"gemma3n", "gemma4"})
"""llama.cpp makes their output layer first: a tied table is in RAM twice where a model is loaded without mmap."""
NO_HEADS_SOMEWHERE = frozenset({"granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe"})
"""Their files count KV heads per layer, none in recurrent ones; Ollama's prediction then takes one head for all."""

_STATE_BYTES = 4
_CELLS_PER_PAGE = 256
_TOKEN_BYTES, _PIECE_BYTES = 45, 25
"""A token in a file's metadata: its text, its type, and its share of the merges, which sentence pieces lack."""


class Described(Protocol):
    """What an estimate needs to know: a row of the catalogue, or what a file's header says."""

    @property
    def architecture(self) -> Architecture:
        """The numbers that decide memory."""

    @property
    def file_mib(self) -> float:
        """Everything a pull fetches."""

    @property
    def projector_mib(self) -> float:
        """Of it the vision part."""

    @property
    def context_trained(self) -> int:
        """Tokens."""

    @property
    def purposes(self) -> tuple[str, ...]:
        """ "embedding" is what matters here."""


class Use(NamedTuple):
    """How a model is run. A tuple, as it is the key of tables that every plan looks into hundreds of times."""

    context_length: int
    """Tokens per slot."""
    parallel: int = 1
    kv_cache_type: str = "f16"
    flash_attention: bool = True
    batch: int | None = None
    """Tokens handled in one step; None: what Ollama starts from, which is an upper bound of what it ends at."""
    draft_tokens: int = DRAFT_TOKENS
    """Tokens guessed ahead by a model that has draft layers; 0: none, and those layers are not loaded."""


class Parts(NamedTuple):
    """What of a model no use changes. MiB."""

    weights: float
    """Without the vision part, with draft layers."""
    weights_without_drafts: float
    tables: float
    output_copy: float
    table_copy: float
    """As in `Memory`."""
    expert_share: float
    """Part of the layers' weights that lies in experts."""
    predicted: float
    """Ollama's prediction without a cache."""
    predicted_per_token: float
    """What it adds for each token of the context and slot."""
    width: float | None
    """`compute.width` with flash attention; None where it depends on the batch."""


class Memory(NamedTuple):
    """What one loaded model takes; every part in MiB."""

    weights: float
    """Without the vision part; the token-embedding table is in it once."""
    embedding: float
    """The tables of tokens, positions and each block's own vectors, which stay in the host's RAM."""
    output_copy: float
    """A second copy of the token table on the GPU, where it is the output layer too."""
    kv_cache: float
    recurrent: float
    compute: float
    """Compute buffers on GPUs, all of them together."""
    projector: float
    compute_cpu: float
    """Compute buffers without a GPU."""
    compute_host: float
    """Compute buffers in RAM beside GPUs."""
    table_copy: float
    """What some architectures hold twice on the CPU."""
    experts: float
    """Of the weights those that lie in experts; llama.cpp leaves these in RAM first when a GPU is too small."""
    copies: float
    """Further compute buffers on GPUs that run on CUDA: one layer's cache in 16 bits, where it is kept in others."""

    @property
    def gpu(self) -> float:
        """On the GPU when every layer is there, without `copies`."""
        on_gpu = self.weights - self.embedding + self.output_copy
        return on_gpu + self.kv_cache + self.recurrent + self.compute + self.projector

    @property
    def beside_gpu(self) -> float:
        """In the host's RAM when every layer is on the GPU."""
        return self.embedding + self.compute_host

    @property
    def cpu(self) -> float:
        """In the host's RAM when there is no GPU."""
        loaded = self.weights + self.table_copy + self.projector
        return loaded + self.kv_cache + self.recurrent + self.compute_cpu

    @property
    def amx(self) -> float:
        """In RAM beyond `cpu`, where the processor has AMX: weights are padded, and a tied table is there twice."""
        return AMX_PADDING * (self.weights - self.embedding) + max(self.output_copy - self.table_copy, 0.0)

    @property
    def vision_reserve(self) -> float:
        """Free memory that a vision model wants beyond what it uses: the vision part is reserved for twice."""
        return self.projector

    @property
    def fixed(self) -> float:
        """On the GPU however few layers are there."""
        return self.compute + self.projector + self.output_copy

    def partly(self, share: float) -> tuple[float, float]:
        """On the GPU and in RAM, when that share of the layers is on the GPU and the rest in RAM.

        Layers are taken as equally large, each with its cache; the output layer goes to the GPU with the first ones.
        """
        in_layers = self.weights - self.embedding + self.kv_cache + self.recurrent
        return self.fixed + share * in_layers, self.beside_gpu + (1 - share) * in_layers


def estimate(model: Described, use: Use, gpus: int = 1, parts: Parts | None = None) -> Memory:
    """Estimate the memory of a model.

    Args:
        model: a row of the catalogue, or a file's header.
        use: context, slots and cache; a context above the trained one is cut to it, as Ollama does.
        gpus: number of GPUs it is spread over, every layer on one of them.
        parts: of this model, where they were worked out before.
    """
    a, parts = model.architecture, parts or parts_of(model)
    context, slots = min(use.context_length, model.context_trained), _slots(model, use)
    step = use.batch or first_batch(model, context, slots)
    drafts = use.draft_tokens if a.draft_blocks else 0
    cells = [_cells(kind, context, step) for kind in a.kv]
    work = compute.Batch(step, slots, _masks(a, cells, step), use.flash_attention)
    width = parts.width if use.flash_attention else None
    copied = _copied(a, cells, slots) if use.kv_cache_type != "f16" else 0.0
    found = compute.buffers(a, work, compute.width(a, work) if width is None else width, gpus, copied)
    second = compute.drafting(a, work) if drafts else 0.0
    weights = parts.weights if drafts else parts.weights_without_drafts
    return Memory(
        weights=weights,
        embedding=parts.tables,
        output_copy=parts.output_copy,
        kv_cache=_kv_caches(a, cells, slots, use.kv_cache_type, a.draft_blocks if drafts else 0),
        recurrent=recurrent(a.recurrent, slots) * (1 + drafts) if a.recurrent else 0.0,
        compute=found.gpu + second,
        projector=model.projector_mib,
        compute_cpu=found.cpu + second,
        compute_host=found.host + second,
        table_copy=parts.table_copy,
        experts=(weights - parts.tables) * parts.expert_share,
        copies=found.copies,
    )


def parts_of(model: Described) -> Parts:
    """What of a model no use changes."""
    a = model.architecture
    kv_heads = 1 if a.name in NO_HEADS_SOMEWHERE else min((k.heads for k in a.kv), default=1)
    return Parts(
        weights=file_weights(model, True),
        weights_without_drafts=file_weights(model, False),
        tables=tables_mib(a),
        output_copy=a.embedding_mib if a.tied and a.kv else 0.0,
        table_copy=a.embedding_mib if a.tied and a.name in TABLE_TWICE else 0.0,
        expert_share=_expert_share(a),
        predicted=model.file_mib - (0 if a.vision_inline else model.projector_mib),
        predicted_per_token=2 * (a.blocks + a.draft_blocks) * kv_heads * (a.embedding // a.heads) * 2 / 2**20,
        width=None if a.recurrent else compute.width(a, compute.Batch(1, 1, (), flash_attention=True)),
    )


def file_weights(model: Described, with_drafts: bool) -> float:
    """Weights of a file: without vision part, vocabulary and, where they are not loaded, draft layers."""
    a = model.architecture
    pieces = not a.kv or (a.name or "").startswith("gemma")
    loaded = model.file_mib - model.projector_mib - a.vocabulary * (_PIECE_BYTES if pieces else _TOKEN_BYTES) / 2**20
    if with_drafts or not a.draft_blocks:
        return loaded
    outside = tables_mib(a) + (0.0 if a.tied else a.vocabulary * a.embedding * (a.output_bits or 6.5625) / 8 / 2**20)
    return loaded - (loaded - outside) * a.draft_blocks / (a.blocks + a.draft_blocks)


def tables_mib(a: Architecture) -> float:
    """Tables that are only looked up in: of tokens, of positions, of each block's own vectors."""
    per_layer = a.vocabulary * a.blocks * a.per_layer_input * (a.per_layer_bits or a.embedding_bits) / 8 / 2**20
    return a.embedding_mib + per_layer + a.positions * a.embedding * 4 / 2**20


def _kv_caches(a: Architecture, cells: Sequence[int], slots: int, cache_type: str, drafts: int) -> float:
    """KV cache of all layers, draft layers included: these stay at 16 bits, since Ollama sets the others' type only.

    Each slot has its own cells.
    """
    elements, of_one_layer = 0, 0
    for kind, count in zip(a.kv, cells, strict=True):
        of_layer = count * slots * kind.heads * (kind.dim + (kind.dim if kind.value_dim is None else kind.value_dim))
        elements += kind.layers * of_layer
        if kind.window is None or not of_one_layer:
            of_one_layer = of_layer
    return (elements * BYTES_PER_ELEMENT[cache_type] + drafts * of_one_layer * BYTES_PER_ELEMENT["f16"]) / 2**20


def _copied(a: Architecture, cells: Sequence[int], slots: int) -> float:
    """Keys and values of the largest layer in 16 bits, of all slots."""
    sizes = (
        count * kind.heads * (kind.dim + (kind.dim if kind.value_dim is None else kind.value_dim))
        for kind, count in zip(a.kv, cells, strict=True)
    )
    return max(sizes, default=0) * slots * BYTES_PER_ELEMENT["f16"] / 2**20


def per_token(a: Architecture) -> float:
    """MiB that a token takes in an f16 cache of the layers without a window: the least that any use adds for it."""
    elements = sum(
        kind.layers * kind.heads * (kind.dim + (kind.dim if kind.value_dim is None else kind.value_dim))
        for kind in a.kv
        if kind.window is None
    )
    return elements * BYTES_PER_ELEMENT["f16"] / 2**20


def recurrent(layers: RecurrentLayers, slots: int) -> float:
    """State of recurrent layers: independent of the context, never quantized."""
    convolution = (layers.conv - 1) * (layers.inner + 2 * layers.groups * layers.state)
    state = layers.state * layers.inner
    return layers.layers * slots * (convolution + state) * _STATE_BYTES / 2**20


def first_batch(model: Described, context: int, slots: int) -> int:
    """The batch Ollama starts from; it steps down when memory is short, so this is the most it can be."""
    if "embedding" in model.purposes:
        return min(2048, context)
    tokens = context * slots
    return 2048 if tokens > 32768 else 1024 if tokens > 4096 else 512


def predicted(model: Described, context_length: int, parallel: int) -> float:
    """Ollama's own prediction of a model's memory, with all its simplifications.

    It takes every layer for full attention with heads of embedding/heads elements in 16 bits, and the model's file as
    it is: a vision part in a file of its own is not seen.
    """
    parts = parts_of(model)
    return parts.predicted + parts.predicted_per_token * min(context_length, model.context_trained) * parallel


def _slots(model: Described, use: Use) -> int:
    return 1 if "embedding" in model.purposes else use.parallel


def _expert_share(a: Architecture) -> float:
    """Part of the layers' weights that lies in experts."""
    e = a.experts
    if e is None:
        return 0.0
    h = a.embedding
    in_experts = (a.blocks - e.dense_blocks) * e.count * e.matrices * h * e.feed_forward
    attention = sum(k.layers * h * k.dim * (2 * a.heads + 2 * k.heads) for k in a.kv)
    mixing = a.recurrent.layers * h * 4 * a.recurrent.inner if a.recurrent else 0
    shared = (a.blocks - e.dense_blocks) * e.matrices * h * e.shared_feed_forward
    dense = e.dense_blocks * 3 * h * (a.feed_forward or 0)
    return in_experts / (in_experts + attention + mixing + shared + dense + a.vocabulary * h)


def _masks(a: Architecture, cells: Sequence[int], batch: int) -> tuple[int, ...]:
    """Cells of each mask: layers with a window share one, all others another; an encoder sees its batch."""
    if len(cells) < 2:
        return tuple(cells) or (batch,)
    return tuple({kind.window is None: count for kind, count in zip(a.kv, cells, strict=True)}.values())


def _cells(kind: KvLayers, context: int, batch: int) -> int:
    """Cells of a layer for one slot, in pages of 256."""
    cells = min(context, kind.window + batch) if kind.window else context
    return -(-cells // _CELLS_PER_PAGE) * _CELLS_PER_PAGE
