"""Facts and hosts for tests of the planner, built in memory."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import inhouse.lab
from inhouse.facts.machine import DriverOrigin, MachineFacts
from inhouse.facts.model import (
    AmdGpu,
    Cpu,
    Disk,
    DisplayDevice,
    DriverState,
    HostFacts,
    Installed,
    MigSlice,
    NvidiaDriver,
    NvidiaGpu,
    OperatingSystem,
    Virtualization,
)
from inhouse.facts.nvidia_values import mib
from inhouse.lab import profiles
from inhouse.planner.hardware import ImaginedConnection, parse
from inhouse.role_variables import NOTHING, RoleVariables
from inhouse.settings import HostSettings

PROFILES = Path(inhouse.lab.__file__).parent / "profiles"
NOTHING_INSTALLED = Installed(None, None, None, None, None, "3.11.2", True, True)
LAB_DISK = Disk("/var/lib/ollama/models", 250_000, 200_000)


@dataclass(frozen=True)
class Host:
    """Stands for a host of an inventory."""

    settings: HostSettings = field(default_factory=HostSettings)
    name: str = "gpu1"
    server_name: str = "gpu1"
    connection: ImaginedConnection = field(default_factory=lambda: ImaginedConnection("192.0.2.7"))
    role_variables: RoleVariables = NOTHING


A_LAB_MACHINES_MEMORY = profiles.Memory(total_mib=64017, available_mib=62105)
"""Of profiles that pretend no memory but show the machine's: any will do."""


def host(**settings: Any) -> Host:
    """A host with some settings."""
    return Host(HostSettings.of(**settings))


def card(memory_mib: int, compute: str = "8.9", driver: str = "595.91.07", name: str = "NVIDIA Some Card") -> HostFacts:
    """A roomy host with one working GPU that the catalogue does not know."""
    gpu = NvidiaGpu(0, name, "GPU-0", "0000:01:00.0", memory_mib, memory_mib, compute, driver)
    device = DisplayDevice("0000:01:00.0", "10de", "ffff", "030000", "nvidia")
    facts = parse("ram 128, disk 2000, cpu 16")
    nvidia = NvidiaDriver(DriverState.WORKING, driver, driver, "", (gpu,))
    return replace(facts, nvidia=nvidia, display_devices=(device,))


def broken(state: DriverState, **nvidia: Any) -> HostFacts:
    """A host with an RTX 3090 whose driver is missing or does not answer."""
    values: dict[str, Any] = {"module_version": None, "library_version": None, "message": "", "gpus": ()} | nvidia
    return replace(parse("rtx-3090, ram 32"), nvidia=NvidiaDriver(state=state, **values))


def lab_facts(profile: str) -> HostFacts:
    """What the probe finds on a lab host of a profile."""
    machine = profiles.load(profile)
    memory = machine.memory or A_LAB_MACHINES_MEMORY
    cores = machine.cpu.cores * machine.cpu.sockets
    devices = tuple(
        DisplayDevice(d.slot, d.id[:4], d.id[5:], d.class_id, d.driver)
        for d in machine.pci
        if d.class_id.startswith(("03", "12"))
    )
    return HostFacts(
        host=profile,
        os=OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-41-amd64", "x86_64"),
        virtualization=Virtualization.NONE if machine.machine else Virtualization.CONTAINER,
        virtualization_name="none" if machine.machine else "docker",
        cpu=Cpu(machine.cpu.model, cores, cores * machine.cpu.threads_per_core, frozenset(machine.cpu.flags.split())),
        memory_total_mib=memory.total_mib,
        memory_available_mib=memory.available_mib,
        models_disk=LAB_DISK,
        display_devices=devices,
        nvidia=_nvidia(machine.nvidia, any(d.vendor_id == "10de" for d in devices)),
        installed=NOTHING_INSTALLED,
        listening=(),
        fleet=None,
        certificate_pem=None,
        clock_offset_s=0.0,
        systemd=True,
        amd=tuple(_amd(d.slot, d.amdgpu) for d in machine.pci if d.amdgpu),
        # A lab's driver is made of files that belong to no package.
        machine=MachineFacts(driver_origin=DriverOrigin.FILES if machine.nvidia else DriverOrigin.NONE),
    )


def _nvidia(nvidia: profiles.Nvidia | None, present: bool) -> NvidiaDriver:
    if nvidia is None:
        return NvidiaDriver(DriverState.NO_DRIVER if present else DriverState.NO_DEVICE, None, None, "", ())
    if not nvidia.works:
        message = "Failed to initialize NVML: Driver/library version mismatch"
        return NvidiaDriver(DriverState.CANNOT_TALK, nvidia.module, nvidia.library, message, ())
    return NvidiaDriver(DriverState.WORKING, nvidia.module, nvidia.library, "", tuple(map(_gpu, nvidia.gpus)))


def _gpu(gpu: profiles.Gpu) -> NvidiaGpu:
    fields = gpu.fields
    return NvidiaGpu(
        index=int(fields["index"]),
        name=fields["name"],
        uuid=fields["uuid"],
        pci_slot=fields["pci.bus_id"].lower().removeprefix("0000"),
        memory_total_mib=mib(fields["memory.total"]),
        memory_free_mib=mib(fields["memory.free"]),
        compute_capability=fields["compute_cap"],
        driver_version=fields["driver_version"],
        mig=fields["mig.mode.current"] == "Enabled",
        memory_used_mib=mib(fields["memory.used"]),
        processes=(),
        slices=tuple(
            MigSlice(number, one.profile, one.uuid, one.total_mib, one.used_mib)
            for number, one in enumerate(gpu.slices)
        ),
    )


def _amd(slot: str, gpu: profiles.Amdgpu) -> AmdGpu:
    version = gpu.gfx_target_version
    return AmdGpu(
        pci_slot=slot,
        name=None,
        memory_total_mib=gpu.vram_total_mib,
        memory_used_mib=gpu.vram_used_mib,
        shared_mib=gpu.gtt_total_mib,
        gfx=f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}",
        integrated=gpu.vram_vendor is None,
        ollama_mib=0,
        render_node=f"/dev/dri/{gpu.render_node}",
    )
