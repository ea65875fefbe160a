"""Where the lab keeps what: one place for every path and label."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAB_LABEL = "inhouse.lab"
"""On every container, volume and network of a lab; its value is the lab's name."""
FOLDER_LABEL = "inhouse.lab.folder"
"""The inventory folder `up` wrote, so that `down` needs nothing but the name."""
HOST_LABEL = "inhouse.lab.host"
PROFILE_LABEL = "inhouse.lab.profile"
ADDRESS_LABEL = "inhouse.lab.address"
RELEASE_LABEL = "inhouse.lab.release"
"""On the mirror: the real release archive it serves; empty: the stand-in."""
ROLE_LABEL = "inhouse.lab.role"
"""`host` or `mirror`."""

HOST_FOLDER = "/etc/inhouse-lab"
"""On a lab host: all that the lab itself put there. Nothing in the product reads it."""


def cache_dir() -> Path:
    """Folder of downloads and locks that outlive a lab; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "inhouse" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """One process at a time does what has this name, however many labs are started side by side."""
    with (cache_dir() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def private_dir(folder: Path) -> Path:
    """Keys, known hosts and pretended hardware of the lab whose inventory is `folder`.

    The leading dot keeps Ansible from reading it as a part of the inventory.
    """
    return folder / ".lab"


def object_name(lab: str, part: str = "") -> str:
    """Name of a lab's container, volume or network in the engine."""
    return f"inhouse-{lab}-{part}" if part else f"inhouse-{lab}"
