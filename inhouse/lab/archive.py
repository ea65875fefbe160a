"""Files for a container, as the tar stream that the engine takes."""

import io
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file to lay, with its mode; owned by root unless `owner` names a numeric user and group."""

    content: bytes
    mode: int = 0o644
    owner: int = 0


def tar(files: Mapping[str, File]) -> io.BytesIO:
    """A tar stream of absolute paths, to be unpacked at `/`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, file in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(file.content), file.mode
            member.uid = member.gid = file.owner
            member.mtime = int(time.time())
            archive.addfile(member, io.BytesIO(file.content))
    stream.seek(0)
    return stream
