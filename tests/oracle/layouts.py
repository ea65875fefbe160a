"""The tensors and hyper-parameters of each architecture, as llama.cpp expects them in a file.

Everything follows from the same `Architecture` that the estimator is given, so that a wrong number in a catalogue's row
shows as a refused file or as a deviation. What the catalogue has no field for, because memory does not depend on it, is
in `Model.extra`. Names and shapes: llama.cpp's src/models/*.cpp, build 11669.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gguf import GGMLQuantizationType as Q

from inhouse.catalogue.models import Architecture, KvLayers
from tests.oracle import recipe, sparse
from tests.oracle.sparse import Tensor, Value

OLLAMAS_NAMES = {"gptoss": "gpt-oss"}
"""Ollama's files name some architectures differently, and its llama.cpp is patched to know them."""
RECURRENT = "recurrent"
NOTHING = "nothing"


@dataclass(frozen=True)
class Model:
    """One model to be written."""

    architecture: Architecture
    context_trained: int
    quantization: str
    extra: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """llama.cpp's name of the architecture."""
        assert self.architecture.name is not None
        return OLLAMAS_NAMES.get(self.architecture.name, self.architecture.name)


class Layout:
    """Collects what a file holds."""

    def __init__(self, model: Model) -> None:
        self.model, self.a = model, model.architecture
        self.metadata: dict[str, Value] = {}
        self.tensors: list[Tensor] = []
        self.kinds = kinds(model)
        a = self.a
        self.metadata |= {
            ".context_length": a.positions or model.context_trained,
            ".embedding_length": a.embedding,
            ".block_count": a.blocks + a.draft_blocks,
            ".feed_forward_length": self.ff,
            ".attention.head_count": a.heads,
            ".attention.layer_norm_rms_epsilon": 1e-6,
            ".vocab_size": a.vocabulary,
        }
        full = self.attention()
        if full is not None:
            self.metadata |= {
                ".attention.head_count_kv": full.heads,
                ".attention.key_length": full.dim,
                ".attention.value_length": full.dim if full.value_dim is None else full.value_dim,
                ".rope.dimension_count": model.extra.get("rope", full.dim),
            }

    @property
    def ff(self) -> int:
        """Hidden length of the dense feed-forward part."""
        return 4 * self.a.embedding if self.a.feed_forward is None else self.a.feed_forward

    def attention(self) -> KvLayers | None:
        """The layers with the widest view."""
        return next((k for k in self.a.kv if k.window is None), self.a.kv[0] if self.a.kv else None)

    def kv(self, block: int) -> KvLayers:
        """Attention of a block."""
        kind = self.kinds[block]
        assert isinstance(kind, KvLayers)
        return kind

    def vector(self, name: str, *shape: int) -> None:
        """A tensor that is never quantized."""
        self.tensors.append(Tensor(name, shape, Q.F32))

    def norms(self, block: int, *names: str, bias: bool = False) -> None:
        """Norms over a hidden vector."""
        for name in names:
            self.vector(f"blk.{block}.{name}.weight", self.a.embedding)
            if bias:
                self.vector(f"blk.{block}.{name}.bias", self.a.embedding)

    def matrix(self, name: str, *shape: int, block: int | None = None, kind: Q | None = None) -> None:
        """A weight, of the type the quantization gives it."""
        a = self.a
        experts = a.experts.count if a.experts else 0
        if kind is None:
            kind = recipe.tensor_type(name, shape[0], self.model.quantization, block or 0, a.blocks, a.tied, experts)
        prefix = "" if block is None else f"blk.{block}."
        self.tensors.append(Tensor(f"{prefix}{name}.weight", shape, kind))

    def ends(self, bias: bool = False) -> None:
        """What lies before the first block and after the last."""
        a = self.a
        self.matrix("token_embd", a.embedding, a.vocabulary)
        self.vector("output_norm.weight", a.embedding)
        if bias:
            self.vector("output_norm.bias", a.embedding)
        if not a.tied:
            self.matrix("output", a.embedding, a.vocabulary)

    def qkv(
        self,
        block: int,
        *,
        gated: bool = False,
        bias: bool = False,
        fused: bool = False,
        norm: bool = False,
        output_bias: bool = False,
        kv: KvLayers | None = None,
    ) -> None:
        """Matrices of attention.

        Args:
            block: where.
            gated: twice as many queries, half of them gates.
            bias: of queries, keys and values.
            fused: the three in one tensor.
            norm: of each head's query and key.
            output_bias: of the result.
            kv: the block's attention, where it has no cache of its own.
        """
        a, kv = self.a, kv or self.kv(block)
        value = kv.dim if kv.value_dim is None else kv.value_dim
        q, k, v = a.heads * kv.dim, kv.heads * kv.dim, kv.heads * value
        if fused:
            self.matrix("attn_qkv", a.embedding, q + k + v, block=block)
            if bias:
                self.vector(f"blk.{block}.attn_qkv.bias", q + k + v)
        else:
            for name, size in (("q", q * (2 if gated else 1)), ("k", k), ("v", v)):
                self.matrix(f"attn_{name}", a.embedding, size, block=block)
                if bias:
                    self.vector(f"blk.{block}.attn_{name}.bias", size)
        self.matrix("attn_output", a.heads * value, a.embedding, block=block)
        if output_bias:
            self.vector(f"blk.{block}.attn_output.bias", a.embedding)
        if norm:
            self.vector(f"blk.{block}.attn_q_norm.weight", kv.dim)
            self.vector(f"blk.{block}.attn_k_norm.weight", kv.dim)

    def feed_forward(
        self, block: int, *, gate: bool = True, fused: bool = False, bias: bool = False, size: int | None = None
    ) -> None:
        """The dense feed-forward part."""
        a, ff = self.a, size or self.ff
        if gate and not fused:
            self.matrix("ffn_gate", a.embedding, ff, block=block)
        self.matrix("ffn_up", a.embedding, ff * (2 if fused else 1), block=block)
        self.matrix("ffn_down", ff, a.embedding, block=block)
        if bias:
            self.vector(f"blk.{block}.ffn_up.bias", ff)
            self.vector(f"blk.{block}.ffn_down.bias", a.embedding)

    def experts(self, block: int, *, bias: bool = False, joined: bool = False) -> None:
        """The feed-forward part of a mixture of experts, with its router."""
        a, e = self.a, self.a.experts
        assert e is not None
        self.vector(f"blk.{block}.ffn_gate_inp.weight", a.embedding, e.count)
        sides = {"up": e.feed_forward, "gate": e.feed_forward} if e.matrices == 3 else {"up": e.feed_forward}
        if joined:
            sides = {"gate_up": 2 * e.feed_forward}
        for name, size in sides.items():
            self.matrix(f"ffn_{name}_exps", a.embedding, size, e.count, block=block)
            if bias:
                self.vector(f"blk.{block}.ffn_{name}_exps.bias", size, e.count)
        self.matrix("ffn_down_exps", e.feed_forward, a.embedding, e.count, block=block)
        if bias:
            self.vector(f"blk.{block}.ffn_gate_inp.bias", e.count)
            self.vector(f"blk.{block}.ffn_down_exps.bias", a.embedding, e.count)

    def shared_expert(self, block: int) -> None:
        """The expert that works on every token."""
        a, e = self.a, self.a.experts
        assert e is not None
        if not e.shared_feed_forward:
            return
        if e.matrices == 3:
            self.matrix("ffn_gate_shexp", a.embedding, e.shared_feed_forward, block=block)
        self.matrix("ffn_up_shexp", a.embedding, e.shared_feed_forward, block=block)
        self.matrix("ffn_down_shexp", e.shared_feed_forward, a.embedding, block=block)

    def expert_numbers(self) -> None:
        """Hyper-parameters of a mixture of experts."""
        e = self.a.experts
        assert e is not None
        self.metadata |= {
            ".expert_count": e.count,
            ".expert_used_count": e.used,
            ".expert_feed_forward_length": e.feed_forward,
        }
        if e.shared_feed_forward:
            self.metadata[".expert_shared_feed_forward_length"] = e.shared_feed_forward

    def state_numbers(self) -> None:
        """Hyper-parameters of recurrent layers."""
        r = self.a.recurrent
        assert r is not None
        self.metadata |= {
            ".ssm.conv_kernel": r.conv,
            ".ssm.inner_size": r.inner,
            ".ssm.state_size": r.state,
            ".ssm.group_count": r.groups,
            ".ssm.time_step_rank": r.heads or r.inner // 128,
        }

    def mamba(self, block: int) -> None:
        """A Mamba-2 layer."""
        a, r = self.a, self.a.recurrent
        assert r is not None
        heads, width = r.heads or r.inner // 128, r.inner + 2 * r.groups * r.state
        prefix = f"blk.{block}."
        self.matrix("ssm_in", a.embedding, r.inner + width + heads, block=block)
        self.vector(prefix + "ssm_conv1d.weight", r.conv, width)
        self.vector(prefix + "ssm_conv1d.bias", width)
        self.vector(prefix + "ssm_dt.bias", heads)
        self.vector(prefix + "ssm_a", 1, heads)
        self.vector(prefix + "ssm_d", 1, heads)
        self.vector(prefix + "ssm_norm.weight", r.inner // r.groups, r.groups)
        self.matrix("ssm_out", r.inner, a.embedding, block=block)

    def delta_net(self, block: int) -> None:
        """A gated delta net."""
        a, r = self.a, self.a.recurrent
        assert r is not None
        heads, width = r.heads or r.inner // 128, r.inner + 2 * r.groups * r.state
        prefix = f"blk.{block}."
        self.matrix("attn_qkv", a.embedding, width, block=block)
        self.matrix("attn_gate", a.embedding, r.inner, block=block)
        self.vector(prefix + "ssm_conv1d.weight", r.conv, width)
        self.vector(prefix + "ssm_dt.bias", heads)
        self.vector(prefix + "ssm_a", heads)
        self.matrix("ssm_beta", a.embedding, heads, block=block)
        self.matrix("ssm_alpha", a.embedding, heads, block=block)
        self.vector(prefix + "ssm_norm.weight", r.state)
        self.matrix("ssm_out", r.inner, a.embedding, block=block)


def kinds(model: Model) -> Sequence[KvLayers | str]:
    """What each block holds: a kind of attention, a recurrent state, or neither."""
    a = model.architecture
    near, far = next((k for k in a.kv if k.window), None), next((k for k in a.kv if not k.window), None)
    if near and far:
        period = model.extra["period"]
        first = model.extra.get("first", 0)
        return [far if block % period == (period - 1 if not first else 0) else near for block in range(a.blocks)]
    if a.recurrent and "pattern" not in model.extra and "interval" in model.extra:
        assert far
        interval = model.extra["interval"]
        return [far if (block + 1) % interval == 0 else RECURRENT for block in range(a.blocks)]
    if a.recurrent:
        return _spread(a)
    only = near or far
    return [only] * a.blocks if only else [NOTHING] * a.blocks


def _spread(a: Architecture) -> Sequence[KvLayers | str]:
    """Attention, state and neither, spread evenly: only their numbers decide memory."""
    assert a.recurrent
    attention = a.kv[0].layers
    places = {round((i + 0.5) * a.blocks / attention) for i in range(attention)}
    rest = [block for block in range(a.blocks) if block not in places]
    states = set(rest[: a.recurrent.layers])
    return [a.kv[0] if b in places else RECURRENT if b in states else NOTHING for b in range(a.blocks)]


def llama(x: Layout) -> None:
    """Llama, Mistral, Granite and what is built like them."""
    if x.model.name == "granite":
        x.metadata |= {".logit_scale": 16.0, ".residual_scale": 0.22, ".embedding_scale": 12.0}
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "ffn_norm")
        x.qkv(block)
        x.feed_forward(block)


