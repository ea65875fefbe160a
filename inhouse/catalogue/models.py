"""The models the planner knows, from models.yml: numbers for the estimator, and what each model is good for."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Literal

from inhouse.catalogue import agreement
from inhouse.catalogue.checked import Checked, PositiveInt
from inhouse.catalogue.evidence import Evidence, Source, Sources
from inhouse.catalogue.evidence import Purpose as Purpose
from inhouse.catalogue.load import Row, read
from inhouse.catalogue.version import Version

Capability = Literal["tools", "thinking", "vision", "audio", "insert", "embedding"]
CLASSES = ((2, "<2B"), (6, "2-4B"), (10, "7-9B"), (18, "12-14B"), (50, "20-35B"), (100, "70B+"), (10_000, "100B+"))
"""Thousand millions of parameters below which a model belongs to a class."""
Language = Annotated[str, Checked(pattern=r"^[a-z]{2}$")]


# What the fields below are called in a GGUF file; ARCH is the value of `general.architecture`.
#
# | field                        | GGUF                                                                              |
# |------------------------------|-----------------------------------------------------------------------------------|
# | name                         | general.architecture                                                              |
# | blocks                       | ARCH.block_count, without draft_blocks                                            |
# | draft_blocks                 | ARCH.nextn_predict_layers (MTP): part of block_count, at the end, without a cache |
# | embedding                    | ARCH.embedding_length                                                             |
# | heads                        | ARCH.attention.head_count (the largest, where it is an array)                     |
# | feed_forward                 | ARCH.feed_forward_length (the largest, where it is an array)                      |
# | vocabulary                   | length of tokenizer.ggml.tokens, or first dimension of token_embd.weight          |
# | embedding_bits, output_bits  | types of token_embd.weight and output.weight; no output.weight: tied              |
# | positions                    | rows of position_embd.weight                                                      |
# | per_layer_input              | ARCH.embedding_length_per_layer_input; its table is per_layer_token_embd.weight   |
# | Experts.count, used          | ARCH.expert_count, ARCH.expert_used_count                                         |
# | Experts.feed_forward         | ARCH.expert_feed_forward_length; where there is none, ARCH.feed_forward_length    |
# | Experts.shared_feed_forward  | ARCH.expert_shared_feed_forward_length, or ARCH.expert_shared_count * the above   |
# | Experts.dense_blocks         | ARCH.leading_dense_block_count                                                    |
# | KvLayers.heads               | ARCH.attention.head_count_kv (per layer, where it is an array; 0: no attention)   |
# | KvLayers.dim, value_dim      | ARCH.attention.key_length, value_length (…_swa in layers with a window)           |
# | KvLayers.window              | ARCH.attention.sliding_window; which layers: …sliding_window_pattern              |
# | RecurrentLayers.inner …      | ARCH.ssm.inner_size, state_size, group_count, conv_kernel, time_step_rank (heads) |
# | which layers are recurrent   | ARCH.full_attention_interval, or a KV head count of 0                             |
#
# How the special kinds are written down:
# - MLA (deepseek2): KvLayers with heads 1, dim kv_lora_rank + rope.dimension_count (512 + 64), value_dim 0.
# - Layers that use another layer's cache (ARCH.attention.shared_kv_layers, the last ones) are in no KvLayers.
# - LFM2's short convolution: RecurrentLayers with inner = embedding, state 0, groups 0, conv = ARCH.shortconv.l_cache.
# - Mamba-2 (nemotron_h, granitehybrid) and the gated delta net (qwen3next, qwen35): as they are, from ARCH.ssm.*.
# - Layers with neither cache nor state (nemotron_h's feed-forward layers) are in neither list.


@dataclass(frozen=True, kw_only=True)
class KvLayers(Row):
    """Attention layers of one kind. Layers that share another layer's KV cache are left out: they hold none."""

    layers: PositiveInt
    heads: PositiveInt
    """KV heads."""
    dim: PositiveInt
    """Length of one key; of one value too unless `value_dim` is given."""
    value_dim: Annotated[int, Checked(ge=0)] | None = None
    """Length of one value; 0 where values are a part of the keys (MLA)."""
    window: PositiveInt | None = None
    """Tokens of the sliding window; None: full attention."""


