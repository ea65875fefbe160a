#!/usr/bin/python3
"""Stand-in for NVIDIA's nvidia-smi on lab hosts: answers from the profile's recorded values, and fails as the real one.

Reads /etc/inhouse-lab/nvidia.json. Where that does not state a driver's version, the driver comes from packages: then
what counts is which module is loaded and which library is installed.
Errors go to standard output and set the status, as the real program does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

ANSWERS = Path("/etc/inhouse-lab/nvidia.json")
MODULE = Path("/sys/module/nvidia/version")
LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
CUDA_OF_BRANCH = {"570": "12.8", "580": "13.0", "590": "13.1", "595": "13.2", "610": "13.3", "615": "13.4"}
"""The highest CUDA that a branch offers (release notes of the CUDA toolkit)."""
BAD_ARGUMENT, NOTHING_FOUND, NOT_LOADED, MISMATCH = 2, 6, 9, 18
MISMATCH_TEXT_SINCE = 535
"""From this branch on the text of a mismatch names the library's version in a second line."""
UNITS = {
    "memory.total": "MiB",
    "memory.reserved": "MiB",
    "memory.used": "MiB",
    "memory.free": "MiB",
    "utilization.gpu": "%",
    "utilization.memory": "%",
    "power.draw": "W",
    "power.limit": "W",
    "fan.speed": "%",
}
ALIASES = {"gpu_name": "name", "gpu_uuid": "uuid", "gpu_bus_id": "pci.bus_id"}


def state() -> dict[str, Any]:
    """What the lab has laid down, completed by what is installed and loaded."""
    stated: dict[str, Any] = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {"gpus": []}
    if stated.get("library"):
        return stated
    library = os.path.realpath(LIBRARY).rpartition(".so.")[2]
    module = MODULE.read_text().strip() if MODULE.exists() else None
    for gpu in stated["gpus"]:
        gpu["fields"]["driver_version"] = module
    cuda = CUDA_OF_BRANCH.get(library.split(".")[0], "N/A")
    return {**stated, "library": library, "module": module, "cuda": cuda}


def fail(text: str, status: int) -> NoReturn:
    """Ends as the real program does: the text on standard output, the status set."""
    print(text)  # noqa: T201
    sys.exit(status)


def require_driver(driver: dict[str, Any]) -> None:
    """Ends with the real texts where module and library cannot talk."""
    library = str(driver["library"])
    if driver["module"] is None:
        fail(
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
            "NVIDIA driver is installed and running.\n",
            NOT_LOADED,
        )
    if driver["module"] != library:
        text = "Failed to initialize NVML: Driver/library version mismatch"
        if int(library.split(".")[0]) >= MISMATCH_TEXT_SINCE:
            text += f"\nNVML library version: {'.'.join(library.split('.')[:2])}"
        fail(text, MISMATCH)
    if not driver["gpus"]:
        fail("No devices were found", NOTHING_FOUND)


def cell(fields: dict[str, str], name: str, units: bool) -> str:
    """One value, with or without its unit."""
    value = fields[ALIASES.get(name, name)]
    unit = UNITS.get(name)
    return value if units or unit is None else value.removesuffix(f" {unit}")


def query(gpus: list[dict[str, str]], wanted: str, layout: str) -> str:
    """The table of --query-gpu."""
    names, options = wanted.split(","), [option.strip() for option in layout.split(",")]
    names = [name.strip() for name in names]
    for name in names:
        if ALIASES.get(name, name) not in gpus[0]:
            fail(f'Field "{name}" is not a valid field to query.\n', BAD_ARGUMENT)
    units = "nounits" not in options
    rows = [", ".join(cell(gpu, name, units) for name in names) for gpu in gpus]
    if "noheader" not in options:
        rows.insert(0, ", ".join(f"{name} [{UNITS[name]}]" if name in UNITS else name for name in names))
    return "\n".join(rows)