def qwen2(x: Layout) -> None:
    """Qwen 2 and 2.5: biases of queries, keys and values."""
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "ffn_norm")
        x.qkv(block, bias=True)
        x.feed_forward(block)


def qwen3(x: Layout) -> None:
    """Qwen 3, dense or with experts; its vision variant is the same to memory."""
    x.ends()
    if x.a.experts:
        x.expert_numbers()
    if "pooling" in x.model.extra:
        x.metadata[".pooling_type"] = x.model.extra["pooling"]
    if x.model.name.startswith("qwen3vl"):
        x.metadata |= {".rope.dimension_sections": [24, 20, 20, 0], ".n_deepstack_layers": 3}
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "ffn_norm")
        x.qkv(block, norm=True)
        if x.a.experts:
            x.experts(block)
        else:
            x.feed_forward(block)


def gemma(x: Layout) -> None:
    """Gemma 2 and 3: norms after each part, windows in most layers."""
    near = next((k for k in x.a.kv if k.window), None)
    if near and near.window:
        x.metadata[".attention.sliding_window"] = near.window
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        x.qkv(block, norm=x.model.name == "gemma3")
        x.feed_forward(block)


def _per_layer(x: Layout) -> None:
    a = x.a
    x.metadata[".embedding_length_per_layer_input"] = a.per_layer_input
    if not a.per_layer_input:
        return
    x.matrix("per_layer_token_embd", a.per_layer_input * a.blocks, a.vocabulary)
    x.matrix("per_layer_model_proj", a.embedding, a.per_layer_input * a.blocks, kind=Q.F16)
    x.vector("per_layer_proj_norm.weight", a.per_layer_input)
    for block in range(a.blocks):
        x.vector(f"blk.{block}.inp_gate.weight", a.embedding, a.per_layer_input)
        x.vector(f"blk.{block}.proj.weight", a.per_layer_input, a.embedding)
        x.norms(block, "post_norm")


