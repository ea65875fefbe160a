#!/usr/bin/python3
"""Stand-in for NVIDIA's nvidia-smi on lab hosts: answers from the profile's recorded values, and fails as the real one.

Reads /etc/inhouse-lab/nvidia.json. Errors go to standard output and set the status, as the real program does.
"""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

ANSWERS = Path("/etc/inhouse-lab/nvidia.json")
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


def selected(gpus: list[dict[str, str]], wanted: str | None) -> list[dict[str, str]]:
    """The GPU that `--id` names by index, UUID or bus id; all without it."""
    if wanted is None:
        return gpus
    found = [gpu for gpu in gpus if wanted in (gpu["index"], gpu["uuid"], gpu["pci.bus_id"])]
    return found or fail("No devices were found", NOTHING_FOUND)


def listing(gpus: list[dict[str, str]]) -> str:
    """The lines of -L."""
    return "\n".join(f"GPU {gpu['index']}: {gpu['name']} (UUID: {gpu['uuid']})" for gpu in gpus)


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
        draw, limit = (f"{float(gpu[field].split()[0]):.0f}W" for field in ("power.draw", "power.limit"))
        fan = "N/A" if gpu["fan.speed"].startswith("[") else gpu["fan.speed"].replace(" ", "")
        lines += [
            f"| {gpu['index']:>3}  {name:<27}{persistence:>7} |   {gpu['pci.bus_id']} Off |{'N/A':>21} |",
            f"| {fan:<4}{gpu['temperature.gpu']:>4}C    {gpu['pstate']:<12}{draw:>6} / {limit:>5} "
            f"|{used:>11} /{total:>10} |{gpu['utilization.gpu'].replace(' ', ''):>8}{'Default':>13} |",
            "+" + "-" * 41 + "+" + "-" * 24 + "+" + "-" * 22 + "+",
        ]
    return "\n".join(lines)


def options_of(arguments: list[str]) -> dict[str, str]:
    """Options by name; `-x VALUE` and `--name=VALUE` are the same."""
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name == "-i":
            found["--id"] = next(rest, "")
        elif equals or name in ("-L", "--list-gpus", "--version", "--help-query-gpu"):
            found[name] = value
        else:
            fail(
                f"Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n{name}", BAD_ARGUMENT
            )
    return found


def main() -> None:
    """Answers one call."""
    options = options_of(sys.argv[1:])
    driver = json.loads(ANSWERS.read_text())
    require_driver(driver)
    gpus = selected([gpu["fields"] for gpu in driver["gpus"]], options.get("--id"))
    if "--help-query-gpu" in options:
        answer = "\n\n".join(f'"{name}"' for name in gpus[0])
    elif "-L" in options or "--list-gpus" in options:
        answer = listing(gpus)
    elif "--version" in options:
        answer = (
            f"NVIDIA-SMI version  : {driver['library']}\nNVML version        : {driver['library'].rpartition('.')[0]}\n"
            f"DRIVER version      : {driver['module']}\nCUDA Version        : {driver['cuda']}"
        )
    elif "--query-gpu" in options:
        answer = query(gpus, options["--query-gpu"], options.get("--format", "csv"))
    elif any(name.startswith("--query-compute-apps") for name in options):
        answer = ""
    else:
        answer = table(driver, gpus)
    print(answer)  # noqa: T201


if __name__ == "__main__":
    main()