def selected(gpus: list[dict[str, Any]], wanted: str | None) -> list[dict[str, Any]]:
    """The GPU that `--id` names by index, UUID or bus id; all without it."""
    if wanted is None:
        return gpus
    found = [gpu for gpu in gpus if wanted in (gpu["fields"][key] for key in ("index", "uuid", "pci.bus_id"))]
    return found or fail("No devices were found", NOTHING_FOUND)


def listing(gpus: list[dict[str, Any]]) -> str:
    """The lines of -L; slices are indented below their GPU."""
    lines = []
    for gpu in gpus:
        fields = gpu["fields"]
        lines.append(f"GPU {fields['index']}: {fields['name']} (UUID: {fields['uuid']})")
        lines += [
            f"  MIG {one['profile']:<11} Device {number:>2}: (UUID: {one['uuid']})"
            for number, one in enumerate(gpu.get("slices", ()))
        ]
    return "\n".join(lines)


def xml(driver: dict[str, Any], gpus: list[dict[str, Any]]) -> str:
    """Of -q -x: each GPU's name, memory and slices."""
    lines = [
        '<?xml version="1.0" ?>',
        '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">',
        "<nvidia_smi_log>",
        f"\t<driver_version>{driver['module']}</driver_version>",
        f"\t<cuda_version>{driver['cuda']}</cuda_version>",
        f"\t<attached_gpus>{len(gpus)}</attached_gpus>",
    ]
    for gpu in gpus:
        fields = gpu["fields"]
        lines += [
            f'\t<gpu id="{fields["pci.bus_id"]}">',
            f"\t\t<product_name>{fields['name']}</product_name>",
            "\t\t<mig_devices>",
            *([slice_xml(number, one) for number, one in enumerate(gpu.get("slices", ()))] or ["\t\t\tNone"]),
            "\t\t</mig_devices>",
            f"\t\t<uuid>{fields['uuid']}</uuid>",
            *memory_xml(2, *(fields[f"memory.{kind}"] for kind in ("total", "reserved", "used", "free"))),
            "\t</gpu>",
        ]
    return "\n".join([*lines, "</nvidia_smi_log>"])


def slice_xml(number: int, one: dict[str, Any]) -> str:
    """One <mig_device>; the real program names neither its UUID nor its profile here."""
    total, used = int(one["total_mib"]), int(one["used_mib"])
    lines = [
        "\t\t\t<mig_device>",
        f"\t\t\t\t<index>{number}</index>",
        f"\t\t\t\t<gpu_instance_id>{one['instance']}</gpu_instance_id>",
        "\t\t\t\t<compute_instance_id>0</compute_instance_id>",
        *memory_xml(4, f"{total} MiB", "0 MiB", f"{used} MiB", f"{total - used} MiB"),
        "\t\t\t</mig_device>",
    ]
    return "\n".join(lines)


def memory_xml(depth: int, total: str, reserved: str, used: str, free: str) -> list[str]:
    """The lines of <fb_memory_usage>."""
    indent = "\t" * depth
    values = {"total": total, "reserved": reserved, "used": used, "free": free}
    rows = [f"{indent}\t<{name}>{value}</{name}>" for name, value in values.items()]
    return [f"{indent}<fb_memory_usage>", *rows, f"{indent}</fb_memory_usage>"]


def processes(driver: dict[str, Any], wanted: str, layout: str) -> str:
    """The table of --query-compute-apps."""
    names, options = [name.strip() for name in wanted.split(",")], layout.replace(" ", "").split(",")
    units = "nounits" not in options
    rows = []
    for one in driver.get("processes", ()):
        memory = f"{one['memory_mib']} MiB" if units else str(one["memory_mib"])
        values = {
            "pid": str(one["pid"]),
            "gpu_uuid": one["uuid"],
            "used_memory": memory,
            "used_gpu_memory": memory,
            "process_name": one["name"],
            "name": one["name"],
        }
        if unknown := [name for name in names if name not in values]:
            fail(f'Field "{unknown[0]}" is not a valid field to query.\n', BAD_ARGUMENT)
        rows.append(", ".join(values[name] for name in names))
    if "noheader" not in options:
        rows.insert(0, ", ".join(f"{name} [MiB]" if name.endswith("memory") else name for name in names))
    return "\n".join(rows)


