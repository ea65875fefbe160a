"""Sizes of the catalogue beside the sum of the tensors that llama.cpp's converters write for these architectures."""

from dataclasses import replace
from math import prod

import pytest
from gguf import GGMLQuantizationType as Q

from inhouse.catalogue import models
from tests.oracle import cases, layouts
from tests.oracle.sparse import Tensor

TOLERANCE = 0.02
METADATA_MIB = 12
"""At most; words and merges, mostly."""
KEPT_AT_F16 = {
    "qwen3:0.6b": "attn_v.",
    "qwen3:1.7b": "attn_v.",
    "qwen3:8b": "attn_v.",
    "deepseek-r1:8b": "attn_v.",
    "qwen3:14b": "attn_v.",
    "qwen3:32b": "attn_v.",
    "phi4-reasoning:14b": "attn_qkv.",
    "gemma4:e2b": "per_layer_token_embd.",
}
"""What some files of Ollama's library hold unquantized: only so their sizes are what is published, to 0.1 %."""
Q6_K_THROUGHOUT = {"qwen3.5:35b": "ffn_down_exps.", "gemma4:e4b": "per_layer_token_embd."}
"""What some files hold in six bits, where usual recipes have four in some layers."""
OTHER_RECIPE = {
    "glm-4.7-flash": 0.05,
    "nemotron-3-nano:30b": 0.03,
    "granite4:micro-h": 0.025,
    "granite4:small-h": 0.03,
    "qwen3-next:80b": 0.035,
    "qwen3-coder-next": 0.07,
    "qwen3.5:122b": 0.06,
    "gemma4:12b": 0.025,
    "gemma4:e2b": 0.06,
    "qwen3.5:0.8b": 0.05,
    "qwen3-vl:30b": 0.025,
}
"""Quantized by another recipe, known only as the listing rounds it, or (gemma4:e2b) with layers of two widths."""
ORACLE = cases.models()
ROWS = [row for row in models.models() if row.tag in ORACLE]


def tensors(row: models.Model) -> list[Tensor]:
    """What the model's file holds; its vision part is beside it."""
    model = ORACLE[row.tag]
    layout = layouts.Layout(model)
    layouts.LAYOUTS[model.name](layout)
    return [as_in_the_library(row.tag, t) for t in layout.tensors]


def as_in_the_library(tag: str, tensor: Tensor) -> Tensor:
    for kind, known in ((Q.F16, KEPT_AT_F16), (Q.Q6_K, Q6_K_THROUGHOUT)):
        if tag in known and known[tag] in tensor.name and len(tensor.shape) > 1:
            return replace(tensor, kind=kind)
    return tensor


@pytest.mark.parametrize("row", ROWS, ids=lambda m: m.tag)
def test_a_file_is_the_sum_of_its_tensors(row: models.Model) -> None:
    found = sum(t.size for t in tensors(row)) / 2**20
    file = row.file_mib - row.projector_mib
    assert found == pytest.approx(file, rel=OTHER_RECIPE.get(row.tag, TOLERANCE), abs=METADATA_MIB)


@pytest.mark.parametrize("row", [r for r in ROWS if not r.projector_mib], ids=lambda m: m.tag)
def test_parameters_are_those_of_the_tensors(row: models.Model) -> None:
    assert sum(prod(t.shape) for t in tensors(row)) / 1e9 == pytest.approx(row.parameters_b, rel=0.006)


def test_nearly_all_rows_are_summed() -> None:
    assert len(ROWS) >= len(models.models()) - 6
    assert KEPT_AT_F16.keys() | Q6_K_THROUGHOUT.keys() | OTHER_RECIPE.keys() <= {r.tag for r in ROWS}


@pytest.mark.parametrize("row", [r for r in ROWS if not r.dense], ids=lambda m: m.tag)
def test_active_parameters_are_those_that_a_token_reads(row: models.Model) -> None:
    """All but the experts that are not chosen, and but the table of embeddings if the output has its own."""
    architecture = row.architecture
    assert architecture.experts
    chosen = architecture.experts.used / architecture.experts.count
    read = sum(prod(t.shape) * (chosen if "_exps" in t.name else 1) for t in tensors(row) if is_read(row, t))
    assert row.active_b == pytest.approx(read / 1e9, rel=0.12)


def is_read(row: models.Model, tensor: Tensor) -> bool:
    return row.architecture.tied or not tensor.name.startswith("token_embd")


@pytest.mark.parametrize("row", ROWS, ids=lambda m: m.tag)
def test_a_gate_is_where_tensors_have_one(row: models.Model) -> None:
    names = {t.name.split(".", 2)[-1] for t in tensors(row)}
    wide = {2 * (row.architecture.feed_forward or 0)}
    fused = {t.shape[1] for t in tensors(row) if t.name.endswith(".ffn_up.weight")} == wide
    assert row.architecture.gated == (fused or any(n.startswith("ffn_gate") and "inp" not in n for n in names))
