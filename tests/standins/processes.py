"""The stand-in and the mirror as processes on loopback, with folders of their own."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import stamina
import zstandard

from inhouse.lab import programs, release, weights

NAMES = Path(__file__).with_name("names")
VERSION = "0.32.15"
"""Release the recordings are of."""


class NotReady(Exception):
    """The process does not answer yet."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unpacked(cache: Path, target: Path) -> Path:
    """The lab's release archive, unpacked as a host unpacks it."""
    archive = release.build(cache, VERSION) / f"v{VERSION}" / release.ARCHIVE
    with (
        archive.open("rb") as raw,
        zstandard.ZstdDecompressor().stream_reader(raw) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        tar.extractall(target, filter="data")
    return target


def linked(store: Path, target: Path) -> Path:
    """A store of its own with the same content; blobs are shared as hard links."""
    for path in store.rglob("*"):
        copy = target / path.relative_to(store)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        elif path.parent.name == "blobs":
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.hardlink_to(path)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (path.stat().st_atime, path.stat().st_mtime))
    return target


def seeded(root: Path, models: weights.Weights, folder: Path) -> Path:
    """A store with `tiny:270m` and `minilm`, made through the API of a server."""
    with Server(root, folder) as server:
        completion = {"template": "{{ .Prompt }}", "parameters": {"num_predict": 32}}
        _create(server, "tiny:270m", models.file("completion"), completion)
        _create(server, "minilm", models.file("embedding"), {})
        return server.store


def _create(server: "Server", name: str, file: Path, more: Mapping[str, Any]) -> None:
    content = file.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    server.ask("POST", f"/api/blobs/{digest}", content)
    server.ask("POST", "/api/create", {"model": name, "files": {"model.gguf": digest}, **more})


class Server:
    """A stand-in that serves."""

    def __init__(self, root: Path, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it.

        Args:
            root: the unpacked release.
            folder: its home, store (`models`) and journal (`log`).
            environment: settings beside the defaults.
        """
        self.root, self.folder = root, folder
        self.port = free_port()
        self.store = folder / "models"
        self.faults = folder / "faults.json"
        folder.mkdir(parents=True, exist_ok=True)
        own = {
            "HOME": str(folder / "home"),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(NAMES),
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "OLLAMA_MODELS": str(self.store),
            "OLLAMA_NO_CLOUD": "1",
            "INHOUSE_LAB_FAULTS": str(self.faults),
        }
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, root / "bin/ollama", "serve"],
                env=own | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for attempt in stamina.retry_context(on=NotReady, timeout=20, attempts=None, wait_initial=0.05, wait_max=0.2):
            with attempt:
                self._check_ready()

    def _check_ready(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log.read_text()[-2000:]}")
        try:
            self.ask("GET", "/api/version")
        except OSError as error:
            raise NotReady from error

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 120) -> Any:
        """JSON of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, content)
        text = connection.getresponse().read()
        connection.close()
        return json.loads(text) if text.startswith((b"{", b"[")) and b"\n{" not in text else text

    def misbehave(self, fault: str, **numbers: float) -> None:
        """Put a fault in force."""
        self.faults.write_text(json.dumps({"fault": fault, **numbers}))

    def engines(self) -> list[int]:
        """Process numbers of its `llama-server` children."""
        found = subprocess.run(
            ["pgrep", "--parent", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return sorted(int(pid) for pid in found.stdout.split())

    def signal_engines(self, number: signal.Signals) -> None:
        """Send a signal to every child."""
        for pid in self.engines():
            os.kill(pid, number)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Mirror:
    """A registry and release mirror that serves."""

    def __init__(
        self,
        folder: Path,
        weights: Path,
        models: Mapping[str, str],
        blob_host: str | None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """Start it.

        Args:
            folder: its program, configuration and notes.
            weights: folder of the small models.
            models: name → kind.
            blob_host: where downloads are redirected to.
            tls: certificate and key.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._fault = folder / "fault.json"
        self._requests = folder / "requests.jsonl"
        program, configuration = folder / "mirror", folder / "config.json"
        program.write_bytes(programs.mirror_program())
        listener: dict[str, Any] = {"address": "127.0.0.1", "port": self.port}
        if tls:
            listener |= {"certificate": str(tls[0]), "key": str(tls[1])}
        configuration.write_text(
            json.dumps(
                {
                    "listen": [listener],
                    "weights": str(weights),
                    "models": dict(models),
                    "blob_host": blob_host,
                    "uploads": str(folder / "uploads"),
                    "fault_file": str(self._fault),
                    "requests": str(self._requests),
                }
            )
        )
        self.process = subprocess.Popen(
            [sys.executable, program, configuration], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        # What it prints from here on is in its notes too; nobody reads it, so it must not fill up.
        self._drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)

    def misbehave(self, fault: str, **numbers: int) -> None:
        """Put a fault in force."""
        self._fault.write_text(json.dumps({"fault": fault, **numbers}))

    def requests(self) -> list[list[Any]]:
        """What was asked of it since the last call."""
        found = [json.loads(line) for line in self._requests.read_text().splitlines()]
        self._requests.unlink()
        return found

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)
        self._drain.wait(20)

    def __enter__(self) -> "Mirror":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
