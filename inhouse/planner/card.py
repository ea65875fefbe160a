"""A GPU as the planner sees it, whoever made it."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

STEP_MIB = 256
"""What others hold is counted in such steps, so that a window opened on a display does not change a plan."""
NOTHING_BELOW_MIB = 300
"""Drivers and idle consoles hold that much of a GPU (captures of idle cards: 0 to 214 MiB)."""

NO_CHECKSUM = "no checksum of it is known, and nothing is installed unchecked"
"""Why an archive of Ollama for other devices is left out."""


@dataclass(frozen=True)
class Card:
    """A GPU that Ollama can use now."""

    name: str
    """Short: "RTX 4090"; of a MIG slice "H100 80GB HBM3 MIG 3g.40gb"."""
    memory_mib: int
    """What the device has, whoever holds it."""
    bandwidth_gbs: float | None
    """GB/s; None where the catalogue does not know the card."""
    compute: str | None
    """CUDA compute capability, "8.9"; None from others than NVIDIA and where neither driver nor catalogue tells."""
    unified: bool = False
    """Its memory is the host's RAM."""
    backend: Literal["cuda", "vulkan", "metal"] = "cuda"
    """Metal only where Apple's machines are compared."""
    taken_mib: int = 0
    """What others than Ollama hold of its memory (a display, other programs): in steps of 256 MiB, 0 below 300 MiB."""
    uuid: str = ""
    """UUID of the GPU or MIG slice, for CUDA_VISIBLE_DEVICES; "" where the driver names none."""
    tflops: float | None = None
    """Dense fp16 TFLOPS; None where the catalogue does not know."""

    @property
    def room_mib(self) -> int:
        """What is not held by others."""
        return self.memory_mib - self.taken_mib


@dataclass(frozen=True)
class Found:
    """What one maker's GPUs are good for, and what is to be said about them."""

    cards: tuple[Card, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def in_steps(held_mib: int) -> int:
    """Memory that others hold, rounded up to steps of 256 MiB; 0 below 300 MiB."""
    return 0 if held_mib < NOTHING_BELOW_MIB else ceil(held_mib / STEP_MIB) * STEP_MIB
