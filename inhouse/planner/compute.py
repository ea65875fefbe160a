"""Compute buffers of llama.cpp: how much a graph needs beside weights and caches. Pure arithmetic, MiB.

llama.cpp plans the graph of one full batch and keeps a buffer for the most that is alive at any moment. That is the
attention mask, and so many numbers of 32 bits for each token of the batch: its width. Which part of a block is widest
follows from the architecture. docs/memory.md derives each term; docs/oracle.md compares the sums with the engine's own.
"""

from typing import NamedTuple

from inhouse.catalogue.models import Architecture, Experts, RecurrentLayers

HIDDEN_VECTORS = 5
"""Hidden vectors alive beside the widest part: input, residual, norm, and the room between them."""
FAN_OUT = 4
"""Copies of a graph's inputs that are kept when it runs over several GPUs (GGML_SCHED_MAX_COPIES)."""
PASSED_ON, LAST = 15, 10
"""Hidden vectors alive on a GPU that passes its result to the next, and on the last one; the host holds `LAST` too."""

PARALLEL_BLOCKS = frozenset({"cohere2"})
"""Attention and feed-forward part side by side: one more hidden vector lives."""
LEARNED_POSITIONS = frozenset({"bert"})
STACKED_VISION = frozenset({"qwen3vl", "qwen3vlmoe"})
"""Three further vectors of each image token ride along with the input (DeepStack): eleven more hidden vectors live."""
STACKED_VECTORS = 11
DELTA_NETS = frozenset({"qwen3next", "qwen35", "qwen35moe"})

_MIB = 2**20
_WORD = 4


class Batch(NamedTuple):
    """What one step works on."""

    tokens: int
    """Tokens of the batch, of all slots together."""
    slots: int
    cells: tuple[int, ...]
    """Cells of each kind of attention that has a mask of its own: all, or those of a window."""
    flash_attention: bool


class Buffers(NamedTuple):
    """Compute buffers. MiB."""

    cpu: float
    """Without a GPU."""
    gpu: float
    """On all GPUs together."""
    host: float
    """In RAM beside GPUs."""
    copies: float
    """On all GPUs together, beyond `gpu`, where they run on CUDA."""


def buffers(a: Architecture, batch: Batch, width: float, gpus: int = 1, copied: float = 0.0) -> Buffers:
    """Compute buffers of a model.

    Args:
        a: the model's numbers.
        batch: what one step works on.
        width: numbers of 32 bits alive per token of it, the mask left out.
        gpus: GPUs it is spread over, every layer on one of them.
        copied: MiB of one layer's cache in 16 bits, where the cache is kept in another type. CUDA's flash attention
            reads 16 bits alone when it works on more than two tokens, so it makes a copy.
    """
    mask = sum(batch.cells) * batch.tokens * (2 if batch.flash_attention else _WORD) / _MIB
    vector = a.embedding * batch.tokens * _WORD / _MIB
    table = a.blocks * a.per_layer_input * batch.tokens * _WORD / _MIB
    logits = a.vocabulary * batch.slots * _WORD / _MIB
    working = width * batch.tokens * _WORD / _MIB
    alone = mask + working + logits
    copies = max(_attention(a, batch) * batch.tokens * _WORD / _MIB + copied - working, 0.0) if copied else 0.0
    if gpus == 1:
        return Buffers(alone, alone, mask + HIDDEN_VECTORS * vector + table + logits, copies)
    inner = FAN_OUT * (mask + table) + working - HIDDEN_VECTORS * vector
    spread = gpus * inner + ((gpus - 1) * PASSED_ON + LAST) * vector + logits
    return Buffers(alone, spread, FAN_OUT * (mask + table) + LAST * vector + logits, gpus * copies)


def drafting(a: Architecture, batch: Batch) -> float:
    """The second graph, of the layers that guess further tokens."""
    mask = sum(batch.cells) * batch.tokens * (2 if batch.flash_attention else _WORD)
    return (mask + 2 * HIDDEN_VECTORS * a.embedding * batch.tokens * _WORD) / _MIB


def width(a: Architecture, batch: Batch) -> float:
    """Numbers of 32 bits alive per token of a batch, the mask left out."""
    parts = [_attention(a, batch)]
    if a.feed_forward != 0 and (a.experts is None or a.experts.dense_blocks or a.name == "gemma4"):
        parts.append(_feed_forward(a))
    if a.experts:
        parts.append(_experts(a, a.experts))
    if a.recurrent:
        parts.append(_recurrent(a, a.recurrent, batch))
    widest = max(parts)
    if a.per_layer_input:
        widest = _per_layer(a, widest)
    return widest + _extra(a)


def _feed_forward(a: Architecture) -> float:
    hidden = 4 * a.embedding if a.feed_forward is None else a.feed_forward
    return HIDDEN_VECTORS * a.embedding + hidden * (3 if a.gated else 1)


def _experts(a: Architecture, e: Experts) -> float:
    """Up, gate and their product of every expert used; their results, unless these fit where up and gate were."""
    inside = e.used * e.feed_forward
    results = e.used * a.embedding
    held = inside * (3 if e.matrices == 3 else 1)
    room = inside * (2 if e.matrices == 3 else 0)
    return (HIDDEN_VECTORS + (e.matrices == 2)) * a.embedding + held + (results if results > room else 0)


def _attention(a: Architecture, batch: Batch) -> float:
    """Queries before and after their rotation; without flash attention also the scores, and keys and values."""
    most = 0.0
    for kind in a.kv:
        query = a.heads * kind.dim
        part = 2.0 * query
        if kind.value_dim == 0:
            part += query * 4 / 9
        elif a.name in DELTA_NETS:
            part += 0 if batch.flash_attention else query
        if not batch.flash_attention:
            value = kind.dim if kind.value_dim is None else kind.value_dim
            part += kind.heads * (kind.dim + value)
        most = max(most, part)
    if not a.kv:
        most = 2.0 * a.embedding
    scores = 0 if batch.flash_attention else a.heads * max(batch.cells, default=0)
    return HIDDEN_VECTORS * a.embedding + most + scores


def _recurrent(a: Architecture, r: RecurrentLayers, batch: Batch) -> float:
    """Input, convolution and output of a recurrent layer; the states of all slots are copied once."""
    mixed = r.inner + 2 * r.groups * r.state
    if not r.state:
        return (HIDDEN_VECTORS + 3) * a.embedding
    states = r.inner * r.state * batch.slots / batch.tokens
    if a.name in DELTA_NETS:
        return HIDDEN_VECTORS * a.embedding + mixed * (2 if batch.slots == 1 else 3) + states
    projected = r.inner + mixed + (r.heads or r.inner // 64)
    return HIDDEN_VECTORS * a.embedding + projected + 2 * mixed + r.inner + states


def _per_layer(a: Architecture, block: float) -> float:
    """Vectors of every block per token: made before the first block, alive until the last."""
    table = a.blocks * a.per_layer_input
    if a.name == "gemma3n":  # four versions of each hidden vector
        return max(block + table + 8 * a.embedding, 14 * a.embedding + 2.8 * table)
    return max(block + table + 2 * a.per_layer_input, 6 * a.embedding + 3 * table)


def _extra(a: Architecture) -> int:
    if a.name in STACKED_VISION:
        return STACKED_VECTORS * a.embedding
    return a.embedding if a.name in PARALLEL_BLOCKS or a.positions or a.name in LEARNED_POSITIONS else 0
