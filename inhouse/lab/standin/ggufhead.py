"""The head of a GGUF file: its keys and its list of tensors, read with the standard library only."""

import functools
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY, _FLOAT32 = 8, 9, 6

TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 30: ("BF16", 1, 2),
}  # fmt: skip
"""Number in the file → name, values in a block, bytes of a block (the format's own table)."""
FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    7: "Q8_0",
    14: "Q4_K_S",
    15: "Q4_K_M",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}


class BadFile(ValueError):
    """Not a whole GGUF file."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as listed in the head."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """Keys and tensors."""

    keys: dict[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """Family of the model: "gemma3", "bert", …"""
        return str(self.keys["general.architecture"])

    def of_architecture(self, key: str, default: Any = None) -> Any:
        """Value of `ARCHITECTURE.key`."""
        return self.keys.get(f"{self.architecture}.{key}", default)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def trained_context(self) -> int:
        """Tokens the model was trained for."""
        return int(self.of_architecture("context_length", 0))


@functools.lru_cache(maxsize=16)
def read(path: Path, size: int, lists: bool = False) -> Head:
    """The head of the file at `path`, which has `size` bytes.

    Args:
        path: the file; its name is its digest, so what was read once stays true.
        size: its size in bytes.
        lists: keep the values of lists (a vocabulary has hundreds of thousands); otherwise they are None.

    Raises:
        BadFile: not GGUF, or shorter than its own list of tensors says.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=2**20) as file:
        try:
            return _read(file, size, lists)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise BadFile(f"{path}: {error}") from error


def _read(file: BinaryIO, size: int, lists: bool) -> Head:
    if file.read(4) != MAGIC:
        raise BadFile("invalid file magic")
    _version, tensor_count, key_count = struct.unpack("<IQQ", file.read(20))
    keys: dict[str, Any] = {}
    for _ in range(key_count):
        name = _string(file)
        (kind,) = struct.unpack("<I", file.read(4))
        value = _value(file, kind)
        keys[name] = None if isinstance(value, list) and not lists else value
    tensors, ends = [], [0]
    for _ in range(tensor_count):
        name = _string(file)
        (dimensions,) = struct.unpack("<I", file.read(4))
        shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
        kind, offset = struct.unpack("<IQ", file.read(12))
        type_name, block, width = TENSOR_TYPES[kind]
        tensors.append(Tensor(name, type_name, shape))
        ends.append(offset + math.prod(shape) // block * width)
    alignment = int(keys.get("general.alignment", 32))
    start = -(-file.tell() // alignment) * alignment
    if start + max(ends) > size:
        raise BadFile("file ends before its tensors do")
    return Head(keys, tuple(tensors))


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    return file.read(length).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item, count = struct.unpack("<IQ", file.read(12))
        if item in _SCALARS:
            code = _SCALARS[item]
            width = struct.calcsize(code)
            return list(struct.unpack(f"<{count}{code}", file.read(width * count)))
        return [_value(file, item) for _ in range(count)]
    code = _SCALARS[kind]
    (value,) = struct.unpack(f"<{code}", file.read(struct.calcsize(code)))
    # Single precision, shown with the digits it was written with.
    return float(f"{value:.7g}") if kind == _FLOAT32 else value
