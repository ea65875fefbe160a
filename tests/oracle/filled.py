"""GGUF files whose weights are random but sound: an engine that reads them works as on a real model's.

Zeros would do for memory. For speed they would not: a router of zeros sends every token to the same experts, and
arithmetic on zeros takes less power, so a GPU clocks higher.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFReader

from tests.oracle import layouts
from tests.oracle.layouts import Model
from tests.oracle.sparse import Value

BLOCKS = 4096
"""Random blocks of each type, repeated over the tensor."""
SCALE = np.array([2.0**-13], np.float16).view(np.uint8)
"""Of a block: weights stay near a hundredth, as a real model's."""
SCALES_AT: Final = {
    Q.Q4_0: (18, (0,)),
    Q.Q5_0: (22, (0,)),
    Q.Q5_1: (24, (0, 2)),
    Q.Q8_0: (34, (0,)),
    Q.Q4_K: (144, (0, 2)),
    Q.Q5_K: (176, (0, 2)),
    Q.Q6_K: (210, (208,)),
}
"""Bytes of a block, and where its 16-bit scales lie (ggml-common.h)."""
MXFP4_BLOCK, MXFP4_EXPONENT = 17, 120
PIECE = 64 * 2**20


def write(path: Path, model: Model, words: Mapping[str, Value] | None = None) -> None:
    """Write a model's file with random weights; `words` in place of its own vocabulary."""
    layouts.write(path, model, words)
    random = np.random.default_rng(1)
    patterns: dict[str, bytes] = {}
    pieces: list[tuple[int, int, bytes]] = []
    for tensor in GGUFReader(path).tensors:
        kind = tensor.tensor_type
        role = "norm" if "norm" in tensor.name else "router" if "ffn_gate_inp" in tensor.name else "weight"
        if kind == Q.F32 and role == "weight":
            continue
        key = f"{kind.name} {role}"
        if key not in patterns:
            patterns[key] = _pattern(kind, role, random)
        step = PIECE // len(patterns[key]) * len(patterns[key]) or len(patterns[key])
        for start in range(0, int(tensor.n_bytes), step):
            size = min(step, int(tensor.n_bytes) - start)
            pieces.append((int(tensor.data_offset) + start, size, patterns[key]))
    file = os.open(path, os.O_WRONLY)
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda piece: _put(file, *piece), pieces))
    finally:
        os.close(file)


def _put(file: int, offset: int, size: int, pattern: bytes) -> None:
    content = memoryview((pattern * (size // len(pattern) + 1))[:size])
    while content:
        written = os.pwrite(file, content, offset)
        offset, content = offset + written, content[written:]


def _pattern(kind: Q, role: str, random: np.random.Generator) -> bytes:
    if kind in (Q.F32, Q.F16, Q.BF16):
        numbers = random.normal(1 if role == "norm" else 0, 0.02, BLOCKS).astype(np.float32)
        if kind == Q.BF16:
            return (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        return numbers.astype(np.float16 if kind == Q.F16 else np.float32).tobytes()
    if kind == Q.MXFP4:
        blocks = random.integers(0, 256, (BLOCKS, MXFP4_BLOCK), np.uint8)
        blocks[:, 0] = MXFP4_EXPONENT
        return blocks.tobytes()
    size, scales = SCALES_AT[kind]
    blocks = random.integers(0, 256, (BLOCKS, size), np.uint8)
    for at in scales:
        blocks[:, at : at + 2] = SCALE
    return blocks.tobytes()
