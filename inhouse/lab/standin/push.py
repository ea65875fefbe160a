"""Pushes: every blob the registry lacks, then the manifest."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from . import golang, registry
from .names import Name
from .pull import base_url
from .store import MANIFEST_TYPE, Store, digests

PART = 100 * 10**6


def push(store: Store, name: Name, insecure: bool) -> Iterator[dict[str, Any]]:
    """The stream of a push.

    Raises:
        GoError: it failed; its text is the stream's last line.
    """
    yield {"status": "retrieving manifest"}
    try:
        content, manifest = store.manifest(name)
    except FileNotFoundError as error:
        yield {"status": "couldn't retrieve manifest"}
        raise golang.GoError(f"open {store.manifest_path(name)}: no such file or directory") from error
    base = base_url(name, insecure)
    for digest in digests(manifest):
        yield from _push_blob(store, f"{base}/v2/{name.repository}/blobs", digest)
    yield {"status": "pushing manifest"}
    url = f"{base}/v2/{name.repository}/manifests/{name.tag}"
    registry.checked("PUT", url, {"Content-Type": MANIFEST_TYPE}, content).close()
    yield {"status": "success"}


def _push_blob(store: Store, blobs: str, digest: str) -> Iterator[dict[str, Any]]:
    path = store.blob(digest)
    total = path.stat().st_size

    def line(completed: int) -> dict[str, Any]:
        return {"status": f"pushing {digest[7:19]}", "digest": digest, "total": total, "completed": completed}

    with contextlib.suppress(registry.NotThere):
        registry.checked("HEAD", f"{blobs}/{digest}").close()
        yield line(total)
        return
    answer = registry.checked("POST", f"{blobs}/uploads/", content=b"")
    answer.close()
    location = urljoin(answer.url, answer.headers["Location"])
    with path.open("rb") as file:
        for start in range(0, total, PART):
            part = file.read(PART)
            headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{start + len(part) - 1}"}
            answer = registry.checked("PATCH", location, headers, part)
            answer.close()
            location = urljoin(location, answer.headers["Location"])
            yield line(start + len(part))
    joined = "&" if "?" in location else "?"
    registry.checked("PUT", f"{location}{joined}digest={digest}", content=b"").close()
