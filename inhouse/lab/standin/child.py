"""One `llama-server` for one loaded model: started, watched, asked, ended."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import golang, log
from .memory import Memory
from .options import Options

ERROR_MARKS = (
    "panic:", "fatal error:", "error:", "Error:", "CUDA error", "cudaMalloc failed", "error loading model",
    "GGML_ASSERT", "llama_init_from_model:",
)  # fmt: skip
"""What the real server takes for an error in the engine's output."""
REPEATS = 30
"""After more than so many equal tokens in a row the answer is broken off, without a last line."""
BUILD_HINT = "Run 'cmake -S llama/server --preset cpu && cmake --build --preset cpu' first"


class EngineRefused(golang.GoError):
    """The engine answered with an error.

    Args:
        status: of its answer.
        body: of its answer, as it is.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body

    def message(self) -> str:
        """The text inside the body."""
        with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
            return str(json.loads(self.body)["error"]["message"])
        return self.body


@dataclass(frozen=True)
class Launch:
    """How a model is loaded."""

    model: Path
    options: Options
    parallel: int
    embedding: bool
    cache_type: str
    flash_attention: bool | None
    context_shift: bool
    on_gpu: bool

    def arguments(self, port: int) -> list[str]:
        """Command line after the program's name, as the real server builds it."""
        options = self.options
        found = ["--model", str(self.model), "--port", str(port), "--host", "127.0.0.1", "--no-webui", "--offline"]
        found += ["-c", str(options.num_ctx * self.parallel), "-np", str(self.parallel)]
        found += ["--log-verbosity", "4", "--no-log-prefix", "--no-log-timestamps", "--no-jinja"]
        found += ["--chat-template", "chatml"]
        if options.use_mmap is False or (options.use_mmap is None and not self.on_gpu):
            found += ["--load-mode", "none"]
        if self.cache_type:
            found += ["--cache-type-k", self.cache_type, "--cache-type-v", self.cache_type]
        found += ["--flash-attn", {None: "auto", True: "on", False: "off"}[self.flash_attention]]
        found += ["--embedding"] if self.embedding else []
        found += ["-b", str(options.num_batch), "-ub", str(options.num_batch)]
        found += ["-ngl", str(options.num_gpu)] if options.num_gpu >= 0 else []
        found += ["-t", str(options.num_thread)] if options.num_thread > 0 else []
        if options.main_gpu is not None:
            found += ["--split-mode", "none", "--main-gpu", str(options.main_gpu)]
        if self.context_shift:
            found += ["--context-shift", *(["--keep", str(options.num_keep)] if options.num_keep > 0 else [])]
        return found


def find_engine(libraries: Path, program: Path) -> Path:
    """The `llama-server` beside this program.

    Raises:
        GoError: there is none; the text lists where it was looked for.
    """
    name = "llama-server"
    folders = [libraries]
    for base in (program.parent, Path("/")):
        folders += [base / build / "lib/ollama" for build in ("build", "dist/linux-amd64", "dist/linux_amd64")]
    candidates = [folder / name for folder in folders]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    checked = ", ".join(str(candidate) for candidate in candidates)
    raise golang.GoError(f"error starting llama-server: {name} binary not found (checked: {checked}). {BUILD_HINT} ")


class Child:
    """A running `llama-server`."""

    def __init__(self, engine: Path, launch: Launch, environment: Mapping[str, str]) -> None:
        self.launch = launch
        self.memory = Memory()
        self.slots = threading.Semaphore(launch.parallel)
        self._errors: list[str] = []
        self._alive_at = time.monotonic()
        self.port = _free_port()
        command = [str(engine), *launch.arguments(self.port)]
        log.line("starting llama-server", cmd=" ".join(command))
        self.process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._alive_at = time.monotonic()
            self.memory.read(line)
            for mark in ERROR_MARKS:
                if mark in line:
                    self._errors.append(line[line.index(mark) :].strip())
                    break
            log.raw(line.rstrip("\n"))

    def wait_until_ready(self, stall_s: float) -> None:
        """Return once the model is loaded.

        Raises:
            GoError: the engine ended, or said nothing for `stall_s` seconds.
        """
        while not self.healthy(0.5):
            status = self.process.poll()
            if status is not None:
                self._reader.join()
                ended = f"exit status {status}" if status >= 0 else f"signal: {signal.strsignal(-status)}".lower()
                cause = "".join(f": {text}" for text in ["\n".join(self._errors)] if text)
                raise golang.GoError(f"llama-server process has terminated: {ended}{cause}")
            if time.monotonic() - self._alive_at > stall_s:
                raise golang.GoError(f"timed out waiting for llama-server to start - {' '.join(self._errors)}")
            time.sleep(0.05)
        self._errors.clear()

    def healthy(self, timeout_s: float) -> bool:
        """It runs and says it is ready, within the time."""
        if self.process.poll() is not None:
            return False
        with contextlib.suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
            with contextlib.closing(connection):
                connection.request("GET", "/health")
                return bool(json.loads(connection.getresponse().read()).get("status") == "ok")
        return False

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """One question with one answer.

        Raises:
            EngineRefused: it answered with an error.
            GoError: it is gone.
        """
        with contextlib.closing(self._connect()) as connection:
            response = _sent(connection, path, body)
            try:
                return json.loads(response.read())
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                raise golang.GoError(f"do request: {error}") from error

    def stream(self, path: str, body: dict[str, Any], on_start: Callable[[Callable[[], None]], None]) -> Iterator[Any]:
        """Events of a streamed answer, up to the one that says stop.

        Args:
            path: of the endpoint.
            body: of the request.
            on_start: gets a function that breaks the connection, for when nobody waits for the answer any more.

        Raises:
            EngineRefused: it answered with an error.
            GoError: it went away in the middle.
        """
        with contextlib.closing(self._connect()) as connection:
            on_start(lambda: _break(connection))
            response = _sent(connection, path, body)
            last, repeats = "", 0
            while True:
                event = self._next_event(response)
                token = str(event.get("content", "")).strip()
                repeats = repeats + 1 if token == last else 0
                last = token
                if repeats > REPEATS:
                    return
                yield event
                if event.get("stop"):
                    return

    def _next_event(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        try:
            while True:
                line = response.readline()
                if not line:
                    break
                if line.startswith(b"data: "):
                    return dict(json.loads(line[6:]))
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.line("llama-server stream broke", level="WARN", error=error)
        cause = "\n".join(self._errors) or "unexpected EOF"
        raise golang.GoError(f"an error was encountered while running the model: {cause}")

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Tokens of `text`; with those the model begins every text with, if `special`."""
        return list(self.ask("/tokenize", {"content": text, "add_special": special})["tokens"])

    def detokenize(self, tokens: list[int]) -> str:
        """Text of `tokens`."""
        return str(self.ask("/detokenize", {"tokens": tokens})["content"])

    def kill(self) -> None:
        """End the process in the middle of whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process; return when it is gone."""
        self.kill()
        self.process.wait()
        self._reader.join()


def _sent(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> http.client.HTTPResponse:
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise golang.GoError(
            "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
            "check ollama server logs for details"
        ) from error
    if response.status >= 400:
        raise EngineRefused(response.status, response.read().decode(errors="replace").strip())
    return response


def _break(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
