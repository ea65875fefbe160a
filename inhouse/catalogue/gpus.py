"""The GPUs the planner knows, from gpus.yml, and the range rule for those it does not."""

from functools import cache
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from inhouse.catalogue.load import Row, read

Generation = Literal["maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell"]

NEWEST_TOO_OLD = 0x133F
"""Highest PCI device id of NVIDIA cards that Ollama cannot use (Kepler and older)."""
NEWEST_OF_BRANCH_580 = 0x1DFF
"""Highest PCI device id of Maxwell, Pascal and Volta, whose last driver branch is 580 (proprietary module only)."""


class Gpu(Row):
    """One GPU, as sold. All are NVIDIA's (PCI vendor 10de)."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{4}$")]
    """PCI device id."""
    name: str
    chip: str
    generation: Generation
    compute: Annotated[str, Field(pattern=r"^\d+\.\d$")]
    memory_mib: PositiveInt
    """As the driver reports it; a little below the number on the box where ECC or firmware take some."""
    bus_bits: PositiveInt
    gbit_per_pin: Annotated[float, Field(gt=0)]
    unified: bool = False
    """The memory is the host's."""
    source: Annotated[str, Field(min_length=8)]

    @property
    def bandwidth_gbs(self) -> float:
        """Bandwidth of the memory in GB/s: width of the bus times speed of one pin."""
        return self.bus_bits * self.gbit_per_pin / 8


class Gpus(Row):
    """The file gpus.yml."""

    gpus: tuple[Gpu, ...]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [g.id for g in self.gpus]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"ids given twice: {', '.join(sorted(twice))}")
        return self


@cache
def gpus() -> tuple[Gpu, ...]:
    """Read gpus.yml once."""
    return read("gpus.yml", Gpus).gpus


@cache
def _by_id() -> dict[str, Gpu]:
    return {g.id: g for g in gpus()}


def find(device_id: str) -> Gpu | None:
    """The GPU of a PCI device id (four hex digits); None if the catalogue lacks it."""
    return _by_id().get(device_id.lower())


def by_name(name: str) -> Gpu | None:
    """The GPU of a name as nvidia-smi prints it: "NVIDIA GeForce RTX 4090"."""
    wanted = plain(name)
    return next((g for g in gpus() if plain(g.name) == wanted), None)


def plain(name: str) -> str:
    """A name without makers, spaces and case, to compare: "NVIDIA GeForce RTX 4090" → "rtx4090"."""
    words = name.lower().replace("-", " ").replace("_", " ").split()
    return "".join(w for w in words if w not in {"nvidia", "geforce", "tesla", "quadro", "graphics"})


def too_old(device_id: str) -> bool:
    """Whether no driver Ollama accepts exists for this NVIDIA card."""
    return int(device_id, 16) <= NEWEST_TOO_OLD


def last_branch(device_id: str) -> int | None:
    """Last driver branch that knows this NVIDIA card; None while new branches do."""
    return 580 if int(device_id, 16) <= NEWEST_OF_BRANCH_580 else None
