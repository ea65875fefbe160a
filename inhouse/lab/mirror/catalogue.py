"""Manifests and blobs: every name is its own model, though two files hold the weights of all.

The weights of a name are the small model's file and a line of text behind it, so that each name has a digest of its
own, as real models have, and two of them are two for a server. GGUF readers stop where the tensors end.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import Config

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."
STEP = 1024 * 1024


@dataclass(frozen=True)
class Blob:
    """Content of a digest: a file, some bytes, or the first and then the second."""

    file: Path | None
    tail: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return (self.file.stat().st_size if self.file else 0) + len(self.tail)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` up to `end`, in pieces."""
        in_file = self.size - len(self.tail)
        if self.file and start < in_file:
            with self.file.open("rb") as opened:
                opened.seek(start)
                while start < min(end, in_file):
                    data = opened.read(min(STEP, min(end, in_file) - start))
                    start += len(data)
                    yield data
        if start < end:
            yield self.tail[start - in_file : end - in_file]


class Catalogue:
    """What the registry has."""

    def __init__(self, config: Config) -> None:
        self._uploads = config.uploads
        self._blobs: dict[str, Blob] = {}
        self._manifests: dict[str, bytes] = {}
        kinds = {kind: _Kind(config.weights, kind) for kind in set(config.models.values())}
        for name, kind in config.models.items():
            self._add(_repository_and_tag(name), name, kinds[kind])

    def _add(self, place: str, name: str, kind: "_Kind") -> None:
        mark = f"\nstands in for {name}; inhouse lab\n".encode()
        weights = self._layer("model", kind.digest_with(mark), Blob(kind.file, mark))
        layers = [weights]
        if kind.about["template"]:
            layers.append(self._text("template", kind.about["template"]))
        if kind.about["params"]:
            layers.append(self._text("params", json.dumps(kind.about["params"], separators=(",", ":")) + "\n"))
        config = json.dumps({**kind.about["config"], "architecture": "amd64", "os": "linux", "stands_in_for": name})
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {**self._text("", config), "mediaType": CONFIG_TYPE},
            "layers": layers,
        }
        self._manifests[place] = json.dumps(manifest, separators=(",", ":")).encode()

    def _text(self, kind: str, text: str) -> dict[str, Any]:
        content = text.encode()
        return self._layer(kind, f"sha256:{hashlib.sha256(content).hexdigest()}", Blob(None, content))

    def _layer(self, kind: str, digest: str, blob: Blob) -> dict[str, Any]:
        self._blobs[digest] = blob
        return {"mediaType": LAYER_TYPE + kind, "digest": digest, "size": blob.size}

    def manifest(self, repository: str, tag: str) -> bytes | None:
        """Bytes of a manifest; None: no such model."""
        if self._uploads:
            path = self.upload_path(f"manifests/{repository}/{tag}")
            if path.is_file():
                return path.read_bytes()
        return self._manifests.get(f"{repository}:{tag}")

    def blob(self, digest: str) -> Blob | None:
        """Content of a digest; None: not here."""
        if self._uploads:
            path = self.upload_path(f"blobs/{digest}")
            if path.is_file():
                return Blob(path)
        return self._blobs.get(digest)

    def upload_path(self, relative: str) -> Path:
        """Where something pushed is kept."""
        assert self._uploads is not None
        return self._uploads / relative


class _Kind:
    def __init__(self, folder: Path, kind: str) -> None:
        self.file = folder / f"{kind}.gguf"
        self.about = json.loads((folder / f"{kind}.json").read_text())
        with self.file.open("rb") as opened:
            self._hash = hashlib.file_digest(opened, "sha256")

    def digest_with(self, tail: bytes) -> str:
        """Digest of the file with `tail` behind it, without reading the file again."""
        whole = self._hash.copy()
        whole.update(tail)
        return f"sha256:{whole.hexdigest()}"


def _repository_and_tag(name: str) -> str:
    repository, colon, tag = name.partition(":")
    if "/" not in repository:
        repository = f"library/{repository}"
    return f"{repository}:{tag if colon else 'latest'}"
