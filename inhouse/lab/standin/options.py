"""Options of a request: their names, types and defaults."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from . import golang, log


@dataclass(frozen=True)
class Options:
    """Options as the real server has them; those that decide how a model is loaded come first."""

    num_ctx: int = 0
    num_batch: int = 512
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int = 0
    num_keep: int = 4
    seed: int = -1
    num_predict: int = -1
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = field(default_factory=tuple)


LOAD_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
"""A request that wants another value of one of these makes the model load again."""
_TYPES = {item.name: getattr(item.type, "__name__", str(item.type)) for item in fields(Options)}


def merged(base: Options, given: dict[str, Any] | None) -> Options:
    """`base` with the values in `given`; unknown names are ignored with a line in the journal.

    Raises:
        GoError: a value is of the wrong type.
    """
    changes: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in _TYPES:
            log.line("invalid option provided", level="WARN", option=name)
        elif value is not None:
            changes[name] = _converted(name, value)
    return replace(base, **changes)


def _converted(name: str, value: Any) -> Any:
    kind = _TYPES[name]
    if kind.startswith("int"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise golang.GoError(f'option "{name}" must be of type integer')
        return int(value)
    if kind.startswith("bool"):
        if not isinstance(value, bool):
            raise golang.GoError(f'option "{name}" must be of type boolean')
        return value
    if kind == "float":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise golang.GoError(f'option "{name}" must be of type float32')
        return float(value)
    if not isinstance(value, list):
        raise golang.GoError(f'option "{name}" must be of type array')
    if not all(isinstance(item, str) for item in value):
        raise golang.GoError(f'option "{name}" must be of an array of strings')
    return tuple(value)
