"""Facts of a host that is not there: the GPUs that were asked for, a supported system, and drivers that know them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inhouse.catalogue.chips import AMD, NVIDIA
from inhouse.catalogue.drivers import drivers, last_branch
from inhouse.catalogue.gpus import Gpu
from inhouse.facts.model import (
    AmdGpu,
    Cpu,
    Disk,
    DisplayDevice,
    DriverState,
    HostFacts,
    Installed,
    NvidiaDriver,
    NvidiaGpu,
    OperatingSystem,
    Virtualization,
)
from inhouse.planner.amd import STRIX_HALO

NAME = "imagined"
CARVED_OUT_MIB = 512
"""What firmware sets aside of the RAM for the graphics of a processor, unless somebody changes it there."""


@dataclass(frozen=True)
class _System:
    """What a machine comes with."""

    os: OperatingSystem
    python: str
    driver: str | None = None
    """NVIDIA's driver; None: the newest branch that knows the cards."""
    jetson_linux: str | None = None
    cores: int = 8
    """Where nobody says how many."""
    flags: frozenset[str] = frozenset()
    """Of the processor."""


_PC = _System(OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)", "", "x86_64"), "3.11.2")
_STRIX_HALO = replace(_PC, cores=16, flags=frozenset({"avx512f"}))
"""Ryzen AI Max+ 395: 16 cores of Zen 5."""
_SPARK = _System(OperatingSystem("ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "", "aarch64"), "3.12.3", cores=20)
"""DGX OS 7, as a GB10 was captured."""
_ORIN = _System(OperatingSystem("ubuntu", "22.04", "Ubuntu 22.04.5 LTS", "", "aarch64"), "3.10.12", "540.4.0", "36.4.3")
"""JetPack 6.2, as an AGX Orin was captured."""
_THOR = _System(OperatingSystem("ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "", "aarch64"), "3.12.3", "580.0", "38.2.1")
"""JetPack 7 (NVIDIA's Jetson Linux 38.2.1 guide: Ubuntu 24.04; the first branch that knows Thor is 580)."""


def facts(cards: Sequence[Gpu], ram_mib: int, disk_mib: int, cores: int | None = None) -> HostFacts:
    """Facts of a host with these cards; with a card of unified memory, `ram_mib` is that memory."""
    system = _system(cards)
    cores = cores or system.cores
    placed = [(f"0000:{bus:02x}:00.0" if g.id else "", g) for bus, g in enumerate(cards, start=1)]
    return HostFacts(
        host=NAME,
        os=system.os,
        virtualization=Virtualization.NONE,
        virtualization_name="none",
        cpu=Cpu(NAME, cores, cores * (2 if system.os is _PC.os else 1), system.flags),
        memory_total_mib=ram_mib,
        memory_available_mib=ram_mib,
        models_disk=Disk("/", disk_mib, disk_mib),
        display_devices=tuple(_device(slot, g) for slot, g in placed if g.id),
        nvidia=_nvidia([(slot, g) for slot, g in placed if g.vendor == NVIDIA], system),
        installed=Installed(None, None, None, None, None, system.python, True, True),
        listening=(),
        fleet=None,
        certificate_pem=None,
        clock_offset_s=0.0,
        systemd=True,
        amd=tuple(_amd(number, slot, g, ram_mib) for number, (slot, g) in enumerate(placed) if g.vendor == AMD),
        board=cards[0].name if system.jetson_linux else None,
        jetson_linux=system.jetson_linux,
    )


def _system(cards: Sequence[Gpu]) -> _System:
    first = cards[0] if cards else None
    if first is not None and first.chip == STRIX_HALO:
        return _STRIX_HALO
    if first is None or not first.unified or first.vendor != NVIDIA:
        return _PC
    if first.kind == "embedded":
        return _ORIN if first.generation == "ampere" else _THOR
    return _SPARK


def _device(slot: str, gpu: Gpu) -> DisplayDevice:
    return DisplayDevice(slot, gpu.vendor, gpu.id or "", "030000", "nvidia" if gpu.vendor == NVIDIA else "amdgpu")


def _nvidia(cards: Sequence[tuple[str, Gpu]], system: _System) -> NvidiaDriver:
    if not cards:
        return NvidiaDriver(DriverState.NO_DEVICE, None, None, "", ())
    limits = [limit for _, g in cards if g.id and (limit := last_branch(g.id))]
    version = system.driver or f"{min(limits, default=drivers().production)}.0"
    gpus = tuple(
        NvidiaGpu(
            index=index,
            name=gpu.name,
            uuid=f"GPU-{NAME}-{index}",
            pci_slot=slot,
            memory_total_mib=None if gpu.unified else gpu.memory_mib,
            memory_free_mib=None if gpu.unified else gpu.memory_mib,
            compute_capability=gpu.compute,
            driver_version=version,
        )
        for index, (slot, gpu) in enumerate(cards)
    )
    return NvidiaDriver(DriverState.WORKING, version, version, "", gpus)


def _amd(number: int, slot: str, gpu: Gpu, ram_mib: int) -> AmdGpu:
    own = CARVED_OUT_MIB if gpu.unified else gpu.memory_mib
    return AmdGpu(
        pci_slot=slot,
        name=None,
        memory_total_mib=own,
        memory_used_mib=0,
        shared_mib=ram_mib // 2,
        gfx=gpu.compute,
        integrated=gpu.unified,
        ollama_mib=0,
        render_node=f"/dev/dri/renderD{128 + number}",
    )
