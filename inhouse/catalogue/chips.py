"""GPU chips: what follows from the chip alone, whatever card it sits on."""

from typing import Final, Literal, NamedTuple

Generation = Literal[
    "maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell",
    "gcn", "cdna", "cdna2", "cdna3", "cdna4", "rdna2", "rdna3", "rdna4",
    "apple",
]  # fmt: skip

NVIDIA: Final = "10de"
AMD: Final = "1002"
APPLE: Final = "106b"
INTEL: Final = "8086"
"""PCI vendor ids."""


class Chip(NamedTuple):
    """What all cards of one chip have in common."""

    vendor: str
    """PCI vendor id."""
    generation: Generation
    compute: str | None
    """NVIDIA: compute capability; AMD: name of the instruction set ("gfx1100"); Apple: none."""
    operations: int
    """Half-precision operations (a multiply-add is two) of one unit in one clock, dense, with the matrix unit if there
    is one. A unit is what the maker counts: NVIDIA's streaming multiprocessor, AMD's compute unit, Apple's GPU core."""


def _of(vendor: str, generation: Generation, compute: str | None, operations: int, *names: str) -> dict[str, Chip]:
    return dict.fromkeys(names, Chip(vendor, generation, compute, operations))


CHIPS: Final[dict[str, Chip]] = {
    **_of(NVIDIA, "maxwell", "5.0", 256, "GM107"),
    **_of(NVIDIA, "maxwell", "5.2", 256, "GM200", "GM204", "GM206"),
    **_of(NVIDIA, "pascal", "6.0", 256, "GP100"),
    **_of(NVIDIA, "pascal", "6.1", 256, "GP102", "GP104", "GP106", "GP107", "GP108"),
    **_of(NVIDIA, "volta", "7.0", 1024, "GV100"),
    **_of(NVIDIA, "turing", "7.5", 1024, "TU102", "TU104", "TU106"),
    **_of(NVIDIA, "turing", "7.5", 256, "TU116", "TU117"),
    **_of(NVIDIA, "ampere", "8.0", 2048, "GA100"),
    **_of(NVIDIA, "ampere", "8.6", 1024, "GA102", "GA103", "GA104", "GA106", "GA107"),
    **_of(NVIDIA, "ampere", "8.7", 2048, "GA10B"),
    **_of(NVIDIA, "ada", "8.9", 1024, "AD102", "AD103", "AD104", "AD106", "AD107"),
    **_of(NVIDIA, "hopper", "9.0", 4096, "GH100"),
    **_of(NVIDIA, "blackwell", "10.0", 8192, "GB100"),
    **_of(NVIDIA, "blackwell", "10.3", 8192, "GB110"),
    **_of(NVIDIA, "blackwell", "11.0", 8192, "GB10B"),
    **_of(NVIDIA, "blackwell", "12.0", 1024, "GB202", "GB203", "GB205", "GB206", "GB207"),
    **_of(NVIDIA, "blackwell", "12.1", 1024, "GB20B"),
    **_of(AMD, "gcn", "gfx906", 256, "Vega 20"),
    **_of(AMD, "cdna", "gfx908", 1024, "Arcturus"),
    **_of(AMD, "cdna2", "gfx90a", 1024, "Aldebaran"),
    **_of(AMD, "cdna3", "gfx942", 2048, "Aqua Vanjaram"),
    **_of(AMD, "cdna4", "gfx950", 4096, "Galaxy"),
    **_of(AMD, "rdna2", "gfx1030", 256, "Navi 21"),
    **_of(AMD, "rdna2", "gfx1031", 256, "Navi 22"),
    **_of(AMD, "rdna2", "gfx1032", 256, "Navi 23"),
    **_of(AMD, "rdna3", "gfx1100", 512, "Navi 31"),
    **_of(AMD, "rdna3", "gfx1101", 512, "Navi 32"),
    **_of(AMD, "rdna3", "gfx1102", 512, "Navi 33"),
    **_of(AMD, "rdna3", "gfx1150", 512, "Strix Point"),
    **_of(AMD, "rdna3", "gfx1151", 512, "Strix Halo"),
    **_of(AMD, "rdna4", "gfx1200", 1024, "Navi 44"),
    **_of(AMD, "rdna4", "gfx1201", 1024, "Navi 48"),
    **_of(APPLE, "apple", None, 256, "M1", "M2", "M3", "M4", "M5"),
}
"""Names are those of pci.ids without suffixes of variants (AD103M and AD103GLM are AD103).

Compute capability: NVIDIA's list of CUDA GPUs. Instruction set: LLVM's "User Guide for AMDGPU Backend" and ROCm's "AMD
GPU specifications". Operations: the makers' white papers, each checked against one published total (the tests of the
GPU catalogue hold them). Three rules hide in the numbers:

- Maxwell and Pascal have no matrix unit and, but for GP100, no usable half precision: theirs is single precision.
- GeForce cards accumulate at half this rate in single precision; the number is that of accumulating in half precision,
  which is also half the rate of eight-bit integers, so that cards compare.
- Apple's M5 has matrix units whose rate is not published: its rows have no units, so that nothing is computed from it.
"""
