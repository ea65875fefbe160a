"""Sizes, speeds and lists of names as a person reads them."""

from collections.abc import Sequence

FEW, SHOWN = 5, 3
"""Up to so many hosts are shown one by one, and so many names all; of more names, so many."""


def gib(mib: float) -> str:
    """Format MiB as GiB (2**30 bytes) with one decimal; below a tenth of one as MiB."""
    return f"{mib / 1024:.1f} GiB" if mib >= 102.4 else f"{mib:.0f} MiB"


def sum_of(mib: float) -> str:
    """Format a sum over many hosts: whole GiB, or TiB from ten of them on."""
    return f"{mib / 1024:.0f} GiB" if mib < 10 * 2**20 else f"{mib / 2**20:.1f} TiB"


def rate(tokens_per_second: float) -> str:
    """Format tokens/s: whole from 10 on, tenths below."""
    return f"{tokens_per_second:.0f}" if tokens_per_second >= 9.95 else f"{tokens_per_second:.1f}"


def seconds(value: float) -> str:
    """Format a wait as a person estimates it: "0.4 s", "12 s", "3 min"."""
    if value < 9.5:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 99.5 else f"{value / 60:.0f} min"


def number(count: int, noun: str) -> str:
    """Count things: "1 host", "3 hosts"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def counted(names: Sequence[str]) -> list[str]:
    """Each name once, in their order, with how often it is there: ["2 x RTX 3090", "RTX 4090"]."""
    return [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]


def few(names: Sequence[str]) -> str:
    """The names, or of many the first and how many more there are: "gpu1, gpu2, gpu3 and 7 more"."""
    if len(names) <= FEW:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"


def listed(names: Sequence[str]) -> str:
    """All names as in a sentence: "chat, code and vision"."""
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)
