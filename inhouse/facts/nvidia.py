"""Reads the probe's sections on NVIDIA: is there a card, a driver, do the two talk, and what does the driver say.

nvidia-smi prints its errors to standard output, its texts for "no value" vary by driver and by field, and a field
that a driver does not know fails the whole query. The rules here come from recorded outputs of drivers 440 to 610.
"""

import csv
import re
from collections.abc import Sequence

from inhouse.catalogue.chips import NVIDIA
from inhouse.facts import nvidia_use
from inhouse.facts.model import PASSED_THROUGH, DisplayDevice, DriverState, NvidiaDriver, NvidiaGpu
from inhouse.facts.nvidia_values import mib, slot, value
from inhouse.facts.sections import Section, Sections

_VERSION = re.compile(r"\b\d{3,}\.\d+(?:\.\d+)?\b")
"""535.183.01, 595.80, 540.4.0: three digits or more come first, which no compiler's version beside it has."""

_OK = 0
_INFOROM_CORRUPTED = 14
"""nvidia-smi's exit status that is a warning: the values are printed and the GPU may well work."""
_TIMED_OUT = frozenset({124, 143})


def read_nvidia(sections: Sections, devices: Sequence[DisplayDevice]) -> NvidiaDriver:
    """Return the driver's state, and why.

    Args:
        sections: the probe's output.
        devices: all display devices of the host.
    """
    own = [d for d in devices if d.vendor_id == NVIDIA and d.kernel_driver not in PASSED_THROUGH]
    module = _version(sections["nvidia-module"].text)
    smi = sections.get("nvidia-smi")
    gpus = tuple(nvidia_use.complete(gpu, sections) for gpu in _gpus(smi)) if smi else ()
    message = _message(smi) if smi else ""
    library = _library_version(sections, message) or (gpus[0].driver_version if gpus else None)
    if gpus:
        return NvidiaDriver(DriverState.WORKING, module, library, message, gpus)
    if not own:
        return NvidiaDriver(DriverState.NO_DEVICE, module, library, "", ())
    if smi is None and module is None and library is None:
        return NvidiaDriver(DriverState.NO_DRIVER, None, None, "", ())
    return NvidiaDriver(DriverState.CANNOT_TALK, module, library, message or _half_a_driver(module, library), ())


def _half_a_driver(module: str | None, library: str | None) -> str:
    """Say what is missing where there is no nvidia-smi to say it."""
    has = f"kernel module {module} is loaded" if module else "no kernel module is loaded"
    return f"{has}, library {library or 'not found'}, nvidia-smi not found"


def _library_version(sections: Sections, message: str) -> str | None:
    for path in sections["nvidia-libraries"].lines:
        match = re.search(r"\.so\.([\d.]+)$", path.strip())
        if match and _VERSION.fullmatch(match[1]):
            return match[1]
    match = re.search(r"NVML library version: ([\d.]+)", message)
    return match[1] if match else None


def _version(text: str) -> str | None:
    """Return the first version in /sys/module/nvidia/version or /proc/driver/nvidia/version."""
    match = _VERSION.search(text)
    return match[0] if match else None


def _message(smi: Section) -> str:
    """Return what nvidia-smi printed besides rows; all of it when it failed."""
    status = _status(smi)
    if status in _TIMED_OUT:
        return "nvidia-smi did not answer within 20 s"
    rows = _rows(smi)
    said = " ".join(line.strip() for line in smi.lines if _fields(line) not in rows)
    if said or rows or status == _OK:
        return said
    return f"nvidia-smi ended with status {status} and said nothing"


def _gpus(smi: Section) -> tuple[NvidiaGpu, ...]:
    if _status(smi) not in {_OK, _INFOROM_CORRUPTED}:
        return ()
    names = smi.attributes.get("fields", "").split(",")
    return tuple(_gpu(dict(zip(names, row, strict=True))) for row in _rows(smi))


def _status(smi: Section) -> int:
    status = smi.attributes.get("status", "")
    return int(status) if status.isdecimal() else -1


def _rows(smi: Section) -> list[list[str]]:
    """Lines that are rows of the query: as many values as fields, the first of them a GPU's index."""
    count = len(smi.attributes.get("fields", "").split(","))
    rows = [_fields(line) for line in smi.lines]
    return [row for row in rows if len(row) == count and row[0].isdecimal()]


def _fields(line: str) -> list[str]:
    return [value.strip() for value in next(csv.reader([line], skipinitialspace=True), [])]


def _gpu(row: dict[str, str]) -> NvidiaGpu:
    return NvidiaGpu(
        index=int(row["index"]),
        name=row["name"],
        uuid=value(row["uuid"]) or "",
        pci_slot=slot(value(row["pci.bus_id"]) or ""),
        memory_total_mib=mib(row["memory.total"]),
        memory_free_mib=mib(row["memory.free"]),
        compute_capability=value(row.get("compute_cap", "")),
        driver_version=value(row["driver_version"]) or "",
        mig=row.get("mig.mode.current") == "Enabled",
        memory_used_mib=mib(row.get("memory.used", "")),
    )
