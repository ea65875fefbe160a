"""What AMD's GPUs of a host are good for now, and what mends those that are not: a pure mapping from facts.

Ollama's archive for amd64 carries Vulkan, which is on by default since 0.30 and needs Mesa's driver from the
distribution. ROCm comes in an archive of its own that is not used: no checksum of it is known.
"""

from dataclasses import dataclass

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import AMD
from inhouse.facts.model import PASSED_THROUGH, AmdGpu, DisplayDevice, HostFacts, Virtualization
from inhouse.planner import by_hand
from inhouse.planner.card import NO_CHECKSUM, Card, Found, in_steps
from inhouse.units import counted, listed

STRIX_HALO = "Strix Halo"
_STRIX_HALO_GFX = "gfx1151"


@dataclass(frozen=True)
class _Device:
    """One of AMD's display devices: what PCI, amdgpu and the catalogue say of it."""

    pci: DisplayDevice
    gpu: AmdGpu | None
    row: catalogue.Gpu | None

    @property
    def name(self) -> str:
        if self.row and self.gpu and self.gpu.memory_total_mib and not self.integrated:
            return _short(self.row.name)
        if self.gpu and self.gpu.name:
            return _short(self.gpu.name)
        return _every_name(self.pci.device_id) or f"AMD GPU {AMD}:{self.pci.device_id}"

    @property
    def memory_mib(self) -> int | None:
        told = self.gpu.memory_total_mib if self.gpu else None
        return told or (self.row.memory_mib if self.row else None)

    @property
    def integrated(self) -> bool:
        return bool((self.gpu and self.gpu.integrated) or (self.row and self.row.kind == "soc"))


def _short(name: str) -> str:
    """A card's name without its maker: "AMD Radeon RX 7900 XTX" → "RX 7900 XTX", "AMD Radeon VII" → "Radeon VII"."""
    bare = name.removeprefix("AMD ")
    return bare.removeprefix("Radeon ") if bare.startswith("Radeon RX ") else bare


def _every_name(device_id: str) -> str:
    """All cards of a PCI id, where nothing tells them apart: "RX 7900 XT or RX 7900 XTX"; "" for an unknown id."""
    rows = (g for g in catalogue.gpus() if g.vendor == AMD and device_id in (g.id, *g.also))
    return " or ".join(_short(g.name) for g in rows)


def judge(facts: HostFacts) -> Found:
    """Say what AMD's GPUs are good for."""
    cards: list[Card] = []
    reasons: list[str] = []
    warnings: list[str] = []
    for device in _devices(facts):
        if device.pci.kernel_driver in PASSED_THROUGH:
            reasons.append(f"{device.name} is handed to a virtual machine (vfio-pci): models run on the CPU here.")
        elif device.integrated:
            reasons.append(_about_graphics_of_a_processor(device))
        elif fault := _fault(device, facts):
            warnings.append(fault)
        elif device.pci.kernel_driver != "amdgpu" or device.memory_mib is None:
            reasons.append(f"{device.name} found, which no driver that can compute describes: models run on the CPU.")
        else:
            cards.append(_card(device, device.memory_mib))
    return Found(tuple(cards), _reasons(cards, reasons), tuple(dict.fromkeys(warnings)))


def _reasons(cards: list[Card], others: list[str]) -> tuple[str, ...]:
    """With a card that computes, what else there is needs no words."""
    if not cards:
        return tuple(dict.fromkeys(others))
    names = listed(counted([c.name for c in cards]))
    said = [
        f"{names} runs models by Vulkan with Mesa's driver; Ollama's archive for ROCm is not used, as {NO_CHECKSUM}."
    ]
    said += [
        f"{c.taken_mib} of {c.memory_mib} MiB of {c.name} are held by others (a display or other programs) and are "
        "left to them."
        for c in cards
        if c.taken_mib
    ]
    said += [
        f"{c.name} is not in the catalogue: planned by what its driver reports, {c.memory_mib} MiB; its speed is not "
        "known."
        for c in cards
        if c.bandwidth_gbs is None
    ]
    return tuple(dict.fromkeys(said))


def _devices(facts: HostFacts) -> tuple[_Device, ...]:
    by_slot = {gpu.pci_slot: gpu for gpu in facts.amd}
    return tuple(_device(d, by_slot.get(d.slot)) for d in facts.amd_devices)


def _device(pci: DisplayDevice, gpu: AmdGpu | None) -> _Device:
    return _Device(pci, gpu, catalogue.find(pci.device_id, AMD, gpu.memory_total_mib if gpu else None))


def _card(device: _Device, memory_mib: int) -> Card:
    gpu, row = device.gpu, device.row
    used, ours = (gpu.memory_used_mib, gpu.ollama_mib) if gpu else (None, None)
    return Card(
        name=device.name,
        memory_mib=memory_mib,
        bandwidth_gbs=row.bandwidth_gbs if row else None,
        compute=None,
        backend="vulkan",
        taken_mib=in_steps(max(used - ours, 0)) if used is not None and ours is not None else 0,
        tflops=row.tflops if row else None,
    )


def _about_graphics_of_a_processor(device: _Device) -> str:
    name = device.name
    if (device.gpu and device.gpu.gfx == _STRIX_HALO_GFX) or (device.row and device.row.chip == STRIX_HALO):
        return (
            f"{name} ({STRIX_HALO}) is not used yet: Ollama takes it by ROCm alone, whose archive is not used "
            f"({NO_CHECKSUM}). Models run on the CPU."
        )
    return f"{name} is part of the processor, and Ollama passes over such graphics: models run on the CPU."


def _fault(device: _Device, facts: HostFacts) -> str | None:
    """What keeps a card from computing that could, and what mends it."""
    contained = facts.virtualization is Virtualization.CONTAINER
    if device.pci.kernel_driver is None and device.row:
        found = (
            f"{device.name} found, but the kernel driver amdgpu is not bound to it: until then models run on the CPU."
        )
        return f"{found} {by_hand.run(facts, by_hand.install_amd(facts))}"
    if device.pci.kernel_driver == "amdgpu" and contained and device.gpu and device.gpu.render_node is None:
        return (
            f"{device.name} found, but this container ({facts.virtualization_name}) has no device of it below "
            "/dev/dri: until then models run on the CPU. Give the container /dev/dri, and restart it."
        )
    return None