def gemma4(x: Layout) -> None:
    """Gemma 4: two kinds of attention, last layers without a cache of their own, experts beside a dense part."""
    a = x.a
    near = next(k for k in a.kv if k.window)
    far = next(k for k in a.kv if not k.window)
    assert near.window
    x.ends()
    own = sum(k.layers for k in a.kv)
    x.metadata |= {
        ".attention.sliding_window": near.window,
        ".attention.sliding_window_pattern": [k is near for k in x.kinds],
        ".attention.head_count_kv": [x.kv(b).heads for b in range(a.blocks)],
        ".attention.key_length_swa": near.dim,
        ".attention.value_length_swa": near.dim,
        ".attention.shared_kv_layers": a.blocks - own,
        ".rope.dimension_count_swa": near.dim,
    }
    _per_layer(x)
    if a.experts:
        x.expert_numbers()
    x.vector("rope_freqs.weight", far.dim // 2)
    for block in range(a.blocks):
        x.norms(block, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        x.qkv(block, norm=True)
        x.feed_forward(block)
        x.vector(f"blk.{block}.layer_output_scale.weight", 1)
        if a.experts:
            x.norms(block, "pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2")
            x.vector(f"blk.{block}.ffn_gate_inp.scale", a.embedding)
            x.experts(block, joined=True)


def gemma3n(x: Layout) -> None:
    """Gemma 3n: four versions of each hidden vector (AltUp), LAuReL, a vector of its own for each block."""
    a, versions, rank = x.a, 4, 64
    near = next(k for k in a.kv if k.window)
    assert near.window
    x.ends()
    x.metadata |= {
        ".attention.sliding_window": near.window,
        ".attention.shared_kv_layers": a.blocks - 20,
        ".altup.num_inputs": versions,
        ".altup.active_idx": 0,
    }
    _per_layer(x)
    x.matrix("altup_proj", a.embedding, a.embedding, versions - 1, kind=Q.F16)
    x.matrix("altup_unembd_proj", a.embedding, a.embedding, versions - 1, kind=Q.F16)
    for block in range(a.blocks):
        x.norms(block, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        x.norms(block, "altup_correct_scale", "altup_router_norm", "laurel_post_norm")
        x.qkv(block, norm=True)
        x.feed_forward(block)
        prefix = f"blk.{block}."
        x.vector(prefix + "altup_correct_coef.weight", versions, versions)
        x.vector(prefix + "altup_predict_coef.weight", versions, versions * versions)
        x.vector(prefix + "altup_router.weight", a.embedding, versions)
        x.matrix("laurel_l", a.embedding, rank, block=block)
        x.matrix("laurel_r", rank, a.embedding, block=block)


def gpt_oss(x: Layout) -> None:
    """gpt-oss: biases everywhere, attention sinks, small experts."""
    near = next(k for k in x.a.kv if k.window)
    assert near.window
    x.metadata[".attention.sliding_window"] = near.window
    x.expert_numbers()
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "post_attention_norm")
        x.qkv(block, bias=True, output_bias=True)
        x.vector(f"blk.{block}.attn_sinks.weight", x.a.heads)
        x.experts(block, bias=True)


def phi3(x: Layout) -> None:
    """Phi 3 and 4: one matrix for queries, keys and values, one for gate and up."""
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "ffn_norm")
        x.qkv(block, fused=True)
        x.feed_forward(block, fused=True)


def qwen35(x: Layout) -> None:
    """Qwen 3.5 and 3.6: gated delta nets with full attention in every fourth block, dense or with experts."""
    a = x.a
    x.state_numbers()
    x.metadata |= {
        ".full_attention_interval": x.model.extra["interval"],
        ".rope.dimension_sections": [11, 11, 10, 0],
        ".rope.dimension_count": 64,
    }
    if a.draft_blocks:
        x.metadata[".nextn_predict_layers"] = a.draft_blocks
    if a.experts:
        x.expert_numbers()
    x.ends()
    for block in range(a.blocks + a.draft_blocks):
        x.norms(block, "attn_norm", "post_attention_norm")
        if block >= a.blocks or x.kinds[block] != RECURRENT:
            x.qkv(block, gated=True, norm=True, kv=a.kv[0])
        else:
            x.delta_net(block)
        if a.experts:
            x.experts(block)
            x.vector(f"blk.{block}.ffn_gate_inp_shexp.weight", a.embedding)
            x.shared_expert(block)
        else:
            x.feed_forward(block)
        if block >= a.blocks:
            x.matrix("nextn.eh_proj", 2 * a.embedding, a.embedding, block=block)
            x.norms(block, "nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")


def qwen3next(x: Layout) -> None:
    """Qwen 3 Next: as Qwen 3.5 with experts, but two of its small matrices are one."""
    qwen35(x)
    merged: list[Tensor] = []
    for tensor in x.tensors:
        if tensor.name.endswith("ssm_beta.weight"):
            width, heads = tensor.shape
            merged.append(Tensor(tensor.name.replace("ssm_beta", "ssm_ba"), (width, 2 * heads), tensor.kind))
        elif not tensor.name.endswith("ssm_alpha.weight"):
            merged.append(tensor)
    x.tensors = merged


def granite_hybrid(x: Layout) -> None:
    """Granite 4: Mamba-2 layers and a few of attention, each followed by a feed-forward part."""
    a = x.a
    x.state_numbers()
    x.metadata[".attention.head_count_kv"] = [k.heads if isinstance(k, KvLayers) else 0 for k in x.kinds]
    if a.experts:
        x.expert_numbers()
    x.ends()
    for block, kind in enumerate(x.kinds):
        x.norms(block, "attn_norm", "ffn_norm")
        if kind == RECURRENT:
            x.mamba(block)
        else:
            x.qkv(block)
        if a.experts:
            x.experts(block)
            x.shared_expert(block)
        else:
            x.feed_forward(block)


def nemotron_h(x: Layout) -> None:
    """Nemotron-H: each block is a Mamba-2 layer, or attention, or a feed-forward part."""
    a = x.a
    x.state_numbers()
    x.metadata |= {
        ".attention.head_count_kv": [k.heads if isinstance(k, KvLayers) else 0 for k in x.kinds],
        ".feed_forward_length": [x.ff or 1 if k == NOTHING else 0 for k in x.kinds],
        ".attention.layer_norm_epsilon": 1e-5,
    }
    if a.experts:
        x.expert_numbers()
        x.metadata |= {".expert_shared_count": 1, ".expert_weights_norm": True, ".expert_weights_scale": 2.5}
    x.ends()
    for block, kind in enumerate(x.kinds):
        x.norms(block, "attn_norm")
        if kind == RECURRENT:
            x.mamba(block)
        elif kind != NOTHING:
            x.qkv(block)
        elif a.experts:
            x.experts(block)
            x.vector(f"blk.{block}.exp_probs_b.bias", a.experts.count)
            x.shared_expert(block)
        else:
            x.feed_forward(block, gate=False)


def deepseek2(x: Layout) -> None:
    """DeepSeek 2, 3 and what is built like them: MLA, experts after dense blocks.

    Files from before April 2025 hold keys and values of every head in one tensor, and are run without MLA.
    """
    a, e, extra = x.a, x.a.experts, x.model.extra
    assert e is not None
    latent, rope, nope, value = (extra[n] for n in ("kv_lora_rank", "rope", "nope", "value"))
    mla = a.kv[0].value_dim == 0
    if mla:
        x.metadata |= {
            ".attention.head_count_kv": 1,
            ".attention.key_length": latent + rope,
            ".attention.value_length": latent,
            ".attention.key_length_mla": nope + rope,
            ".attention.value_length_mla": value,
        }
    else:
        x.metadata |= {
            ".attention.head_count_kv": a.heads,
            ".attention.key_length": nope + rope,
            ".attention.value_length": value,
        }
    x.metadata |= {
        ".attention.kv_lora_rank": latent,
        ".rope.dimension_count": rope,
        ".leading_dense_block_count": e.dense_blocks,
        ".expert_shared_count": e.shared_feed_forward // e.feed_forward,
        ".expert_weights_scale": 1.0,
        ".expert_gating_func": 1,
    }
    x.expert_numbers()
    x.metadata.pop(".expert_shared_feed_forward_length", None)
    query = extra.get("q_lora_rank", 0)
    if query:
        x.metadata[".attention.q_lora_rank"] = query
    x.ends()
    for block in range(a.blocks):
        x.norms(block, "attn_norm", "ffn_norm")
        if query:
            x.matrix("attn_q_a", a.embedding, query, block=block)
            x.vector(f"blk.{block}.attn_q_a_norm.weight", query)
            x.matrix("attn_q_b", query, a.heads * (nope + rope), block=block)
        else:
            x.matrix("attn_q", a.embedding, a.heads * (nope + rope), block=block)
        x.matrix("attn_kv_a_mqa", a.embedding, latent + rope, block=block)
        x.vector(f"blk.{block}.attn_kv_a_norm.weight", latent)
        if mla:
            x.matrix("attn_k_b", nope, latent, a.heads, block=block)
            x.matrix("attn_v_b", latent, value, a.heads, block=block)
        else:
            x.matrix("attn_kv_b", latent, a.heads * (nope + value), block=block)
        x.matrix("attn_output", a.heads * value, a.embedding, block=block)
        if block < e.dense_blocks:
            x.feed_forward(block)
        else:
            x.experts(block)
            x.shared_expert(block)


def lfm2(x: Layout) -> None:
    """LFM2: short convolutions and a few layers of attention."""
    a, r = x.a, x.a.recurrent
    assert r is not None
    x.metadata |= {
        ".attention.head_count_kv": [k.heads if isinstance(k, KvLayers) else 0 for k in x.kinds],
        ".shortconv.l_cache": r.conv,
    }
    if a.experts:
        x.expert_numbers()
        x.metadata |= {".leading_dense_block_count": a.experts.dense_blocks, ".expert_gating_func": 2}
    x.ends()
    x.tensors = [t for t in x.tensors if t.name != "output_norm.weight"]
    x.vector("token_embd_norm.weight", a.embedding)
    for block, kind in enumerate(x.kinds):
        x.norms(block, "attn_norm", "ffn_norm")
        if kind == RECURRENT:
            x.vector(f"blk.{block}.shortconv.conv.weight", r.conv, a.embedding)
            x.matrix("shortconv.in_proj", a.embedding, 3 * a.embedding, block=block)
            x.matrix("shortconv.out_proj", a.embedding, a.embedding, block=block)
        else:
            x.qkv(block, norm=True)
        if a.experts and block >= a.experts.dense_blocks:
            x.experts(block)
            x.vector(f"blk.{block}.exp_probs_b.bias", a.experts.count)
        else:
            x.feed_forward(block)


def bert(x: Layout) -> None:
    """BERT, and Nomic's variant of it: encoders without a cache."""
    a, nomic = x.a, x.model.name == "nomic-bert"
    x.metadata |= {
        ".attention.causal": False,
        ".pooling_type": 1,
        ".attention.layer_norm_epsilon": 1e-12,
    }
    x.matrix("token_embd", a.embedding, a.vocabulary)
    x.vector("token_embd_norm.weight", a.embedding)
    x.vector("token_embd_norm.bias", a.embedding)
    x.vector("token_types.weight", a.embedding, 2)
    if a.positions:
        x.matrix("position_embd", a.embedding, a.positions, kind=Q.F32)
    whole = KvLayers(layers=a.blocks, heads=a.heads, dim=a.embedding // a.heads)
    for block in range(a.blocks):
        x.norms(block, "attn_output_norm", "layer_output_norm", bias=True)
        x.qkv(block, bias=not nomic, fused=nomic, output_bias=not nomic, kv=whole)
        x.feed_forward(block, gate=nomic, bias=not nomic)


def command_r(x: Layout) -> None:
    """Command R: attention and feed-forward side by side."""
    x.metadata |= {".attention.layer_norm_epsilon": 1e-5, ".logit_scale": 0.0625}
    near = next((k for k in x.a.kv if k.window), None)
    if near and near.window:
        x.metadata[".attention.sliding_window"] = near.window
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm")
        x.qkv(block)
        x.feed_forward(block)


def olmo2(x: Layout) -> None:
    """OLMo 2: norms after each part, of all queries and all keys together."""
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "post_attention_norm", "post_ffw_norm")
        x.qkv(block)
        kv = x.kv(block)
        x.vector(f"blk.{block}.attn_q_norm.weight", x.a.heads * kv.dim)
        x.vector(f"blk.{block}.attn_k_norm.weight", kv.heads * kv.dim)
        x.feed_forward(block)


def glm4(x: Layout) -> None:
    """GLM 4: norms before and after each part, one matrix for gate and up."""
    x.ends()
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        x.qkv(block, bias=True)
        x.feed_forward(block, fused=True)


def starcoder2(x: Layout) -> None:
    """StarCoder 2: biases everywhere, no gate."""
    x.metadata[".attention.layer_norm_epsilon"] = 1e-5
    x.ends(bias=True)
    for block in range(x.a.blocks):
        x.norms(block, "attn_norm", "ffn_norm", bias=True)
        x.qkv(block, bias=True, output_bias=True)
        x.feed_forward(block, gate=False, bias=True)


LAYOUTS: Mapping[str, Callable[[Layout], None]] = {
    "llama": llama,
    "mistral3": llama,
    "granite": llama,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "qwen3moe": qwen3,
    "qwen3vl": qwen3,
    "qwen3vlmoe": qwen3,
    "gemma2": gemma,
    "gemma3": gemma,
    "gemma3n": gemma3n,
    "gemma4": gemma4,
    "gpt-oss": gpt_oss,
    "phi3": phi3,
    "qwen35": qwen35,
    "qwen35moe": qwen35,
    "qwen3next": qwen3next,
    "granitehybrid": granite_hybrid,
    "nemotron_h": nemotron_h,
    "nemotron_h_moe": nemotron_h,
    "deepseek2": deepseek2,
    "lfm2": lfm2,
    "lfm2moe": lfm2,
    "bert": bert,
    "nomic-bert": bert,
    "command-r": command_r,
    "cohere2": command_r,
    "olmo2": olmo2,
    "glm4": glm4,
    "starcoder2": starcoder2,
}


def write(path: Path, model: Model, words: Mapping[str, Value] | None = None) -> int:
    """Write a model's file, with its own vocabulary if none is given; return the bytes of its tensors."""
    layout = Layout(model)
    LAYOUTS[model.name](layout)
    size = model.architecture.vocabulary
    if words is None:
        words = sparse.word_pieces(size) if "bert" in model.name else sparse.vocabulary(size, "gemma" in model.name)
    return sparse.write(path, model.name, layout.metadata | dict(words), layout.tensors)
