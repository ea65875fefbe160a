"""Which type each tensor gets when a model is quantized, as llama.cpp's llama-quant.cpp decides it."""

from typing import Final

from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Q

SMALLER_BLOCKS: Final = {Q.Q4_K: Q.Q5_0, Q.Q5_K: Q.Q5_1, Q.Q6_K: Q.Q8_0}
"""Instead of types of 256 elements a block, where rows are no multiple of 256."""


def more_bits(block: int, blocks: int) -> bool:
    """Blocks whose value and down matrices get Q6_K in Q4_K_M: the first and last eighth, and every third between."""
    eighth = blocks // 8
    return block < eighth or block >= 7 * blocks // 8 or (block - eighth) % 3 == 2


def tensor_type(name: str, row: int, quantization: str, block: int, blocks: int, tied: bool, experts: int) -> Q:
    """Type of a weight matrix.

    Args:
        name: without number of the block: "attn_v", "token_embd".
        row: length of one row.
        quantization: of the whole model: "Q4_K_M", "MXFP4", "Q8_0", "F16".
        block: its number.
        blocks: number of blocks.
        tied: the token-embedding table is the output layer as well.
        experts: number of experts; 0: none.
    """
    if quantization in ("F16", "BF16", "Q8_0"):
        return Q.F16 if quantization == "BF16" else Q[quantization]
    if quantization == "MXFP4":  # gpt-oss: only experts are small
        return Q.MXFP4 if name.endswith("_exps") else Q.BF16
    kind = _q4_k_m(name, block, blocks, tied, experts)
    return SMALLER_BLOCKS[kind] if row % GGML_QUANT_SIZES[kind][0] else kind


def _q4_k_m(name: str, block: int, blocks: int, tied: bool, experts: int) -> Q:
    if name == "output" or (name == "token_embd" and tied):
        return Q.Q6_K
    if name in ("attn_k", "attn_v") and experts == 8:
        return Q.Q8_0
    if name in ("attn_v", "ffn_down", "ffn_down_exps", "ffn_down_shexp", "attn_kv_b", "attn_v_b"):
        return Q.Q6_K if more_bits(block, blocks) else Q.Q4_K
    if name == "attn_qkv":
        return Q.Q5_K
    if name == "per_layer_token_embd":
        return Q.Q4_K
    return Q.Q4_K


def size(kind: Q, elements: int) -> int:
    """Bytes of that many elements."""
    per_block, width = GGML_QUANT_SIZES[kind]
    return elements // per_block * width
