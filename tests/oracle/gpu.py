"""Measures llama.cpp on the GPU of this machine: what it plans there, what it really takes, and how fast it answers.

    python -m tests.oracle.gpu SERVER FOLDER RESULT [planned] [loaded] [TAG…]
    python -m tests.oracle.gpu_ollama OLLAMA FOLDER RESULT

SERVER is a `llama-server` that finds a GPU, FOLDER has room for the largest model, RESULT gets a line of JSON for each
case as soon as it is done. `planned` goes through the cases of `make oracle`; `loaded` starts models for real. The
second command asks a real Ollama that serves with such an engine.
No GPU is needed to read a RESULT: tests/data/h100.jsonl is one; tests/test_oracle_gpu.py judges the estimator by it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import httpx

from inhouse.catalogue import gguf
from inhouse.planner import memory
from inhouse.planner.memory import Use
from tests.oracle import cases, engine, filled, judge, layouts
from tests.oracle.judge import Row

JOBS = max(2, (os.cpu_count() or 2) - 2)
TOKENS = 64
"""Generated for each speed."""
ROUNDS = 3
"""The first makes the server's graphs, and does not count."""
UNTIL_READY_S, ANSWER_S = 180, 300
PORT: Final = 18099
URL: Final = f"http://127.0.0.1:{PORT}"
SERVED: Final = (
    *("--port", str(PORT), "--host", "127.0.0.1", "--offline", "--no-webui", "-fit", "off"),
    *("--load-mode", "none", "--log-verbosity", "4"),  # without mmap a model is loaded faster
)


@dataclass(frozen=True)
class Load:
    """A model that is started for real."""

    tag: str
    use: Use
    prompts: Sequence[int] = (512, 4096, 16384)
    """Tokens."""
    on_gpu: Sequence[str] = ("-ngl", "999")
    """What of it lies there; llama.cpp's own options."""


LOADS: Final = (
    Load("llama3.2:3b", Use(32768)),
    Load("llama3.1:8b", Use(32768)),
    Load("llama3.1:8b", Use(32768, 4, "q8_0")),
    Load("qwen3:8b", Use(32768, 1, "q8_0")),
    Load("gemma3:27b", Use(32768)),
    Load("qwen3:32b", Use(32768)),
    Load("gpt-oss:20b", Use(32768)),
    Load("qwen3:30b", Use(32768)),
    Load("qwen3.5:35b", Use(32768)),
    Load("qwen3.5:35b", Use(32768, draft_tokens=0)),
    Load("llama3.3:70b", Use(32768)),
    Load("gpt-oss:120b", Use(32768)),
    Load("qwen3:0.6b", Use(32768)),
    Load("llama3.1:8b", Use(8192), (512,), ("-ngl", "16")),
    Load("qwen3:30b", Use(8192), (512,), ("-ngl", "24")),
    Load("qwen3:30b", Use(8192), (512,), ("-ngl", "999", "--n-cpu-moe", "24")),
    Load("llama3.2:3b", Use(4096), (512,), ("-ngl", "0", "--device", "none")),
    Load("qwen3:8b", Use(4096), (512,), ("-ngl", "0", "--device", "none")),
    Load("qwen3:30b", Use(4096), (512,), ("-ngl", "0", "--device", "none")),
)


def main(server: Path, folder: Path, result: Path, words: Sequence[str]) -> int:
    """Measure what is asked for; 0: all of it."""
    failed = 0
    parts = {"planned", "loaded"} & set(words) or {"planned", "loaded"}
    tags = set(words) - parts
    with result.open("a") as out:
        _say(out, {"host": _host()})
        if "planned" in parts:
            failed += _all_planned(server, folder, out, [tag for tag in cases.judged() if not tags or tag in tags])
        if "loaded" in parts:
            failed += _all_loaded(server, folder, out, [load for load in LOADS if not tags or load.tag in tags])
    return 1 if failed else 0


def _say(out: IO[str], line: dict[str, Any]) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


def _host() -> dict[str, Any]:
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    gpu = nvidia("name,driver_version,memory.total,memory.used,memory.reserved")
    return {"processor": model.partition(": ")[2], "cores": os.cpu_count(), "gpu": gpu}


