"""Models on disk, in the real layout: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-HEX`."""

import contextlib
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import golang, log, names
from .names import Name

DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
GRACE_SECONDS = 3600
"""Blobs younger than this are not pruned: somebody may be about to write the manifest that refers to them."""

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."


class Store:
    """The folder named by OLLAMA_MODELS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs"
        self.manifests = folder / "manifests"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            OSError: they cannot be made.
        """
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.manifests.mkdir(parents=True, exist_ok=True)

    def blob(self, digest: str) -> Path:
        """Where the blob of `digest` lies.

        Raises:
            GoError: not a digest.
        """
        match = DIGEST.fullmatch(digest)
        if match is None:
            raise golang.GoError("invalid digest format")
        return self.blobs / f"sha256-{match[1]}"

    def all_names(self) -> Iterator[Name]:
        """Every name that has a manifest, damaged or not."""
        for path in sorted(self.manifests.glob("*/*/*/*")):
            name = Name(*path.relative_to(self.manifests).parts)
            if name.valid and path.is_file():
                yield name

    def existing(self, name: Name) -> Name:
        """`name` in the letters it is stored with: capitals do not make another model."""
        return next((known for known in self.all_names() if str(known).lower() == str(name).lower()), name)

    def manifest_path(self, name: Name) -> Path:
        """Where the manifest of `name` lies."""
        return self.manifests / name.path

    def manifest(self, name: Name) -> tuple[bytes, dict[str, Any]]:
        """The manifest's bytes and what they say.

        Raises:
            FileNotFoundError: no such model.
            GoError: damaged.
        """
        content = self.manifest_path(name).read_bytes()
        return content, golang.loads(content.decode(errors="replace"))

    def write_manifest(self, name: Name, content: bytes) -> None:
        """Make `name` refer to what the manifest lists."""
        path = self.manifest_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def copy(self, source: Name, destination: Name) -> None:
        """Give a model a second name; no blob is copied.

        Raises:
            FileNotFoundError: no such model.
        """
        content, _ = self.manifest(source)
        self.write_manifest(destination, content)

    def delete(self, name: Name) -> None:
        """Forget `name` and remove the blobs that no other name refers to.

        Raises:
            FileNotFoundError: no such model.
            GoError: its manifest is damaged.
        """
        _, manifest = self.manifest(name)
        path = self.manifest_path(name)
        path.unlink()
        for folder in list(path.parents)[:3]:
            with contextlib.suppress(OSError):
                folder.rmdir()
        self.remove_unused(digests(manifest))

    def remove_unused(self, candidates: Iterable[str]) -> list[str]:
        """Remove the blobs among `candidates` that nothing refers to; their digests come back."""
        used = self._used()
        removed = []
        for digest in candidates:
            if digest not in used:
                with contextlib.suppress(FileNotFoundError):
                    self.blob(digest).unlink()
                    removed.append(digest)
        return removed

    def add_blob(self, content: bytes) -> tuple[str, bool]:
        """Store `content`; its digest, and whether it is new."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        path = self.blob(digest)
        new = not path.exists()
        if new:
            path.write_bytes(content)
        return digest, new

    def prune(self) -> None:
        """Remove what nobody refers to and partial downloads, once they are older than the grace period."""
        now = time.time()
        old = [path for path in self.blobs.iterdir() if path.is_file() and now - path.stat().st_mtime >= GRACE_SECONDS]
        candidates = []
        for path in old:
            match = DIGEST.fullmatch(path.name)
            if match:
                candidates.append(f"sha256:{match[1]}")
            else:
                path.unlink()
        log.line(f"total blobs: {len(candidates)}")
        try:
            log.line(f"total unused blobs removed: {len(self.remove_unused(candidates))}")
        except golang.GoError as error:
            log.line(f"couldn't remove unused layers: {error}", level="ERROR")

    def _used(self) -> set[str]:
        return {digest for name in self.all_names() for digest in digests(self.manifest(name)[1])}


def digests(manifest: dict[str, Any]) -> list[str]:
    """Every digest a manifest refers to: its layers', then its config's."""
    entries = [*manifest.get("layers", []), *filter(None, [manifest.get("config")])]
    return [entry["digest"] for entry in entries if entry.get("digest")]


def manifest_bytes(config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
    """A manifest as the real server writes it."""
    return golang.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers}).encode()


def entry(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """One line of a manifest."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def parse_valid(text: str) -> Name | None:
    """The name in `text`, or None where it cannot be one."""
    name = names.parse(text)
    return name if name.valid else None
