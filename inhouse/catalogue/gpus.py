"""The GPUs the planner knows, from gpus.yml."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from typing import Annotated

from inhouse.catalogue.checked import Checked
from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.gpu import Gpu as Gpu
from inhouse.catalogue.load import Row, read

_MAKERS = {"nvidia", "geforce", "tesla", "quadro", "amd", "radeon", "instinct", "apple", "graphics"}


@dataclass(frozen=True, kw_only=True)
class Source(Row):
    """Where numbers of the file come from; rows name it by a short key."""

    what: Annotated[str, Checked(min_length=8)]
    read: Annotated[str, Checked(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    """Day on which it was read."""


@dataclass(frozen=True, kw_only=True)
class Gpus(Row):
    """The file gpus.yml."""

    sources: dict[str, Source]
    gpus: tuple[Gpu, ...]

    def check(self) -> None:
        """Fields and rows fit together."""
        if unknown := {key for g in self.gpus for key in g.sources.split()} - set(self.sources):
            raise ValueError(f"sources without an entry: {', '.join(sorted(unknown))}")
        if unused := set(self.sources) - {key for g in self.gpus for key in g.sources.split()}:
            raise ValueError(f"sources of no row: {', '.join(sorted(unused))}")
        names = Counter((g.id, g.name) for g in self.gpus)
        if twice := [f"{name} ({id_})" for (id_, name), n in names.items() if n > 1]:
            raise ValueError(f"GPUs given twice: {', '.join(twice)}")
        for rows in self.by_id.values():
            _told_apart(rows)

    @cached_property
    def by_id(self) -> dict[tuple[str, str], list[Gpu]]:
        """The rows of each PCI vendor and device id."""
        index: dict[tuple[str, str], list[Gpu]] = defaultdict(list)
        for gpu in self.gpus:
            for id_ in (gpu.id, *gpu.also):
                if id_ is not None:
                    index[gpu.vendor, id_].append(gpu)
        return dict(index)


def _told_apart(rows: list[Gpu]) -> None:
    """Of cards with one id and one size of memory the slowest stands first: nothing tells them apart."""
    for first, second in combinations(rows, 2):
        if first.memory_mib == second.memory_mib and first.bandwidth_gbs > second.bandwidth_gbs:
            raise ValueError(f"{second.name} is slower and stands behind {first.name}, which has its PCI id and memory")


@cache
def _file() -> Gpus:
    return read("gpus.yml", Gpus)


def gpus() -> tuple[Gpu, ...]:
    """Every row of gpus.yml, which is read once."""
    return _file().gpus


@cache
def names() -> dict[str, Gpu]:
    """Every GPU by its plain names and aliases; of several with one name the first."""
    found: dict[str, Gpu] = {}
    for gpu in gpus():
        for name in (gpu.name, *gpu.aliases):
            found.setdefault(plain(name), gpu)
    return found


def find(device_id: str, vendor_id: str = NVIDIA, memory_mib: int | None = None) -> Gpu | None:
    """The GPU of a PCI device id (four hex digits); None if the catalogue lacks it.

    One id can be several cards. `memory_mib`, what the driver reports, tells those of different size apart; without it,
    and among those of one size, the first row counts.
    """
    rows = _file().by_id.get((vendor_id.lower(), device_id.lower()))
    if not rows:
        return None
    return rows[0] if memory_mib is None else min(rows, key=lambda g: abs(g.memory_mib - memory_mib))


def by_name(name: str) -> Gpu | None:
    """The GPU of a name as a driver prints it ("NVIDIA GeForce RTX 4090"), or as people call it ("dgx-spark")."""
    return names().get(plain(name))


def plain(name: str) -> str:
    """A name without makers, spaces and case, to compare: "NVIDIA GeForce RTX 4090" → "rtx4090"."""
    words = re.split(r"[\s_-]+", name.lower().replace("(", " ").replace(")", " "))
    return "".join(w for w in words if w not in _MAKERS)
