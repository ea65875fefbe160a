"""GGUF files with a model's real hyper-parameters, whose weights are all zero and take no room on the disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFWriter

from tests.oracle import recipe

ALIGNMENT = 32
Value = int | float | bool | str | Sequence[int] | Sequence[float] | Sequence[bool] | Sequence[str]


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model, named as llama.cpp names it."""

    name: str
    shape: tuple[int, ...]
    """Shortest stride first, as llama.cpp writes it."""
    kind: Q

    @property
    def size(self) -> int:
        """Bytes."""
        return recipe.size(self.kind, int(np.prod(self.shape)))


def write(path: Path, architecture: str, metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> int:
    """Write a file that llama.cpp loads; return the bytes of its tensors.

    Keys that begin with a dot belong to the architecture.
    """
    writer = GGUFWriter(path, architecture)
    for key, value in metadata.items():
        _add(writer, architecture + key if key.startswith(".") else key, value)
    for tensor in tensors:
        _declare(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    file = writer.fout[0]
    start = file.tell() + -file.tell() % ALIGNMENT
    file.truncate(start + sum(t.size + -t.size % ALIGNMENT for t in tensors))
    writer.close()
    return sum(t.size for t in tensors)


def vocabulary(size: int, short: bool) -> dict[str, Value]:
    """A vocabulary of that many tokens.

    Args:
        size: number of tokens.
        short: as large as one of sentence pieces; else as one of byte pairs, with its merges.
    """
    length = 9 if short else 29
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [f"t{i:0{length - 1}}" for i in range(size)],
        "tokenizer.ggml.scores": [0.0] * size,
        "tokenizer.ggml.token_type": [1] * size,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def bytes_first(size: int) -> dict[str, Value]:
    """A vocabulary in which every text is a sequence of bytes, a token each."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    return vocabulary(size, short=False) | {
        "tokenizer.ggml.tokens": [*tokens, *(f"t{i:028}" for i in range(len(tokens), size))],
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, *[1] * (size - len(tokens))],
        "tokenizer.ggml.unknown_token_id": 0,
    }


def word_pieces(size: int) -> dict[str, Value]:
    """A vocabulary of that many tokens for BERT."""
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [f"t{i:08}" for i in range(size)],
        "tokenizer.ggml.token_type": [1] * size,
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.seperator_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.cls_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }


def runs(numbers: Sequence[int]) -> int | Sequence[int]:
    """One number where all are the same, as files have it."""
    return numbers[0] if len(list(groupby(numbers))) == 1 else numbers


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _declare(writer: GGUFWriter, tensor: Tensor) -> None:
    shape = tensor.shape[::-1]
    if tensor.kind in (Q.F32, Q.F16):
        kind = np.dtype(np.float32 if tensor.kind == Q.F32 else np.float16)
        writer.add_tensor_info(tensor.name, shape, kind, tensor.size)
        return
    bytes_shape = (*shape[:-1], recipe.size(tensor.kind, shape[-1]))
    writer.add_tensor_info(tensor.name, bytes_shape, np.dtype(np.uint8), tensor.size, raw_dtype=tensor.kind)
