"""Folders that are built once and kept: made aside, renamed when whole, one builder at a time."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

UNUSED_S = 14 * 24 * 3600


def key(parts: Iterable[str]) -> str:
    """Twelve hex digits that change with any of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def built(cache: Path, name: str, definition: str, make: Callable[[Path], None]) -> Path:
    """The folder `cache/name-definition`, filled by `make` when it is not there yet.

    Folders of other definitions go once nobody used them for two weeks: a lab that is up may still serve from one.
    A build that fails leaves nothing behind.

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
        if not folder.is_dir():
            _make_whole(cache, name, folder, make)
        os.utime(folder)
        for other in cache.glob(f"{name}-{'?' * len(definition)}"):
            if other.is_dir() and time.time() - other.stat().st_mtime > UNUSED_S:
                shutil.rmtree(other)
    return folder


def _make_whole(cache: Path, name: str, folder: Path, make: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=cache))
    scratch.chmod(0o755)
    try:
        make(scratch)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
