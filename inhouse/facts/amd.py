"""Reads the probe's sections on AMD: what sysfs says of the GPUs that the kernel driver amdgpu drives."""

import re
from collections import defaultdict
from collections.abc import Mapping

from inhouse.facts.model import AmdGpu
from inhouse.facts.sections import Section, Sections

_APUS = frozenset(
    {
        *("gfx700", "gfx703", "gfx705", "gfx801", "gfx810", "gfx902", "gfx909", "gfx90c"),
        *("gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"),
    }
)
"""Architectures that are part of a processor (LLVM's AMDGPUUsage: "APU")."""

_INTEGRATED_AT_MOST_MIB = 4096
_SHARED_AT_LEAST_MIB = 8192
_SHARED_TIMES = 4
"""Memory by which Ollama 0.32 itself tells graphics of a processor from cards (discover/amd.go)."""

_BYTES_PER_MIB = 1024 * 1024
_BYTES = {"": 1, "KiB": 1024, "MiB": _BYTES_PER_MIB}


def read_amd(sections: Sections) -> tuple[AmdGpu, ...]:
    """Return the GPUs that amdgpu drives, in the order of their slots."""
    devices: dict[str, dict[str, str]] = defaultdict(dict)
    for line in sections["amd-gpus"].lines:
        slot, key, value = (*line.split(maxsplit=2), "", "")[:3]
        devices[slot][key] = value
    targets = _targets(sections["amd-nodes"])
    held = _held(sections["amd-ollama"])
    return tuple(
        _gpu(slot, devices[slot], targets.get(slot), None if held is None else held.get(slot, 0))
        for slot in sorted(devices)
    )


def _gpu(slot: str, values: Mapping[str, str], gfx: str | None, ollama_mib: int | None) -> AmdGpu:
    total, shared = _mib(values.get("mem_info_vram_total")), _mib(values.get("mem_info_gtt_total"))
    own_memory = "mem_info_vram_vendor" in values or "board_info" in values
    return AmdGpu(
        pci_slot=slot,
        name=values.get("product_name"),
        memory_total_mib=total,
        memory_used_mib=_mib(values.get("mem_info_vram_used")),
        shared_mib=shared,
        gfx=gfx,
        integrated=_integrated(own_memory, gfx, total, shared),
        ollama_mib=ollama_mib,
        render_node=values.get("render_node"),
    )


def _integrated(own_memory: bool, gfx: str | None, total: int | None, shared: int | None) -> bool | None:
    if gfx in _APUS:
        return True
    if own_memory or gfx:
        return False
    if total is None or shared is None:
        return None
    return (total <= _INTEGRATED_AT_MOST_MIB and shared >= max(_SHARED_AT_LEAST_MIB, _SHARED_TIMES * total)) or None


def _mib(text: str | None) -> int | None:
    return int(text) // _BYTES_PER_MIB if text and text.isdecimal() else None


def _targets(section: Section) -> dict[str, str]:
    """Architecture by slot, from the compute topology; nodes without compute units are processors."""
    found = {}
    for line in section.lines:
        words = line.split()
        node = {key: int(value) for key, value in zip(words[::2], words[1::2], strict=False) if value.isdecimal()}
        version, location = node.get("gfx_target_version", 0), node.get("location_id", 0)
        if version:
            slot = f"{node.get('domain', 0):04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
            found[slot] = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
    return found


def _held(section: Section) -> dict[str, int] | None:
    """MiB that Ollama's processes hold by slot; None where the kernel does not show it to this user.

    The lines are grep's: "/proc/PID/fdinfo/FD:drm-KEY: VALUE". A client that is open twice is counted once.
    """
    if any(line.startswith("unreadable") for line in section.lines):
        return None
    files: dict[str, dict[str, str]] = defaultdict(dict)
    for line in section.lines:
        if match := re.match(r"(/proc/\d+/fdinfo/\d+):drm-([a-z-]+):\s*(.*)", line):
            files[match[1]][match[2]] = match[3].strip()
    clients = {
        (file.get("pdev", ""), file.get("client-id", path)): file.get("resident-vram") or file.get("memory-vram", "0")
        for path, file in files.items()
    }
    held: dict[str, float] = defaultdict(float)
    for (slot, _), size in clients.items():
        number, _, unit = size.partition(" ")
        held[slot] += int(number) * _BYTES.get(unit.strip(), 1) / _BYTES_PER_MIB if number.isdecimal() else 0
    return {slot: round(size) for slot, size in held.items()}