@dataclass(frozen=True, kw_only=True)
class RecurrentLayers(Row):
    """Layers with a state of fixed size instead of a KV cache (ssm.* in a GGUF file)."""

    layers: PositiveInt
    inner: PositiveInt
    state: Annotated[int, Checked(ge=0)]
    """0: the layer remembers the last tokens only (a short convolution)."""
    groups: Annotated[int, Checked(ge=0)]
    conv: PositiveInt
    heads: PositiveInt | None = None
    """Heads of the state; None: one for each 128 elements of `inner`."""


@dataclass(frozen=True, kw_only=True)
class Experts(Row):
    """The feed-forward part of a mixture of experts."""

    count: PositiveInt
    used: PositiveInt
    """Experts that work on one token, the shared ones not counted."""
    feed_forward: PositiveInt
    """Hidden length of one expert."""
    shared_feed_forward: Annotated[int, Checked(ge=0)] = 0
    """Hidden length of the experts that work on every token, together."""
    dense_blocks: Annotated[int, Checked(ge=0)] = 0
    """Blocks without experts."""
    matrices: Literal[2, 3] = 3
    """Matrices of one expert: up, down, and in most models a gate."""


@dataclass(frozen=True, kw_only=True)
class Architecture(Row):
    """The numbers that decide memory."""

    name: Annotated[str, Checked(pattern=r"^[a-z0-9_-]+$")] | None = None
    """llama.cpp's name of the architecture; None: a plain transformer is assumed."""
    blocks: PositiveInt
    """Those that a token passes; `draft_blocks` not counted."""
    embedding: PositiveInt
    """Length of one hidden vector."""
    heads: PositiveInt
    """Query heads (the largest count of any layer)."""
    feed_forward: Annotated[int, Checked(ge=0)] | None = None
    """Hidden length of the dense feed-forward part (the largest of any layer); None: four times `embedding`."""
    gated: bool = True
    """It has a gate beside up and down (ffn_gate, or both in one); StarCoder 2, BERT and Nemotron-H have none."""
    experts: Experts | None = None
    vocabulary: PositiveInt
    embedding_bits: Annotated[float, Checked(gt=0, le=32)]
    """Bits per weight of the token-embedding table, which stays in the host's RAM."""
    tied: bool
    """The output layer is the embedding table: then the GPU holds a second copy of it."""
    output_bits: Annotated[float, Checked(gt=0, le=32)] | None = None
    """Bits per weight of an output layer of its own; None: 6.5625 (Q6_K), as llama.cpp makes it for most files."""
    positions: Annotated[int, Checked(ge=0)] = 0
    """Rows of a learned table of positions, which stays in the host's RAM too, in 32 bits."""
    per_layer_input: Annotated[int, Checked(ge=0)] = 0
    """Length of each block's own vector per token (gemma3n, gemma4 E2B and E4B); its table stays in the host's RAM."""
    per_layer_bits: Annotated[float, Checked(gt=0, le=32)] | None = None
    """Bits per weight of that table; None: as the token-embedding table."""
    kv: tuple[KvLayers, ...] = ()
    """Empty for encoders, which keep no cache."""
    recurrent: RecurrentLayers | None = None
    draft_blocks: Annotated[int, Checked(ge=0)] = 0
    """Blocks in the file that guess further tokens (MTP). Ollama uses them unless `draft_num_predict` is 0."""
    vision_inline: bool = True
    """The vision part is in the model's own file, not in one of its own: then Ollama's prediction counts it."""

    @property
    def embedding_mib(self) -> float:
        """Size of the token-embedding table."""
        return self.vocabulary * self.embedding * self.embedding_bits / 8 / 2**20