def table(driver: dict[str, Any], gpus: list[dict[str, str]]) -> str:
    """What the plain call draws."""
    library = driver["library"]
    header = f"NVIDIA-SMI {library:<22} Driver Version: {driver['module']:<14} CUDA Version: {driver['cuda']}"
    lines = [
        "+" + "-" * 89 + "+",
        f"| {header:<87} |",
        "+" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "+",
        "| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |",
        "| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |",
        "|" + "=" * 41 + "+" + "=" * 24 + "+" + "=" * 22 + "|",
    ]
    for gpu in gpus:
        persistence = "On" if gpu["persistence_mode"] == "Enabled" else "Off"
        name = gpu["name"] if len(gpu["name"]) <= 24 else f"{gpu['name'][:21]}..."
        used, total = (gpu[field].replace(" ", "") for field in ("memory.used", "memory.total"))
        memory = f"{' Not Supported':<24}" if total.startswith("[") else f"{used:>11} /{total:>10} "
        draw, limit = (watts(gpu[field]) for field in ("power.draw", "power.limit"))
        fan = "N/A" if gpu["fan.speed"].startswith("[") else gpu["fan.speed"].replace(" ", "")
        lines += [
            f"| {gpu['index']:>3}  {name:<27}{persistence:>7} |   {gpu['pci.bus_id']} Off |{'N/A':>21} |",
            f"| {fan:<4}{gpu['temperature.gpu']:>4}C    {gpu['pstate']:<12}{draw:>6} / {limit:>5} "
            f"|{memory}|{gpu['utilization.gpu'].strip('[]').replace(' ', ''):>8}{'Default':>13} |",
            "+" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "+",
        ]
    return "\n".join(lines)


def watts(text: str) -> str:
    """Power as the plain table has it."""
    return "N/A" if text.startswith("[") else f"{float(text.split()[0]):.0f}W"


def options_of(arguments: list[str]) -> dict[str, str]:
    """Options by name; `-x VALUE` and `--name=VALUE` are the same."""
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name == "-i":
            found["--id"] = next(rest, "")
        elif equals or name in ("-L", "--list-gpus", "--version", "--help-query-gpu", "-q", "-x"):
            found[name] = value
        else:
            fail(
                f"Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n{name}", BAD_ARGUMENT
            )
    return found


def main() -> None:
    """Answers one call."""
    options = options_of(sys.argv[1:])
    driver = state()
    require_driver(driver)
    described = selected(driver["gpus"], options.get("--id"))
    gpus = [gpu["fields"] for gpu in described]
    if "--help-query-gpu" in options:
        answer = "\n\n".join(f'"{name}"' for name in gpus[0])
    elif "-L" in options or "--list-gpus" in options:
        answer = listing(described)
    elif "-q" in options and "-x" in options:
        answer = xml(driver, described)
    elif "--version" in options:
        answer = (
            f"NVIDIA-SMI version  : {driver['library']}\nNVML version        : {driver['library'].rpartition('.')[0]}\n"
            f"DRIVER version      : {driver['module']}\nCUDA Version        : {driver['cuda']}"
        )
    elif "--query-gpu" in options:
        answer = query(gpus, options["--query-gpu"], options.get("--format", "csv"))
    elif "--query-compute-apps" in options:
        answer = processes(driver, options["--query-compute-apps"], options.get("--format", "csv"))
    else:
        answer = table(driver, gpus)
    print(answer)  # noqa: T201


if __name__ == "__main__":
    main()
