"""NVIDIA's driver, from drivers.yml: branches, the cards that each knows, and where a system gets it from."""

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Annotated, Literal

from inhouse.catalogue.checked import Checked
from inhouse.catalogue.chips import Generation
from inhouse.catalogue.load import Row, read
from inhouse.catalogue.version import version

Origin = Literal["distribution", "nvidia"]
Module = Literal["open", "proprietary"]
Branch = Annotated[str, Checked(pattern=r"^[0-9]{3}$")]
Toolkit = Annotated[str, Checked(pattern=r"^[0-9]+\.[0-9]+$")]
Id = Annotated[str, Checked(pattern=r"^[0-9a-f]{4}$")]

RHEL_FAMILY = frozenset({"rhel", "centos", "rocky", "almalinux", "ol"})
"""ID of os-release of RHEL and of what is rebuilt from it; a version is its first number."""


@dataclass(frozen=True, kw_only=True)
class Source(Row):
    """Where facts of the file come from."""

    what: str
    read: Annotated[str, Checked(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


@dataclass(frozen=True, kw_only=True)
class BranchOf(Row):
    """One branch of the driver."""

    branch: Branch
    cuda: Toolkit | None = None
    """Newest CUDA its programs may be made for; None where not known yet."""
    ended: bool = False
    """NVIDIA does not mend it any more."""
    until: Annotated[str, Checked(pattern=r"^[0-9]{4}-[0-9]{2}$")] | None = None
    """Month of its end; None where not known."""
    open_only: bool = False
    """There is no proprietary kernel module of it."""
    sources: str


@dataclass(frozen=True, kw_only=True)
class Family(Row):
    """Cards that the same drivers know; `first_id` to `last_id` are PCI device ids."""

    name: str
    generations: tuple[Generation, ...] = ()
    """Empty: too old for Ollama."""
    first_id: Id = field(metadata={"alias": "from"})
    last_id: Id = field(metadata={"alias": "to"})
    modules: tuple[Module, ...]
    """Kernel modules that drive them, the better one first."""
    below_compute_7: bool = False
    """Ollama asks for more of their driver (releases.yml)."""
    first_branch: Branch | None = None
    """Older ones do not know them; None: none that is still in use is too old."""
    last_branch: Branch | None = None
    """Newer ones do not know them; None while new branches do."""
    oldest_cuda: Toolkit | None = None
    newest_cuda: Toolkit | None = None
    """Toolkits that compile for them."""
    sources: str

    @property
    def usable(self) -> bool:
        """Whether Ollama can use such cards at all."""
        return bool(self.generations)


@dataclass(frozen=True, kw_only=True)
class Exceptional(Row):
    """Cards of a family that other kernel modules drive than the rest of it."""

    name: str
    ids: tuple[Id, ...]
    modules: tuple[Module, ...]
    sources: str


@dataclass(frozen=True, kw_only=True)
class ChipNeeds(Row):
    """What a chip needs beyond its family."""

    compute: str
    first_branch: Branch
    oldest_cuda: Toolkit
    sources: str


@dataclass(frozen=True, kw_only=True)
class System(Row):
    """An operating system, and where it gets the driver from."""

    name: str
    id: str
    version: str
    prefers: Origin
    own: tuple[Branch, ...]
    """Branches of the distribution's own packages."""
    own_newest_kernel: str | None = None
    """Newest kernel for which its own driver can be built; None where it goes with every kernel of the system."""
    own_signed: bool = False
    """Its modules are signed by the distribution, so that Secure Boot takes them."""
    own_cuda: Toolkit | None = None
    """Version of the distribution's own toolkit; None where there is none, or where it is not known."""
    nvidia: tuple[Branch, ...]
    """Branches in NVIDIA's repository for it."""
    nvidia_architectures: tuple[str, ...]
    """`uname -m` of machines for which that repository has drivers."""
    sources: str

    def branches(self, source: Origin, architecture: str) -> tuple[str, ...]:
        """Branches that a source has for machines of an architecture."""
        if source == "distribution":
            return self.own
        return self.nvidia if architecture in self.nvidia_architectures else ()


@dataclass(frozen=True, kw_only=True)
class Drivers(Row):
    """The file drivers.yml."""

    sources: dict[str, Source]
    production: Branch
    """Installed unless cards or system ask for another."""
    branches: tuple[BranchOf, ...]
    families: tuple[Family, ...]
    exceptions: tuple[Exceptional, ...]
    chips: tuple[ChipNeeds, ...]
    systems: tuple[System, ...]

    def check(self) -> None:
        """Fields and rows fit together."""
        cited = [
            *(row.sources for row in self.branches),
            *(row.sources for row in self.families),
            *(row.sources for row in self.exceptions),
            *(row.sources for row in self.chips),
            *(row.sources for row in self.systems),
        ]
        if (used := {key for keys in cited for key in keys.split()}) != self.sources.keys():
            raise ValueError(f"sources and rows differ in: {', '.join(sorted(used ^ self.sources.keys()))}")
        if any(int(one.last_id, 16) + 1 != int(next_.first_id, 16) for one, next_ in pairwise(self.families)):
            raise ValueError("the ranges of families follow one another without gaps")
        named = {b for s in self.systems for b in (*s.own, *s.nvidia)} | {self.production}
        if unknown := named - {row.branch for row in self.branches}:
            raise ValueError(f"branches without a row: {', '.join(sorted(unknown))}")

    def family(self, device_id: str) -> Family:
        """The family of an NVIDIA card by its PCI device id (four hex digits), known or not."""
        family = next(row for row in self.families if int(device_id, 16) <= int(row.last_id, 16))
        own = next((row for row in self.exceptions if device_id in row.ids), None)
        return replace(family, name=own.name, modules=own.modules) if own else family

    def branch(self, name: str) -> BranchOf | None:
        """A branch by its number; None if it is not known."""
        return next((row for row in self.branches if row.branch == name), None)

    def cuda_of(self, driver: str) -> str | None:
        """Newest CUDA that a driver knows: that of its branch, or of the next older one that is known.

        Args:
            driver: a version or a branch: "580.95.05", "580".
        """
        older = [row.cuda for row in self.branches if row.cuda and version(row.branch) <= version(driver)]
        return older[-1] if older else None

    def system(self, id_: str, version_id: str) -> System | None:
        """A system by ID and VERSION_ID of os-release; None where its drivers are not known."""
        if id_ in RHEL_FAMILY:
            id_, version_id = "rhel", version_id.partition(".")[0]
        return next((row for row in self.systems if (row.id, row.version) == (id_, version_id)), None)


@cache
def drivers() -> Drivers:
    """Read drivers.yml once."""
    return read("drivers.yml", Drivers)


def too_old(device_id: str) -> bool:
    """Whether no driver Ollama accepts exists for this NVIDIA card."""
    return not drivers().family(device_id).usable


def last_branch(device_id: str) -> str | None:
    """Last driver branch that knows this NVIDIA card; None while new branches do."""
    return drivers().family(device_id).last_branch
