"""Reads the probe's sections on what NVIDIA GPUs are used for: programs that compute on them, slices (MIG)."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from inhouse import layout
from inhouse.facts.model import GpuProcess, MigSlice, NvidiaGpu
from inhouse.facts.nvidia_values import mib, slot, value
from inhouse.facts.sections import Sections

_GPU = re.compile(r"GPU (\d+): ")
_SLICE = re.compile(r"\s+MIG (?P<profile>\S+)\s+Device\s+(?P<index>\d+): \(UUID: (?P<uuid>MIG-[^)]+)\)")
_PROCESS = re.compile(r"(?P<pid>\d+), (?P<gpu>[^,]*), (?P<memory>[^,]*), (?P<name>.+)")


def complete(gpu: NvidiaGpu, sections: Sections) -> NvidiaGpu:
    """Return a GPU with the programs that compute on it and, where it is split, its slices."""
    slices = _slices(gpu, sections) if gpu.mig else ()
    uuids = {gpu.uuid, *(one.uuid for one in slices)}
    return replace(gpu, processes=_processes(uuids, sections), slices=slices)


def _processes(uuids: set[str], sections: Sections) -> tuple[GpuProcess, ...] | None:
    section = sections["nvidia-processes"]
    if section.attributes.get("status") != "0":
        return None
    groups = dict(line.partition(" ")[::2] for line in sections["nvidia-cgroups"].lines)
    rows = [match for line in section.lines if (match := _PROCESS.fullmatch(line.strip()))]
    return tuple(
        GpuProcess(
            pid=int(row["pid"]),
            name=row["name"],
            memory_mib=mib(row["memory"]),
            ollama=_is_ollama(row["name"], groups.get(row["pid"], "")),
        )
        for row in rows
        if (value(row["gpu"]) or "") in uuids
    )


def _is_ollama(name: str, group: str) -> bool:
    """Any unit of this name counts: inhouse's own, or the one that inhouse will take over from."""
    units = re.findall(r"[^/\s]+\.service", group)
    return layout.OLLAMA_UNIT in units or name.startswith(f"{layout.OLLAMA_PREFIX}/")


def _slices(gpu: NvidiaGpu, sections: Sections) -> tuple[MigSlice, ...]:
    sizes = _sizes(gpu, sections)
    found, current = [], None
    for line in sections["nvidia-list"].lines:
        if header := _GPU.match(line):
            current = int(header[1])
        elif current == gpu.index and (match := _SLICE.match(line)):
            index = int(match["index"])
            total, used = sizes.get(index, (None, None))
            found.append(MigSlice(index, match["profile"], match["uuid"], total, used))
    return tuple(found)


def _sizes(gpu: NvidiaGpu, sections: Sections) -> dict[int, tuple[int | None, int | None]]:
    """Total and used memory by a slice's number; empty where the driver's XML is cut off or has none."""
    try:
        root = ET.fromstring(f"<log>{sections['nvidia-slices'].text}</log>")
    except ET.ParseError:
        return {}
    return {
        int(index): (_size(device, "total"), _size(device, "used"))
        for described in root.iterfind("gpu")
        if slot(described.get("id", "")) == gpu.pci_slot
        for device in described.iter("mig_device")
        if (index := device.findtext("index", "").strip()).isdecimal()
    }


def _size(device: ET.Element, key: str) -> int | None:
    return mib(device.findtext(f"fb_memory_usage/{key}", ""))
