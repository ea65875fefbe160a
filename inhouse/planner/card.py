"""A GPU as the planner sees it, whoever made it."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

STEP_MIB = 256
"""What others hold is counted in such steps, so that a window opened on a display does not change a plan."""
NOTHING_BELOW_MIB = 300
"""Drivers and idle consoles hold that much of a GPU (captures of idle cards: 0 to 214 MiB)."""

KEPT_MIB, KEPT_SHARE = 490, 0.008
"""What NVIDIA's driver keeps of a GPU for itself, where it does not tell: so much, or this part of its memory if more.

nvidia-smi counts it as reserved, and CUDA does not show it. Captures, MiB: 135 of 23,040 (P40), 316 of 24,576 (RTX
3090), 489 of 24,564 (RTX 4090), 480 of 81,559 (H100), 643 of 81,920 (A100). PyTorch and llama.cpp found less than
nvidia-smi shows: 375 of 8,188 (laptop RTX 4060, MagicQuill #126 on GitHub), 225 of 8,192 (RTX 3070, codellama #82), 391
of 16,376 (RTX A4000, VGGT-Long #6), 496 of 32,607 (RTX 5090, llama.cpp #23676).
"""
CONTEXT_SHARE, CONTEXT_AT_MOST_MIB = 0.02, 600
"""What a program that uses CUDA holds of a GPU beside its buffers: a part of the memory, and at most so much.

Measured on an H100: 598 MiB, of which 527 before a model is loaded (docs/h100.md). Published: 451 on an RTX 4090
(llama.cpp #15860); before a model is loaded 521 and 592 on two RTX 5090 (#23676). It grows with the multiprocessors, so
smaller cards have less.
"""

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
    kept_mib: int = 0
    """What the driver keeps of its memory for itself."""

    @property
    def room_mib(self) -> int:
        """What programs of Ollama's find."""
        return self.memory_mib - self.kept_mib - self.taken_mib

    @property
    def context_mib(self) -> float:
        """What each program of Ollama's holds of it beside its buffers."""
        return min(CONTEXT_SHARE * self.memory_mib, CONTEXT_AT_MOST_MIB) if self.backend == "cuda" else 0.0

    @property
    def seen_mib(self) -> float:
        """What Ollama finds free before it loads anything: it looks with a program of its own."""
        return self.room_mib - self.context_mib


@dataclass(frozen=True)
class Found:
    """What one maker's GPUs are good for, and what is to be said about them."""

    cards: tuple[Card, ...] = ()
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def kept(memory_mib: int) -> int:
    """What NVIDIA's driver likely keeps of a GPU for itself, where it does not tell. MiB."""
    return round(max(KEPT_SHARE * memory_mib, KEPT_MIB))


def in_steps(held_mib: int) -> int:
    """Memory that others hold, rounded up to steps of 256 MiB; 0 below 300 MiB."""
    return 0 if held_mib < NOTHING_BELOW_MIB else ceil(held_mib / STEP_MIB) * STEP_MIB
