"""GPUs that are split by MIG: a process can use one slice of one GPU, or whole GPUs, never both."""

import re
from dataclasses import replace

from inhouse.facts.model import MigSlice, NvidiaGpu
from inhouse.planner.card import Card, in_steps
from inhouse.units import counted

_SMALLEST_SHARE = 0.83
"""Of the GB in a profile's name, in GiB, that a slice surely has: 20.00 of 24 on a GB200 is the least seen."""


def fault(gpu: NvidiaGpu, elsewhere: str) -> str | None:
    """Why nothing of a GPU in MIG mode can be used, and what mends it."""
    if not gpu.mig or gpu.slices:
        return None
    return (
        f"GPU {gpu.index}, {gpu.name}, is in MIG mode and no slice of it was found (slices do not outlive a restart): "
        f"models run on {elsewhere}. Make slices again, or use the whole GPU: sudo nvidia-smi -i {gpu.index} -mig 0"
    )


def cards(gpu: NvidiaGpu, whole: Card, taken_mib: int | None = None) -> tuple[Card, ...]:
    """The slices of a GPU as cards; bandwidth and speed are the GPU's by the slice's share of its memory.

    Args:
        gpu: in MIG mode.
        whole: the same GPU, as if it were not split.
        taken_mib: what others hold of each slice, where that is not told by what is used of it.
    """
    ours = sum(p.memory_mib or 0 for p in gpu.processes or () if p.ollama)
    holds_ours = _holder(gpu, ours)
    found = []
    for one in gpu.slices:
        memory = _memory(one)
        share = memory / whole.memory_mib
        others = (one.memory_used_mib or 0) - (ours if one is holds_ours else 0)
        held = max(others, 0) if taken_mib is None else taken_mib
        found.append(
            replace(
                whole,
                name=f"{whole.name} MIG {one.profile}",
                memory_mib=memory,
                bandwidth_gbs=None if whole.bandwidth_gbs is None else whole.bandwidth_gbs * share,
                tflops=None if whole.tflops is None else whole.tflops * share,
                taken_mib=in_steps(held),
                kept_mib=0,  # a slice's size is without what the driver keeps of the GPU
                uuid=one.uuid,
            )
        )
    return tuple(found)


def offered(whole: tuple[Card, ...], slices: tuple[Card, ...]) -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """The cards to choose from, and what is to be known: whole GPUs, and of all slices the one with most room."""
    if not slices:
        return whole, ()
    best = max(slices, key=lambda card: card.room_mib)
    rest = counted([card.name for card in slices if card is not best])
    left = f"; left to others: {', '.join(rest)}" if rest else ""
    held = f", though others hold {best.taken_mib} MiB of it" if best.taken_mib else ""
    if whole:
        rule = "A process uses whole GPUs or one MIG slice, not both."
        return (*whole, best), (f"{rule} Of the slices {best.name} has most room{held}{left}.",)
    return (best,), (
        f"The GPU is split by MIG and a process uses one slice: models run on {best.name} ({best.memory_mib} MiB), "
        f"which has most room{held}{left}.",
    )


def _holder(gpu: NvidiaGpu, ours: int) -> MigSlice:
    """The slice that holds so much of Ollama's, as far as can be known: the driver does not tell where a program is.

    A process uses one slice, and Ollama is planned on the one with most room.
    """

    def likely(one: MigSlice) -> tuple[bool, int, int]:
        used = one.memory_used_mib or 0
        return used >= ours, _memory(one), -used

    return max(gpu.slices, key=likely)


def _memory(one: MigSlice) -> int:
    """MiB of a slice: where the driver does not say, at least what its name promises; 0 if that has no size."""
    if one.memory_total_mib:
        return one.memory_total_mib
    match = re.search(r"(\d+)gb", one.profile)
    return round(int(match[1]) * 1024 * _SMALLEST_SHARE) if match else 0