def nvidia(fields: str) -> str:
    """What nvidia-smi says of the first GPU: values without units, by commas."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _used_mib() -> float:
    return float(nvidia("memory.used"))


def _all_planned(server: Path, folder: Path, out: IO[str], tags: Sequence[str]) -> int:
    """Every case of `make oracle`, planned for the GPU."""
    failed = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for done in as_completed([pool.submit(_planned, server, folder, tag) for tag in tags]):
            for line in done.result():
                failed += "refused" in line
                _say(out, {"planned": line})
    return failed


def _planned(server: Path, folder: Path, tag: str) -> list[dict[str, Any]]:
    model = cases.judged()[tag]
    file = folder / f"planned-{tag.replace(':', '_')}.gguf"
    layouts.write(file, model)
    try:
        header = gguf.read(file)
        row = Row(tag, model, header.file_mib, header.purposes)
        found = []
        for use in judge.uses(model, not model.architecture.kv):
            batch = memory.first_batch(row, use.context_length, use.parallel)
            case = {"tag": tag, "context": use.context_length, "cache": use.kv_cache_type, "slots": use.parallel}
            graphs = 2 if model.architecture.draft_blocks else 1
            try:
                sizes = engine.measure(server, file, judge.arguments(row, use, batch), graphs=graphs)
                found.append(case | {"file_mib": row.file_mib} | _of(sizes))
            except engine.EngineRefuses as error:
                found.append(case | {"refused": str(error)[-600:]})
        return found
    finally:
        file.unlink()


def _of(sizes: engine.Sizes) -> dict[str, Any]:
    devices = {f"{kind} {device}": round(mib, 2) for (kind, device), mib in sizes.devices.items()}
    return {"build": sizes.build, "model": sizes.model, "kv": sizes.kv_cache, "recurrent": sizes.recurrent} | devices


def _all_loaded(server: Path, folder: Path, out: IO[str], loads: Sequence[Load]) -> int:
    failed, last = 0, ""
    file = folder / "none"
    order = list(dict.fromkeys(load.tag for load in loads))
    for load in sorted(loads, key=lambda load: order.index(load.tag)):
        model = cases.models()[load.tag]
        if load.tag != last:
            file.unlink(missing_ok=True)
            file, last = folder / f"loaded-{load.tag.replace(':', '_')}.gguf", load.tag
            started = time.monotonic()
            filled.write(file, model)
            sys.stdout.write(f"{load.tag}: written in {time.monotonic() - started:.1f} s\n")
        line = {"tag": load.tag, **load.use._asdict(), "options": list(load.on_gpu)}
        try:
            line |= _loaded(server, file, load)
        except Exception as error:  # the next model is worth as much
            failed += 1
            line |= {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        _say(out, {"loaded": line})
    file.unlink(missing_ok=True)
    return failed


def _loaded(server: Path, file: Path, load: Load) -> dict[str, Any]:
    header = gguf.read(file)
    row = Row(load.tag, cases.models()[load.tag], header.file_mib, header.purposes)
    batch = memory.first_batch(row, load.use.context_length, load.use.parallel)
    before, started = _used_mib(), time.monotonic()
    log = file.with_suffix(".log")
    log.unlink(missing_ok=True)
    command: list[str | Path] = [server, "-m", file, *judge.arguments(row, load.use, batch), *load.on_gpu, *SERVED]
    with serving(command, log, URL, "/health") as client:
        load_s, loaded = time.monotonic() - started, _used_mib()
        speeds = [_speed(client, prompt) for prompt in load.prompts]
        used = _used_mib()
    sizes = engine.Sizes()
    for text in log.read_text(errors="replace").splitlines():
        engine.read(text, sizes, dry=False)
    return {
        "file_mib": header.file_mib,
        "batch": batch,
        "before": before,
        "loaded_used": loaded - before,
        "working_used": used - before,
        "load_s": round(load_s, 2),
        "speeds": speeds,
        **_of(sizes),
    }


@contextmanager
def serving(
    command: Sequence[str | Path], log: Path, url: str, ready: str, environment: Mapping[str, str] | None = None
) -> Iterator[httpx.Client]:
    """Run a server for as long as the block lasts; yields a client of it once it answers.

    Args:
        command: that starts it.
        log: gets what it says.
        url: where it listens.
        ready: path that it answers with 200 when it is ready.
        environment: of the server.

    Raises:
        EngineRefuses: it ended, or was not ready in time.
    """
    with log.open("a") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as server:
        try:
            with httpx.Client(base_url=url, timeout=ANSWER_S) as client:
                _until_ready(client, ready, server, log)
                yield client
        finally:
            server.terminate()


def _until_ready(client: httpx.Client, path: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + UNTIL_READY_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if client.get(path).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)  # a model of 40 GiB takes seconds
    raise engine.EngineRefuses("".join(log.read_text(errors="replace").splitlines(keepends=True)[-12:]))


def _speed(client: httpx.Client, prompt: int) -> dict[str, Any]:
    """Tokens/s of the engine's own clock: of a prompt, and of what is generated after it."""
    rounds = [_answer(client, prompt, seed) for seed in range(ROUNDS)][1:]
    reading, generating = zip(*rounds, strict=True)
    return {"prompt": prompt, "prompt_per_second": reading, "tokens_per_second": generating}


def _answer(client: httpx.Client, prompt: int, seed: int) -> tuple[float, float]:
    asked = {
        "prompt": [1000 + (7919 * (i + seed)) % 20000 for i in range(prompt)],
        "n_predict": TOKENS,
        "ignore_eos": True,
        "cache_prompt": False,
        "temperature": 0.8,
        "seed": seed,
    }
    timings = client.post("/completion", json=asked).raise_for_status().json()["timings"]
    assert timings["prompt_n"] == prompt, timings
    assert timings["predicted_n"] == TOKENS, timings
    return round(timings["prompt_per_second"], 1), round(timings["predicted_per_second"], 2)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
