"""Asks the real llama-server what a model takes."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BUFFER = re.compile(r"(\S+) (model|KV|RS|output|compute) buffer size = +([\d.]+) MiB")
TOTAL = re.compile(r"llama_(kv_cache|memory_recurrent).*: size = +([\d.]+) MiB")
BREAKDOWN = re.compile(r"- (.+?) +\| +(?:\d+ = \d+ \+ \()? *(\d+) = +(\d+) \+ +(\d+) \+ +(\d+)\)?")
BUILD = re.compile(r"build (\d+)")


class EngineRefuses(AssertionError):
    """The engine did not load a file."""


@dataclass
class Sizes:
    """What the engine printed, in MiB."""

    model: float = 0.0
    kv_cache: float = 0.0
    recurrent: float = 0.0
    compute: float = 0.0
    devices: dict[tuple[str, str], float] = field(default_factory=dict)
    """Each buffer by its kind and device: ("compute", "Vulkan0"); and all that is planned there: ("planned", …)."""
    build: int = 0

    @property
    def total(self) -> float:
        """Everything together."""
        return self.model + self.kv_cache + self.recurrent + self.compute


def measure(
    server: Path,
    file: Path,
    arguments: Sequence[str],
    dry: bool = True,
    graphs: int = 1,
    environment: dict[str, str] | None = None,
) -> Sizes:
    """Start the server, read its sizes, and end it.

    Args:
        server: `llama-server`.
        file: the model.
        arguments: as Ollama gives them.
        dry: only plan. llama.cpp builds model, caches and graph without allocating anything before it loads for real,
            to see what fits ("fit"); sizes are the same, and a 70B with 128k tokens needs no memory.
        graphs: graphs that are planned: a second one where tokens are guessed ahead.
        environment: of the server.
    """
    command = [str(server), "-m", str(file), "--port", "0", "--host", "127.0.0.1", "--offline", "--no-webui"]
    command += ["-fit", "on" if dry else "off", "--no-repack", "--no-warmup", "-v", *arguments]
    sizes = Sizes()
    tail: list[str] = []
    wanted = graphs
    with _lines(command, environment) as lines:
        for line in lines:
            tail = [*tail[-15:], line]
            if read(line, sizes, dry, weights=graphs == wanted):
                wanted -= 1
                if not wanted:
                    return sizes
    raise EngineRefuses(f"{file.name}: llama-server ended:\n{''.join(tail)}")


def read(line: str, sizes: Sizes, dry: bool, weights: bool = True) -> bool:
    """Take what a line says; True: it was the last of one graph. Graphs share their weights: those count once."""
    if found := BUFFER.search(line):
        device, kind, mib = found[1], found[2], float(found[3])
        sizes.devices[kind, device] = sizes.devices.get((kind, device), 0.0) + mib
        if kind in ("compute", "output"):
            sizes.compute += mib
        if kind == "model" and not dry:
            sizes.model += mib
    elif found := TOTAL.search(line):
        if found[1] == "kv_cache":
            sizes.kv_cache += float(found[2])
        else:
            sizes.recurrent += float(found[2])
    elif "build" in line and (found := BUILD.search(line)):
        sizes.build = int(found[1])
    elif dry and "common_memory_breakdown_print" in line and (found := BREAKDOWN.search(line)):
        sizes.devices["planned", found[1].split()[0]] = float(found[2])
        sizes.model += float(found[3]) if weights else 0.0
        return "Host" in found[1]
    return not dry and "graph: nodes" in line


@contextmanager
def _lines(command: Sequence[str], environment: dict[str, str] | None) -> Iterator[Iterator[str]]:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as server:
        assert server.stdout is not None
        try:
            yield iter(server.stdout)
        finally:
            server.kill()
