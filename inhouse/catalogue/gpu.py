"""One GPU of the catalogue: the facts that are stored, what is computed from them, and which of them cannot be."""

from dataclasses import dataclass
from typing import Annotated, Literal

from inhouse.catalogue.checked import Checked, PositiveFloat, PositiveInt
from inhouse.catalogue.chips import CHIPS, NVIDIA, Generation
from inhouse.catalogue.drivers import drivers
from inhouse.catalogue.load import Row

Kind = Literal["desktop", "laptop", "workstation", "data-centre", "embedded", "soc"]
PciId = Annotated[str, Checked(pattern=r"^[0-9a-f]{4}$")]

_WITHOUT_PCI = {"embedded", "soc"}
_MIB_PER_32_BITS = (512, 1024, 2048, 3072, 4096, 6144)
"""What GDDR modules add up to on 32 bits of the bus: 0.5 to 3 GB each, one or two of them."""
_MIB_PER_1024_BITS = tuple(gib * 1024 for gib in (4, 8, 16, 24, 32, 36))
"""Sizes of a stack of high-bandwidth memory."""
_KEPT_BY_DRIVER = 0.08
"""Largest share of the memory on the box that a driver does not report (T4: 15,360 of 16,384 MiB)."""


@dataclass(frozen=True, kw_only=True)
class Gpu(Row):
    """One GPU, as sold. Its generation, compute capability and vendor are its chip's."""

    id: PciId | None = None
    """PCI device id; None for a GPU that is not on a PCI bus (Jetson modules, Apple's)."""
    also: tuple[PciId, ...] = ()
    """Further PCI ids of the same card: revisions, hash-rate limits."""
    name: str
    """As the driver prints it; with the size of its memory, or "Mobile", where it prints one name for two GPUs."""
    aliases: tuple[str, ...] = ()
    """What else people call it, or the machine it is in."""
    chip: str
    kind: Kind
    memory_mib: PositiveInt
    """As the driver reports it (sources include "smi"), else the size on the box, less what the driver keeps on cards
    of the same generation. Of a machine sold in sizes: the smallest."""
    memory_options_mib: tuple[PositiveInt, ...] = ()
    """Sizes that a machine is sold with, in MiB, rising; empty for cards."""
    bus_bits: PositiveInt | None = None
    """Width of the memory bus."""
    gbit_per_pin: PositiveFloat | None = None
    """Speed of one of its pins in Gbit/s."""
    published_gbs: PositiveFloat | None = None
    """The maker's bandwidth in GB/s, where it publishes no bus, or one that does not yield it."""
    units: PositiveInt | None = None
    """Multiprocessors, compute units or GPU cores (see `Chip.operations`)."""
    boost_mhz: PositiveInt | None = None
    published_tflops: PositiveFloat | None = None
    """The maker's dense half-precision TFLOPS, where its clock under matrix load is not the boost clock."""
    unified: bool = False
    """The memory is the host's."""
    note: Annotated[str, Checked(min_length=8)] | None = None
    sources: Annotated[str, Checked(pattern=r"^[a-z]+( [a-z]+)*$")]
    """Keys of `Gpus.sources`, separated by blanks."""

    @property
    def vendor(self) -> str:
        """PCI vendor id: 10de NVIDIA, 1002 AMD, 106b Apple."""
        return CHIPS[self.chip].vendor

    @property
    def generation(self) -> Generation:
        """Family of the chip."""
        return CHIPS[self.chip].generation

    @property
    def compute(self) -> str | None:
        """NVIDIA's compute capability ("8.9") or AMD's instruction set ("gfx1100"); None for Apple."""
        return CHIPS[self.chip].compute

    @property
    def bandwidth_gbs(self) -> float:
        """Peak bandwidth of the memory in GB/s: width of the bus times speed of one pin, or as published."""
        return self.published_gbs or (self.bus_bits or 0) * (self.gbit_per_pin or 0.0) / 8

    @property
    def tflops(self) -> float | None:
        """Peak dense half-precision TFLOPS without sparsity: units times operations per clock times boost clock, or as
        published; None where unknown. Laptops stay below: their clock depends on the power they are given."""
        if self.published_tflops is not None or self.units is None or self.boost_mhz is None:
            return self.published_tflops
        return self.units * CHIPS[self.chip].operations * self.boost_mhz / 1e6

    def check(self) -> None:
        """Fields and rows fit together."""
        if fault := self._chip() or self._speed() or self._identity() or self._memory():
            raise ValueError(fault)

    def _chip(self) -> str | None:
        return None if self.chip in CHIPS else f"no chip {self.chip} in chips.py"

    def _speed(self) -> str | None:
        if (self.bus_bits is None) != (self.gbit_per_pin is None):
            return "bus_bits and gbit_per_pin stand together"
        if (self.bus_bits is None) == (self.published_gbs is None):
            return "the bandwidth is given once: by bus_bits and gbit_per_pin, or by published_gbs"
        if (self.units is None) != (self.boost_mhz is None):
            return "units and boost_mhz stand together"
        if self.units is not None and self.published_tflops is not None:
            return "TFLOPS are given once: by units and boost_mhz, or by published_tflops"
        return None

    def _identity(self) -> str | None:
        if self.id is None and (self.kind not in _WITHOUT_PCI or self.also):
            return f"a {self.kind} GPU has a PCI id"
        if self.unified != (self.kind in _WITHOUT_PCI):
            return "unified memory is what embedded and soc GPUs have, and no others"
        if bool({"Laptop", "Mobile"} & set(self.name.split())) != (self.kind == "laptop"):
            return 'laptop GPUs are named "Laptop GPU" or "Mobile", and no others'
        if self.id and self.vendor == NVIDIA and self.generation not in drivers().family(self.id).generations:
            return f"PCI id {self.id} is not of the generation {self.generation}"
        return None

    def _memory(self) -> str | None:
        options = self.memory_options_mib
        if options and (list(options) != sorted(set(options)) or options[0] != self.memory_mib):
            return "memory_options_mib rise, and memory_mib is the first"
        if self.unified or self.bus_bits is None:
            return None if 2048 <= self.memory_mib <= 524_288 else f"{self.memory_mib} MiB cannot be"
        wide = self.bus_bits >= 1024
        share = self.memory_mib / (self.bus_bits / (1024 if wide else 32))
        sizes = _MIB_PER_1024_BITS if wide else _MIB_PER_32_BITS
        if any(size * (1 - _KEPT_BY_DRIVER) <= share <= size for size in sizes):
            return None
        return f"no modules of memory make {self.memory_mib} MiB on {self.bus_bits} bits"
