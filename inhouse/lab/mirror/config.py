"""What the mirror serves and where, and how it misbehaves: two JSON files, the first read once, the second every time.

{"listen": [{"address": "0.0.0.0", "port": 443, "certificate": "/etc/x/cert.pem", "key": "/etc/x/key.pem"}],
 "weights": "/srv/weights", "models": {"qwen3:8b": "completion", "all-minilm": "embedding"},
 "releases": "/srv/releases", "blob_host": "blobs.lab.internal", "uploads": "/srv/uploads",
 "fault_file": "/etc/inhouse-lab/mirror.json", "requests": "/var/log/mirror-requests.jsonl"}

{"fault": "cut", "bytes": 3000000}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Listener:
    """An address and port; with TLS where a certificate is named."""

    address: str
    port: int
    certificate: str | None
    key: str | None


@dataclass(frozen=True)
class Config:
    """See the module."""

    listen: tuple[Listener, ...]
    weights: Path
    """Folder with `KIND.gguf` and `KIND.json` for each kind of model."""
    models: dict[str, str]
    """Name (`qwen3:8b`, `someone/model:tag`; the tag is `latest` where none is given) → kind."""
    releases: Path | None
    """Folder with `vVERSION/FILE`; served below any path that ends so."""
    blob_host: str | None
    """Host name a blob's download is redirected to. None: blobs are served where they are asked for, which the real
    client refuses."""
    uploads: Path | None
    """Where pushed models are kept; None: pushes are refused."""
    fault_file: Path
    requests: Path | None
    """A file that gets a line `[METHOD, PATH, RANGE]` for every request."""


@dataclass(frozen=True)
class Fault:
    """How downloads above a megabyte go wrong now.

    none; cut: the connection ends after `bytes`; corrupt: a byte is another; 503: that status.
    """

    name: str = "none"
    bytes: int = 3_000_000
    bytes_per_second: int = 0
    """Pace of every connection; 0: as fast as it goes."""


def read(path: Path) -> Config:
    """The configuration in the file."""
    raw: dict[str, Any] = json.loads(path.read_text())

    def folder(name: str) -> Path | None:
        return Path(raw[name]) if raw.get(name) else None

    return Config(
        listen=tuple(
            Listener(one.get("address", "0.0.0.0"), one["port"], one.get("certificate"), one.get("key"))
            for one in raw["listen"]
        ),
        weights=Path(raw["weights"]),
        models=dict(raw["models"]),
        releases=folder("releases"),
        blob_host=raw.get("blob_host"),
        uploads=folder("uploads"),
        fault_file=Path(raw.get("fault_file", "/etc/inhouse-lab/mirror.json")),
        requests=folder("requests"),
    )


def fault(path: Path) -> Fault:
    """The fault in force; no file, or one that is just being written: none."""
    try:
        asked = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return Fault()
    default = Fault()
    return Fault(
        str(asked.get("fault", default.name)),
        int(asked.get("bytes", default.bytes)),
        int(asked.get("bytes_per_second", default.bytes_per_second)),
    )
