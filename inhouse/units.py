"""Sizes as a person reads them."""


def gib(mib: float) -> str:
    """Format MiB as GiB (2**30 bytes) with one decimal."""
    return f"{mib / 1024:.1f} GiB"
