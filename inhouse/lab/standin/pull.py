"""Pulls: parts side by side with ranges, resumed from small files, checked by digest."""

import contextlib
import errno
import hashlib
import http.client
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import golang, log, registry
from .names import Name
from .store import Store, digests

PARTS = 16
SMALLEST_PART, LARGEST_PART = 100 * 10**6, 1000 * 10**6
TRIES = 6
TICK_S = 0.06
CHUNK = 128 * 1024

Progress = dict[str, Any]


def base_url(name: Name, insecure: bool) -> str:
    """Where a model's registry is; `insecure` means plain HTTP, not an unchecked certificate."""
    return f"{'http' if insecure else name.scheme}://{name.host}"


@dataclass
class Part:
    """A stretch of a blob."""

    number: int
    offset: int
    size: int
    completed: int = 0

    def write(self, blob: Path) -> None:
        """Note in its file how far it is."""
        fields = {"N": self.number, "Offset": self.offset, "Size": self.size, "Completed": self.completed}
        Path(f"{blob}-partial-{self.number}").write_text(golang.dumps(fields) + "\n")


class Download:
    """One blob on its way; however many pulls want it, it is fetched once."""

    def __init__(self, url: str, blob: Path, digest: str) -> None:
        self.url, self.blob, self.digest = url, blob, digest
        self.wanted_by = 0
        self.done = threading.Event()
        self.cancelled = threading.Event()
        self.error: Exception | None = None
        self.received = 0
        self._lock = threading.Lock()
        self.parts = self._read_parts() or self._new_parts(registry.blob_size(url))
        self.total = sum(part.size for part in self.parts)
        self.received = sum(part.completed for part in self.parts)

    def _read_parts(self) -> list[Part]:
        files = sorted(self.blob.parent.glob(f"{self.blob.name}-partial-*"))
        found = [json.loads(file.read_text()) for file in files]
        return [Part(part["N"], part["Offset"], part["Size"], part["Completed"]) for part in found]

    def _new_parts(self, total: int) -> list[Part]:
        size = min(max(total // PARTS, SMALLEST_PART), LARGEST_PART)
        parts = [Part(n, at, min(size, total - at)) for n, at in enumerate(range(0, total, size))]
        for part in parts:
            part.write(self.blob)
        return parts

    def run(self) -> None:
        """Fetch what is missing; the outcome is in `error`."""
        try:
            self._run()
        except (golang.GoError, OSError) as error:
            self.error = error
        finally:
            self.done.set()

    def _run(self) -> None:
        partial = Path(f"{self.blob}-partial")
        partial.touch()
        with partial.open("r+b") as file:
            file.truncate(self.total)
            target = registry.direct_url(self.url)
            waiting = [part for part in self.parts if part.completed < part.size]
            with ThreadPoolExecutor(PARTS) as pool:
                try:
                    for finished in as_completed(
                        pool.submit(self._fetch, part, target, file.fileno()) for part in waiting
                    ):
                        finished.result()
                except (golang.GoError, OSError):
                    self.cancelled.set()
                    raise
        for part in self.parts:
            Path(f"{partial}-{part.number}").unlink()
        partial.rename(self.blob)

    def _fetch(self, part: Part, target: str, file: int) -> None:
        """One part, in up to six tries with 1, 2, 4, 8, 16 and 32 s after each failed one."""
        cause: Exception = golang.GoError("EOF")
        attempt = 0
        while attempt < TRIES:
            try:
                self._fetch_once(part, target, file)
                return
            except TimeoutError:
                log.line(f"{self.digest[7:19]} part {part.number} stalled; retrying")
                continue
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise golang.GoError(f"write {self.blob}-partial: no space left on device") from error
                cause = error
            except golang.GoError as error:
                cause = error
            if self.cancelled.is_set():
                raise golang.GoError("context canceled")
            pause = 2**attempt
            log.line(f"{self.digest[7:19]} part {part.number} attempt {attempt} failed: {cause}, retrying in {pause}s")
            attempt += 1
            if self.cancelled.wait(pause):
                raise golang.GoError("context canceled")
        raise golang.GoError(f"max retries exceeded: {cause}")

    def _fetch_once(self, part: Part, target: str, file: int) -> None:
        start, end = part.offset + part.completed, part.offset + part.size
        answer = registry.request("GET", target, {"Range": f"bytes={start}-{end - 1}"})
        promised = int(answer.headers.get("Content-Length") or 0)
        received = 0
        try:
            while received < end - start and not self.cancelled.is_set():
                data = answer.body.read1(min(CHUNK, end - start - received))
                if not data:
                    break
                os.pwrite(file, data, start + received)
                received += len(data)
                with self._lock:
                    self.received += len(data)
        except (http.client.HTTPException, ConnectionError) as error:
            log.line(f"{self.digest[7:19]} part {part.number}: {error}")
        finally:
            answer.close()
        cut = received < min(promised, end - start)
        if received == end - start or cut or self.cancelled.is_set():
            part.completed += received
            part.write(self.blob)
        else:
            # A short but whole answer is not the part: an error page, say.
            with self._lock:
                self.received -= received
        if received < end - start:
            raise golang.GoError("unexpected EOF" if cut else "EOF")


class Puller:
    """All pulls of a server."""

    def __init__(self, store: Store, no_prune: bool) -> None:
        self.store = store
        self.no_prune = no_prune
        self._lock = threading.Lock()
        self._running: dict[str, Download] = {}

    def pull(self, name: Name, insecure: bool) -> Iterator[Progress]:
        """The stream of a pull.

        Raises:
            GoError: it failed; its text is the stream's last line.
        """
        if name.scheme == "http" and not insecure:
            raise golang.GoError("insecure protocol http")
        before = self._digests_before(name)
        yield {"status": "pulling manifest"}
        base = base_url(name, insecure)
        try:
            content = registry.manifest(base, name.repository, name.tag)
            manifest = golang.loads(content.decode())
        except golang.GoError as error:
            raise golang.GoError(f"pull model manifest: {error}") from error
        wanted = digests(manifest)
        fetched = []
        for digest in wanted:
            path = self.store.blob(digest)
            if path.exists():
                yield _progress(digest, path.stat().st_size, path.stat().st_size)
            else:
                yield from self._fetch(f"{base}/v2/{name.repository}/blobs/{digest}", path, digest)
                fetched.append(digest)
        yield {"status": "verifying sha256 digest"}
        for digest in fetched:
            self._verify(digest)
        yield {"status": "writing manifest"}
        self.store.write_manifest(name, content)
        unused = before - set(wanted)
        if unused and not self.no_prune:
            yield {"status": "removing unused layers"}
            self.store.remove_unused(unused)
        yield {"status": "success"}

    def _digests_before(self, name: Name) -> set[str]:
        with contextlib.suppress(FileNotFoundError, golang.GoError):
            return set(digests(self.store.manifest(name)[1]))
        return set()

    def _fetch(self, url: str, path: Path, digest: str) -> Iterator[Progress]:
        with self._lock:
            download = self._running.get(digest)
            if download is None:
                download = self._running[digest] = Download(url, path, digest)
                threading.Thread(target=download.run, daemon=True).start()
            download.wanted_by += 1
        try:
            while not download.done.wait(TICK_S):
                yield _progress(digest, download.total, download.received)
        finally:
            with self._lock:
                download.wanted_by -= 1
                last = not download.wanted_by
            if last:
                download.cancelled.set()
                download.done.wait()
                with self._lock:
                    self._running.pop(digest, None)
        if download.error:
            raise download.error

    def _verify(self, digest: str) -> None:
        path = self.store.blob(digest)
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            path.unlink()
            raise golang.GoError(f"digest mismatch, file must be downloaded again: want {digest}, got {found}")


def _progress(digest: str, total: int, completed: int) -> Progress:
    """A line of the stream; what is zero is left out, as in every answer of the real server."""
    line = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total, "completed": completed}
    return {key: value for key, value in line.items() if value}
