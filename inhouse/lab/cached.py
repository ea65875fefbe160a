"""Folders that are built once and kept: made aside, renamed when whole, one builder at a time."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def key(parts: Iterable[str]) -> str:
    """Twelve hex digits that change with any of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def built(cache: Path, name: str, definition: str, make: Callable[[Path], None]) -> Path:
    """The folder `cache/name-definition`, filled by `make` when it is not there yet.

    Folders of an earlier definition are removed. A build that fails leaves nothing behind.

    Args:
        cache: folder that holds what outlives a lab.
        name: what is built.
        definition: from `key`.
        make: fills the empty folder it is given.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{name}-{definition}"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
        scratch.chmod(0o755)
        try:
            make(scratch)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for older in cache.glob(f"{name}-*"):
            if older != folder and older.is_dir() and len(older.name) == len(folder.name):
                shutil.rmtree(older)
    return folder
