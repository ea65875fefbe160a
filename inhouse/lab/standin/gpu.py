"""Which GPUs there are: a Vulkan device that the engine finds, or one that the lab only pretends."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
DRIVER_FLOOR = 550
DRIVER_FLOOR_BEFORE_VOLTA = 570
"""Drivers older than this are passed over, the second for compute capabilities below 7."""
PROFILE = Path("/etc/inhouse-lab/profile")
"""Name of the lab host's hardware profile."""
_DEVICE = re.compile(r"^\s*(Vulkan\d+): (.*) \((\d+) MiB, (\d+) MiB free\)", re.MULTILINE)
_QUERY = ("nvidia-smi", "--query-gpu=driver_version,compute_cap,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Gpu:
    """A device models can be loaded to."""

    name: str
    total: int
    """Bytes."""
    pretended: bool


def find(engine: Path, environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs a new model would be loaded to.

    Args:
        engine: the `llama-server` to ask.
        environment: what it is started with.
    """
    real = _vulkan(engine, environment)
    return real if real or _has_a_real_device() else _pretended()


def _has_a_real_device() -> bool:
    """Whether this host's GPU is one the engine can use: then, once it is taken away, nothing is left to pretend."""
    return PROFILE.is_file() and PROFILE.read_text().startswith("software-gpu")


def _vulkan(engine: Path, environment: Mapping[str, str]) -> list[Gpu]:
    if "GGML_BACKEND_PATH" not in environment or not engine.exists():
        return []
    asked = subprocess.run([engine, "--list-devices"], capture_output=True, text=True, env=environment, check=False)
    return [Gpu(name, int(total) * MIB, pretended=False) for name, _, total, _ in _DEVICE.findall(asked.stdout)]


def _pretended() -> list[Gpu]:
    """GPUs that `nvidia-smi` reports. The lab's archive has no CUDA code: what they would hold, the processor does."""
    try:
        asked = subprocess.run(_QUERY, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if asked.returncode != 0:
        return []
    found = []
    for line in asked.stdout.splitlines():
        driver, capability, memory = (field.strip() for field in line.split(","))
        floor = DRIVER_FLOOR_BEFORE_VOLTA if _number(capability) < 7 else DRIVER_FLOOR
        if _number(driver.split(".")[0]) >= floor:
            found.append(Gpu("pretended", int(_number(memory)) * MIB, pretended=True))
    return found


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0


def default_context(gpus: list[Gpu]) -> int:
    """Context in tokens where nobody set one: by the sum of the GPUs' memory."""
    gib = sum(gpu.total for gpu in gpus) / 2**30
    return 262144 if gib >= 47 else 32768 if gib >= 23 else 4096


def engine_environment(libraries: Path, vulkan: bool) -> dict[str, str]:
    """Environment of a `llama-server`: the server's own, its libraries, and the GPU backend where one may be used."""
    environment = dict(os.environ)
    backends = sorted((libraries / "vulkan").glob("libggml-*.so*")) if vulkan else []
    paths = [str(libraries), *(str(backend.parent) for backend in backends[:1])]
    environment["LD_LIBRARY_PATH"] = ":".join([*paths, *filter(None, [environment.get("LD_LIBRARY_PATH")])])
    if backends:
        environment["GGML_BACKEND_PATH"] = str(backends[0])
    return environment
