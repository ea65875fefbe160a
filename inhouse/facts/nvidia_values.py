"""Values as nvidia-smi prints them."""

import re

_NO_VALUE = frozenset({"", "n/a", "not supported", "err!", "unknown error"})


def value(text: str) -> str | None:
    """Return a value, or None for one of the many ways in which nvidia-smi says that there is none."""
    return None if text.startswith("[") or text.lower() in _NO_VALUE else text


def mib(text: str) -> int | None:
    """Return a size in MiB, with or without its unit; None where there is none."""
    match = re.fullmatch(r"(\d+)(?: MiB)?", text.strip())
    return int(match[1]) if match else None


def slot(bus_id: str) -> str:
    """Return nvidia-smi's "00000000:0C:00.0" as the kernel writes it: "0000:0c:00.0"."""
    match = re.fullmatch(r"([0-9a-fA-F]+):([0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])", bus_id)
    return f"{int(match[1], 16):04x}:{match[2].lower()}" if match else bus_id
