"""What the numbers of a model's row must agree on: each check yields what contradicts something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inhouse.catalogue import quality

if TYPE_CHECKING:
    from inhouse.catalogue.models import Model

BITS_PER_PARAMETER = {
    "Q4_0": (3.9, 6.0),
    "Q4_K_M": (4.2, 7.5),
    "MXFP4": (4.0, 6.0),
    "Q8_0": (8.0, 9.8),
    "F16": (15.5, 17.0),
    "BF16": (15.5, 17.0),
}
"""Quantization → size of a file per parameter, its vision part left out; tables may have more bits than the rest."""


def contradictions(model: Model) -> Iterator[str]:
    """Everything that cannot be right about a row."""
    yield from _layers(model)
    yield from _sizes(model)
    yield from _table(model)
    yield from _purposes(model)
    yield from _quality(model)


def _layers(model: Model) -> Iterator[str]:
    a = model.architecture
    with_state = sum(g.layers for g in a.kv) + (a.recurrent.layers if a.recurrent else 0)
    if with_state > a.blocks:
        yield f"{with_state} layers hold a cache or a state, but the model has only {a.blocks} blocks"
    for group in a.kv:
        if a.heads % group.heads:
            yield f"{a.heads} heads cannot share {group.heads} KV heads"
        if group.window and group.window >= model.context_trained:
            yield f"a window of {group.window} tokens is no window in a context of {model.context_trained}"
    if a.experts and a.experts.used > a.experts.count:
        yield f"{a.experts.used} of {a.experts.count} experts cannot be used at once"
    if not a.kv and "embedding" not in model.purposes:
        yield "a model that generates text has layers with a KV cache"


def _sizes(model: Model) -> Iterator[str]:
    if model.active_b > model.parameters_b:
        yield f"{model.active_b} billion active parameters are more than all {model.parameters_b}"
    if (model.active_b < model.parameters_b) != bool(model.architecture.experts or model.architecture.per_layer_input):
        yield "active_b is below parameters_b in a mixture of experts, or with vectors per layer, and nowhere else"
    if model.projector_mib + model.architecture.embedding_mib >= model.file_mib:
        yield "vision part and embedding table are together as large as the file"
    text_b = model.parameters_b - model.projector_mib * 2**20 / 2 / 1e9
    bits = (model.file_mib - model.projector_mib) * 8 * 2**20 / (text_b * 1e9)
    least, most = BITS_PER_PARAMETER[model.quantization]
    if model.architecture.per_layer_bits:
        most = 16.0
    if not least <= bits <= most:
        yield f"{bits:.1f} bits per parameter are not {model.quantization}: file_mib and parameters_b do not agree"


def _table(model: Model) -> Iterator[str]:
    """llama.cpp takes Q4_K or Q6_K for the embedding table, or Q5_0 or Q8_0 where rows do not divide into 256."""
    bits = model.architecture.embedding_bits
    possible = (4.5, 6.5625) if model.architecture.embedding % 256 == 0 else (5.5, 8.5)
    if model.quantization == "Q4_K_M" and bits not in possible:
        yield f"an embedding table of {bits} bits in Q4_K_M, where {' or '.join(map(str, possible))} is possible"


def _purposes(model: Model) -> Iterator[str]:
    follows = {"tools": "tools", "thinking": "reasoning", "vision": "vision", "embedding": "embedding"}
    for capability, purpose in follows.items():
        if (capability in model.capabilities) != (purpose in model.purposes):
            yield f"capability {capability} and purpose {purpose} come together"
    if ("vision" in model.purposes) != (model.projector_mib > 0):
        yield "a model for vision has a vision part (projector_mib), and no other has one"
    if ("embedding" in model.purposes) != (model.purposes == ("embedding",)):
        yield "an embedding model is for nothing else"
    if not {"chat", "code", "embedding"} & set(model.purposes):
        yield "every model is for chat, for code or for embedding"


def _quality(model: Model) -> Iterator[str]:
    if stray := {e.purpose for e in model.evidence} - set(model.purposes):
        yield f"evidence for {', '.join(sorted(stray))}, which is none of its purposes"
    expected = quality.from_evidence(model.purposes, model.evidence)
    if model.quality != expected:
        yield f"quality does not follow from the evidence, which gives {expected}"
    assumed = set(model.purposes) - set(quality.published_quality(model.evidence))
    if set(model.derived) != assumed:
        yield f"derived must name the purposes without a published result: {', '.join(sorted(assumed)) or 'none'}"