@dataclass(frozen=True, kw_only=True)
class Model(Row):
    """One tag of Ollama's library."""

    tag: Annotated[str, Checked(pattern=r"^[a-z0-9.-]+(:[a-z0-9._-]+)?$")]
    parameters_b: Annotated[float, Checked(gt=0)]
    """Thousand millions of parameters, the vision part included."""
    active_b: Annotated[float, Checked(gt=0)]
    """Of them used for one token; less than all in a mixture of experts, or where a table is only looked up in."""
    quantization: Literal["Q4_0", "Q4_K_M", "MXFP4", "Q8_0", "F16", "BF16"]
    file_mib: PositiveInt
    """Everything a pull fetches."""
    projector_mib: Annotated[int, Checked(ge=0)] = 0
    """Of it the vision part."""
    digest: Annotated[str, Checked(pattern=r"^[0-9a-f]{12}$")]
    """First twelve digits of the manifest this row describes, as `ollama list` shows them."""
    context_trained: Annotated[int, Checked(ge=128, le=10_485_760)]
    purposes: tuple[Purpose, ...]
    capabilities: tuple[Capability, ...] = ()
    licence: Annotated[str, Checked(min_length=3)]
    """SPDX identifier, or the licence's own name."""
    min_ollama: Version
    quality: dict[Purpose, Annotated[int, Checked(ge=1, le=100)]]
    """For each purpose, higher is better; docs/models.md says how it follows from the evidence."""
    derived: tuple[Purpose, ...] = ()
    """Purposes with no published result: their quality is assumed from the others'."""
    evidence: Annotated[tuple[Evidence, ...], Checked(min_length=1)]
    languages: tuple[Language, ...] = ()
    """Languages its maker names, as ISO 639-1 codes; empty: it names none."""
    architecture: Architecture
    source: Sources
    unsourced: tuple[str, ...] = ()
    """Fields for which no source was found: estimated, or as generally known."""

    def quality_for(self, purpose: Purpose) -> int:
        """How good it is for a purpose, from 1 to 100; models are compared within one purpose only.

        Raises:
            KeyError: it is not for this purpose.
        """
        return self.quality[purpose]

    @property
    def kind(self) -> str:
        """Class of size; "embedding" for those."""
        if "embedding" in self.purposes:
            return "embedding"
        return next(name for below, name in CLASSES if self.parameters_b < below)

    @property
    def dense(self) -> bool:
        """Every token uses every parameter."""
        return self.architecture.experts is None

    @property
    def thinks(self) -> bool:
        """Answers only after tokens a person does not read."""
        return "thinking" in self.capabilities

    def check(self) -> None:
        """Fields and rows fit together."""
        for wrong in agreement.contradictions(self):
            raise ValueError(wrong)


@dataclass(frozen=True, kw_only=True)
class Models(Row):
    """The file models.yml."""

    sources: dict[str, Source]
    models: tuple[Model, ...]

    def check(self) -> None:
        """Fields and rows fit together."""
        for name in ("tag", "digest"):
            values = [getattr(m, name) for m in self.models]
            if twice := {v for v in values if values.count(v) > 1}:
                raise ValueError(f"{name}s given twice: {', '.join(sorted(twice))}")
        used = {key for m in self.models for key in (*vars(m.source).values(), *(e.source for e in m.evidence))}
        if odd := used ^ set(self.sources):
            raise ValueError(f"sources that are used but not explained, or the reverse: {', '.join(sorted(odd))}")
        spelt: dict[str, str] = {}
        for licence in (m.licence for m in self.models):
            other = spelt.setdefault("".join(filter(str.isalnum, licence.lower())), licence)
            if other != licence:
                raise ValueError(f"one licence is spelt in two ways: {other}, {licence}")


@cache
def models() -> tuple[Model, ...]:
    """Read models.yml once."""
    return read("models.yml", Models).models


@cache
def _by_tag() -> dict[str, Model]:
    return {m.tag: m for m in models()}


def find(tag: str) -> Model | None:
    """The model of a tag; "NAME:latest" and "NAME" are the same."""
    return _by_tag().get(tag.lower().removesuffix(":latest"))


def nearest(tag: str) -> list[str]:
    """Up to three tags that look like this one, or are of the same family."""
    tags = list(_by_tag())
    family = tag.lower().partition(":")[0]
    close = get_close_matches(tag.lower(), tags, n=3, cutoff=0.6)
    return close or [t for t in tags if t.partition(":")[0] == family][:3]
