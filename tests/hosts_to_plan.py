"""Facts and hosts for tests of the planner, built in memory."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

import inhouse.lab
from inhouse.facts.model import (
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
from inhouse.planner.hardware import ImaginedConnection, parse
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


A_LAB_MACHINES_MEMORY = {"total_mib": 64017, "available_mib": 62105}
"""Of profiles that pretend no memory but show the machine's: any will do."""


def host(**settings: Any) -> Host:
    """A host with some settings."""
    return Host(HostSettings(**settings))


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
    text = yaml.safe_load((PROFILES / f"{profile}.yml").read_text(encoding="utf-8"))
    memory = text.get("memory", A_LAB_MACHINES_MEMORY)
    cores = text["cpu"]["cores"] * text["cpu"].get("sockets", 1)
    devices = tuple(
        DisplayDevice(d["slot"], d["id"][:4], d["id"][5:], d["class"], d.get("driver"))
        for d in text["pci"]
        if d["class"].startswith("03")
    )
    return HostFacts(
        host=profile,
        os=OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-41-amd64", "x86_64"),
        virtualization=Virtualization.CONTAINER,
        virtualization_name="docker",
        cpu=Cpu(text["cpu"]["model"], cores, 2 * cores, frozenset(text["cpu"]["flags"].split())),
        memory_total_mib=memory["total_mib"],
        memory_available_mib=memory["available_mib"],
        models_disk=LAB_DISK,
        display_devices=devices,
        nvidia=_nvidia(text.get("nvidia"), any(d.vendor_id == "10de" for d in devices)),
        installed=NOTHING_INSTALLED,
        listening=(),
        fleet=None,
        certificate_pem=None,
        clock_offset_s=0.0,
        systemd=True,
    )


def _nvidia(text: dict[str, Any] | None, present: bool) -> NvidiaDriver:
    if text is None:
        return NvidiaDriver(DriverState.NO_DRIVER if present else DriverState.NO_DEVICE, None, None, "", ())
    module, library = text.get("module"), text.get("library")
    if module != library:
        message = "Failed to initialize NVML: Driver/library version mismatch"
        return NvidiaDriver(DriverState.CANNOT_TALK, module, library, message, ())
    gpus = tuple(_gpu(g["fields"]) for g in text["gpus"])
    return NvidiaDriver(DriverState.WORKING, module, library, "", gpus)


def _gpu(fields: dict[str, str]) -> NvidiaGpu:
    return NvidiaGpu(
        index=int(fields["index"]),
        name=fields["name"],
        uuid=fields["uuid"],
        pci_slot=fields["pci.bus_id"].lower().removeprefix("0000"),
        memory_total_mib=int(fields["memory.total"].split()[0]),
        memory_free_mib=int(fields["memory.free"].split()[0]),
        compute_capability=fields["compute_cap"],
        driver_version=fields["driver_version"],
    )
