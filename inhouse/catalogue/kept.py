"""Catalogue files that were read and checked once, kept in the user's cache: to do that anew takes longer than a plan.

What is kept begins with a digest of itself, of the file's text, of this package's source and of the release of Python.
Where any of these changed, or a part was not written, the digest differs, and the file is read anew.
"""

import os
import pickle
import stat
import sys
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

_DIGEST_BYTES = 32
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def load(name: str, text: str) -> Any:
    """What was kept of a catalogue file with this text; None if nothing was."""
    with suppress(OSError, RuntimeError), (_folder() / name).open("rb") as file:
        found = os.fstat(file.fileno())
        # A pickle is a program: only the user's own is run, also where root has another user's home.
        if found.st_uid != os.geteuid() or found.st_mode & _OTHERS_MAY_WRITE:
            return None
        digest, content = file.read(_DIGEST_BYTES), file.read()
        return pickle.loads(content) if digest == _digest(text, content) else None
    return None


def keep(name: str, text: str, found: Any) -> None:
    """Keep what a file holds. Where nothing can be written, it is read anew each time."""
    content = pickle.dumps(found, pickle.HIGHEST_PROTOCOL)
    with suppress(OSError, RuntimeError):
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=f"{name}.", delete=False) as file:
            file.write(_digest(text, content) + content)
        Path(file.name).replace(folder / name)


def _folder() -> Path:
    """Raises RuntimeError where the user has no home."""
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(caches) if caches.startswith("/") else Path.home() / ".cache") / "inhouse" / "catalogue"


def _digest(text: str, content: bytes) -> bytes:
    found = _readers().copy()
    for part in (text.encode(), content):
        found.update(b"%d:" % len(part) + part)
    return found.digest()


@cache
def _readers() -> blake2b:
    """Digest of all that reads and checks."""
    sources = sorted(f.read_bytes() for f in resources.files(__package__).iterdir() if f.name.endswith(".py"))
    found = blake2b(f"{sys.version} ".encode(), digest_size=_DIGEST_BYTES)
    for source in sources:
        found.update(b"%d:" % len(source) + source)
    return found
