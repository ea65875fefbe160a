"""Reads the probe's sections on the system and the hardware under it: OS, virtualization, CPU, memory, disk, PCI."""

import re
import shlex
from collections.abc import Sequence

from inhouse.errors import FactsError
from inhouse.facts.model import Cpu, Disk, DisplayDevice, OperatingSystem, Virtualization
from inhouse.facts.sections import Section, Sections

_KIB_PER_MIB = 1024

_CONTAINERS = frozenset(
    {"docker", "podman", "lxc", "lxc-libvirt", "systemd-nspawn", "openvz", "rkt", "pouch", "proot", "container-other"}
)
"""What systemd-detect-virt calls a container, "wsl" aside; every other name is a virtual machine."""

_MARKERS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}

_DMI_NAMES = (
    ("kvm", "kvm"),
    ("qemu", "qemu"),
    ("vmware", "vmware"),
    ("virtualbox", "oracle"),
    ("microsoft corporation / virtual machine", "microsoft"),
    ("google compute engine", "google"),
    ("xen", "xen"),
    ("bochs", "bochs"),
    ("parallels", "parallels"),
)
"""Words in the DMI vendor and product, and what systemd-detect-virt calls such a machine."""


def read_os(host: str, sections: Sections) -> OperatingSystem:
    """Return the system of /etc/os-release and uname.

    Raises:
        FactsError: not Linux, or a Linux without /etc/os-release.
    """
    uname = sections["system"].lines
    if len(uname) < 3 or uname[0] != "Linux":
        system = uname[0] if uname else "an unknown system"
        raise FactsError(host, f"runs {system}; inhouse needs Linux with systemd. Take the host out of the inventory.")
    release = dict(_assignments(sections["os-release"]))
    if "ID" not in release:
        raise FactsError(
            host,
            "/etc/os-release is missing or has no ID, so the distribution is not known. "
            "Supported distributions have it: reinstall the package that owns it (Debian: base-files).",
        )
    return OperatingSystem(
        id=release["ID"],
        version_id=release.get("VERSION_ID", ""),
        name=release.get("PRETTY_NAME") or release.get("NAME") or release["ID"],
        kernel=uname[1],
        architecture=uname[2],
    )


def _assignments(section: Section) -> Sequence[tuple[str, str]]:
    """KEY=VALUE lines in shell's quoting, as os-release has them."""
    pairs = []
    for line in section.lines:
        key, separator, value = line.strip().partition("=")
        if separator and not key.startswith("#"):
            try:
                pairs.append((key, " ".join(shlex.split(value))))
            except ValueError:  # a quote that is never closed
                pairs.append((key, value))
    return pairs


def read_virtualization(sections: Sections) -> tuple[Virtualization, str]:
    """Return what the system runs in, and its name as systemd-detect-virt would say it."""
    name = _virtualization_name(sections)
    if name == "none":
        return Virtualization.NONE, name
    if name == "wsl":
        return Virtualization.WSL, name
    return (Virtualization.CONTAINER if name in _CONTAINERS else Virtualization.VM), name


def _virtualization_name(sections: Sections) -> str:
    section = sections["virtualization"]
    detected = section.value("systemd-detect-virt")
    if detected:
        return detected
    marker = section.value("marker")
    if marker in _MARKERS:
        return _MARKERS[marker]
    if container := section.value("container"):
        return container if container in _CONTAINERS else "container-other"
    if "microsoft" in (section.value("kernel") or "").lower():
        return "wsl"
    dmi = (section.value("dmi") or "").lower()
    for word, name in _DMI_NAMES:
        if word in dmi:
            return name
    # Every hypervisor sets this CPU flag for its guests; bare metal never has it.
    return "vm-other" if "hypervisor" in _cpu_flags(sections["cpu"]) else "none"


def read_cpu(host: str, sections: Sections) -> Cpu:
    """Return the processor of /proc/cpuinfo.

    Raises:
        FactsError: /proc/cpuinfo lists no processor.
    """
    section = sections["cpu"]
    threads = sum(1 for line in section.lines if re.match(r"processor\s*:", line))
    if threads == 0:
        raise FactsError(host, "/proc/cpuinfo lists no processor: /proc is not mounted or not Linux's. Mount /proc.")
    model = section.value("model name") or section.value("Model name") or section.value("Model") or "unknown processor"
    return Cpu(model=model, cores=_cores(section) or threads, threads=threads, flags=_cpu_flags(section))


def _cores(section: Section) -> int:
    """Distinct pairs of socket and core; 0 where the kernel names none (ARM, some guests)."""
    socket, pairs = "", set()
    for line in section.lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "physical id":
            socket = value
        elif key == "core id":
            pairs.add((socket, value))
    return len(pairs)


def _cpu_flags(section: Section) -> frozenset[str]:
    return frozenset((section.value("flags") or section.value("Features") or "").split())


def read_memory(host: str, sections: Sections) -> tuple[int, int]:
    """Return total and available RAM in MiB, from /proc/meminfo.

    Raises:
        FactsError: /proc/meminfo has no MemTotal.
    """
    section = sections["memory"]
    total = _kib(section, "MemTotal")
    if total is None:
        raise FactsError(host, "/proc/meminfo has no MemTotal: /proc is not mounted or not Linux's. Mount /proc.")
    available = _kib(section, "MemAvailable")
    if available is None:  # kernels before 3.14
        available = sum(_kib(section, key) or 0 for key in ("MemFree", "Buffers", "Cached"))
    return total // _KIB_PER_MIB, available // _KIB_PER_MIB


def _kib(section: Section, key: str) -> int | None:
    match = re.match(r"(\d+) kB", section.value(key) or "")
    return int(match[1]) if match else None


def read_disk(host: str, sections: Sections) -> Disk:
    """Return the file system that models go to, from `df -Pk`: free is what others than root may use.

    Raises:
        FactsError: `df` printed no line for it.
    """
    for line in sections["models-disk"].lines:
        # The device's name may hold spaces (an overlay, a share); so may the mount point. The numbers may not.
        match = re.match(r".+?\s+(\d+)\s+-?\d+\s+(-?\d+)\s+(?:\d+%|-)\s+(/.*)$", line)
        if match:
            total, free = int(match[1]), max(0, int(match[2]))
            return Disk(path=match[3], total_mib=total // _KIB_PER_MIB, free_mib=free // _KIB_PER_MIB)
    raise FactsError(
        host,
        "`df -Pk` gave no numbers within 10 s for the folder where models go. A network share that is gone does that: "
        "mount it again, or set ollama_models_dir to a folder of a local disk.",
    )


def read_display_devices(sections: Sections) -> tuple[DisplayDevice, ...]:
    """Return the PCI devices of display and accelerator classes, in the order of their slots."""
    devices = []
    for line in sections["display-devices"].lines:
        match = re.match(r"(\S+) 0x([0-9a-fA-F]{4}) 0x([0-9a-fA-F]{4}) 0x([0-9a-fA-F]{6}) ?(\S*)$", line)
        if match:
            slot, vendor, device, class_id, driver = match.groups()
            devices.append(DisplayDevice(slot, vendor.lower(), device.lower(), class_id.lower(), driver or None))
    return tuple(sorted(devices, key=lambda device: device.slot))
