"""Shows facts: a small table per host for people, a record of plain values for programs."""

import dataclasses
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from inhouse.catalogue.chips import AMD, INTEL, NVIDIA
from inhouse.facts.machine import DriverOrigin
from inhouse.facts.model import (
    AmdGpu,
    DisplayDevice,
    DriverState,
    GpuProcess,
    HostFacts,
    Installed,
    NvidiaDriver,
    NvidiaGpu,
)
from inhouse.units import gib, number

_VENDORS = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel"}

_ORIGINS = {
    DriverOrigin.DISTRIBUTION: "the distribution's packages",
    DriverOrigin.NVIDIA: "NVIDIA's repository",
    DriverOrigin.RUNFILE: "NVIDIA's installer (.run)",
    DriverOrigin.FILES: "files of no package",
    DriverOrigin.OTHER: "packages of somebody else",
}

_CLOCK_TOLERANCE_S = 5.0
"""A clock this near to the controller's is not worth a line: certificates and logs bear it."""


def as_record(facts: HostFacts) -> dict[str, Any]:
    """Return the facts as values that JSON has: sets become sorted lists, states their text."""
    return {key: _plain(value) for key, value in dataclasses.asdict(facts).items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def facts_view(facts: HostFacts) -> RenderableType:
    """Return the facts of one host as a compact panel."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for title, text in _rows(facts):
        table.add_row(title, Text(text))
    return Panel(table, title=Text(facts.host), title_align="left", expand=False)


def _rows(facts: HostFacts) -> list[tuple[str, str]]:
    cpu, disk = facts.cpu, facts.models_disk
    rows = [
        ("system", _system(facts)),
        *([("board", facts.board)] if facts.board else []),
        ("processor", f"{cpu.model}, {cpu.cores} cores, {cpu.threads} threads"),
        ("memory", f"{gib(facts.memory_total_mib)}, {gib(facts.memory_available_mib)} available"),
        ("models' disk", f"{disk.path}: {gib(disk.free_mib)} free of {gib(disk.total_mib)}"),
        *(("graphics", _device(device)) for device in facts.display_devices),
        ("NVIDIA driver", _driver(facts.nvidia)),
        *_machine(facts),
        *((f"GPU {gpu.index}", _gpu(gpu)) for gpu in facts.nvidia.gpus),
        *(("AMD GPU", _amd(gpu)) for gpu in facts.amd),
        ("installed", _installed(facts.installed)),
        ("listening", _listening(facts)),
        ("managed by", f"fleet {facts.fleet}" if facts.fleet else "nobody yet"),
    ]
    if facts.installed.foreign_ollama:
        rows.append(("other Ollama", f"{facts.installed.foreign_ollama} (not put there by inhouse)"))
    if abs(facts.clock_offset_s) > _CLOCK_TOLERANCE_S:
        direction = "ahead of" if facts.clock_offset_s > 0 else "behind"
        rows.append(("clock", f"{abs(facts.clock_offset_s):.0f} s {direction} this machine's"))
    return rows


def _system(facts: HostFacts) -> str:
    where = "" if facts.virtualization_name == "none" else f", in {facts.virtualization_name}"
    init = "" if facts.systemd else ", without systemd"
    return f"{facts.os.name}, kernel {facts.os.kernel}, {facts.os.architecture}{where}{init}"


def _device(device: DisplayDevice) -> str:
    vendor = _VENDORS.get(device.vendor_id, "vendor")
    return f"{vendor} {device.vendor_id}:{device.device_id} at {device.slot}, driver {device.kernel_driver or 'none'}"


def _driver(nvidia: NvidiaDriver) -> str:
    versions = f"module {nvidia.module_version or 'none'}, library {nvidia.library_version or 'none'}"
    text = nvidia.state.value
    if nvidia.state in {DriverState.WORKING, DriverState.CANNOT_TALK}:
        text = f"{text} ({versions})"
    return f"{text}: {nvidia.message}" if nvidia.message else text


def _machine(facts: HostFacts) -> Iterator[tuple[str, str]]:
    """What a driver's installation starts from; only what is not as on any other host."""
    machine, newest = facts.machine, facts.machine.newest_kernel
    if machine.driver_origin not in (None, DriverOrigin.NONE):
        held = f", {number(len(machine.held), 'package')} held" if machine.held else ""
        yield "driver is from", f"{_ORIGINS[machine.driver_origin]}{held}"
    if newest and newest.name != facts.os.kernel:
        module = f"NVIDIA module {newest.module}" if newest.module else "no NVIDIA module"
        yield "newest kernel", f"{newest.name}, {module}, {'with' if newest.headers else 'without'} headers"
    if machine.reboot_required or any(record.reboot_needed for record in machine.records):
        yield "restart", "asked for"
    if machine.secure_boot:
        yield "Secure Boot", "on: only signed modules are loaded"
    if machine.cuda_toolkits:
        yield "CUDA toolkits", ", ".join(machine.cuda_toolkits)


def _gpu(gpu: NvidiaGpu) -> str:
    total, free = gpu.memory_total_mib, gpu.memory_free_mib
    memory = "memory shared with the host" if total is None else gib(total)
    if total is not None and free is not None:
        memory = f"{memory}, {gib(free)} free"
    capability = f", compute capability {gpu.compute_capability}" if gpu.compute_capability else ""
    return f"{gpu.name}, {memory}{capability}{_slices(gpu)}{_processes(gpu.processes or ())}"


def _slices(gpu: NvidiaGpu) -> str:
    if not gpu.mig:
        return ""
    each = (f"{s.profile} {gib(s.memory_total_mib)}" if s.memory_total_mib else s.profile for s in gpu.slices)
    return f", split by MIG: {', '.join(each) or 'no slices'}"


def _processes(processes: Sequence[GpuProcess]) -> str:
    each = (f"{p.name} {gib(p.memory_mib)}" if p.memory_mib else p.name for p in processes)
    return f"; used by {', '.join(each)}" if processes else ""


def _amd(gpu: AmdGpu) -> str:
    total, used = gpu.memory_total_mib, gpu.memory_used_mib
    memory = "memory not known" if total is None else gib(total)
    if total is not None and used is not None:
        memory = f"{memory}, {gib(total - used)} free"
    kind = ", part of the processor" if gpu.integrated else ""
    return f"{gpu.name or gpu.gfx or gpu.pci_slot}, {memory}{kind}"


def _installed(installed: Installed) -> str:
    names = {
        "Ollama": installed.ollama,
        "Open-WebUI": installed.open_webui,
        "Caddy": installed.caddy,
        "Docker": installed.docker,
        "Python": installed.python,
    }
    found = [f"{name} {version}" for name, version in names.items() if version]
    found += [name for name, there in (("curl", installed.curl), ("zstd", installed.zstd)) if there]
    return ", ".join(found) or "nothing that inhouse needs"


def _listening(facts: HostFacts) -> str:
    ports = {port.port: port.process for port in facts.listening}
    return ", ".join(f"{port} ({process})" if process else str(port) for port, process in ports.items()) or "nothing"
