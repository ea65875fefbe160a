"""Files on the controller that are there whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(file: Path, text: str, mode: int = 0o644) -> None:
    """Write a text so that a reader sees the old file or the new one, and never a part; its folder must be there.

    Args:
        file: is replaced if it is there.
        text: its whole content.
        mode: permissions of the file; nobody else can read it before it has them.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
