"""The server: registry protocol with redirected, ranged downloads; release files; faults on command."""

import contextlib
import hashlib
import json
import re
import shutil
import ssl
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from . import config
from .catalogue import MANIFEST_TYPE, Blob, Catalogue
from .config import Config, Listener

BIG = 1_000_000
"""Faults spare what is smaller, in bytes: manifests and the small layers arrive."""
DIRECT = "/direct"
"""Below this path a blob is served as it is: where its download is redirected to."""
_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")
_BLOB = re.compile(r"(/direct)?/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/([^/]*)")
_RELEASE = re.compile(r".*/(v\d[^/]*)/([^/]+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def main() -> None:
    """Serve what the configuration named by the first argument says, until ended."""
    chosen = config.read(Path(sys.argv[1]))
    catalogue = Catalogue(chosen)
    servers = [Server(listener, chosen, catalogue) for listener in chosen.listen]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    servers[0].serve_forever()


class Server(ThreadingHTTPServer):
    """One listening socket."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listener: Listener, chosen: Config, catalogue: Catalogue) -> None:
        super().__init__((listener.address, listener.port), Handler)
        self.config, self.catalogue = chosen, catalogue
        self.scheme = "http"
        if listener.certificate:
            self.scheme = "https"
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(listener.certificate, listener.key)
            # The handshake waits until the connection has a thread of its own.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or does not trust the certificate, is its own affair: one line, no traceback."""
        sys.stderr.write(f"{client_address}: {sys.exception()!r}\n")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: D102
        self._note()
        path = urlsplit(self.path).path
        if path in ("/v2", "/v2/"):
            self._send(200, b"{}", "application/json")
        elif manifest := _MANIFEST.fullmatch(path):
            self._send_manifest(manifest[1], manifest[2])
        elif blob := _BLOB.fullmatch(path):
            self._send_blob(blob[3], direct=bool(blob[1]))
        elif release := _RELEASE.fullmatch(path):
            self._send_release(release[1], release[2])
        else:
            self._send(404, b"404 page not found\n")

    do_HEAD = do_GET

    def do_POST(self) -> None:  # noqa: D102
        self._note()
        upload = _UPLOADS.fullmatch(urlsplit(self.path).path)
        if not upload or not self.server.config.uploads:
            self._refuse_upload()
            return
        name = uuid.uuid4().hex
        path = self.server.catalogue.upload_path(f"started/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._drain()
        self._send(202, b"", headers={"Location": f"/v2/{upload[1]}/blobs/uploads/{name}"})

    def do_PATCH(self) -> None:  # noqa: D102
        self._note()
        upload = _UPLOADS.fullmatch(urlsplit(self.path).path)
        if not upload or not self.server.config.uploads:
            self._refuse_upload()
            return
        with self.server.catalogue.upload_path(f"started/{upload[2]}").open("ab") as file:
            self._drain(file.write)
        self._send(202, b"", headers={"Location": urlsplit(self.path).path})

    def do_PUT(self) -> None:  # noqa: D102
        self._note()
        parts = urlsplit(self.path)
        if not self.server.config.uploads:
            self._refuse_upload()
        elif upload := _UPLOADS.fullmatch(parts.path):
            self._drain()
            self._finish_upload(upload[2], parse_qs(parts.query)["digest"][0])
        elif manifest := _MANIFEST.fullmatch(parts.path):
            path = self.server.catalogue.upload_path(f"manifests/{manifest[1]}/{manifest[2]}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                self._drain(file.write)
            self._send(201, b"")
        else:
            self._refuse_upload()

    def _finish_upload(self, name: str, digest: str) -> None:
        started = self.server.catalogue.upload_path(f"started/{name}")
        with started.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found != digest:
            started.unlink()
            self._send(400, f"digest is {found}\n".encode())
            return
        target = self.server.catalogue.upload_path(f"blobs/{digest}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(started, target)
        self._send(201, b"")

    def _refuse_upload(self) -> None:
        self.close_connection = True
        self._send(405, b"this registry takes nothing\n", headers={"Connection": "close"})

    def _send_manifest(self, repository: str, tag: str) -> None:
        content = self.server.catalogue.manifest(repository, tag)
        if content is None:
            self._send(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', "application/json")
        else:
            self._send(200, content, MANIFEST_TYPE)

    def _send_blob(self, digest: str, direct: bool) -> None:
        blob = self.server.catalogue.blob(digest)
        if blob is None:
            self._send(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}', "application/json")
        elif self.command == "HEAD" or direct or not self.server.config.blob_host:
            self._send_ranged(blob)
        else:
            port = re.search(r":\d+$", self.headers.get("Host", ""))
            host = self.server.config.blob_host + (port[0] if port else "")
            self._send(307, b"", headers={"Location": f"{self.server.scheme}://{host}{DIRECT}{self.path}"})

    def _send_release(self, version: str, name: str) -> None:
        folder = self.server.config.releases
        file = folder / version / name if folder else None
        if file and file.is_file() and folder and file.resolve().is_relative_to(folder.resolve()):
            self._send_ranged(Blob(file))
        else:
            self._send(404, b"Not Found")

    def _send_ranged(self, blob: Blob) -> None:
        """All of it, or the range that was asked for, as far as the fault in force lets it through."""
        size = blob.size
        fault = config.fault(self.server.config.fault_file)
        hit = size >= BIG and self.command == "GET"
        if hit and fault.name == "503":
            self._send(503, b"")
            return
        start, end = 0, size
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked:
            start, end = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)
            if start >= size:
                self._send(416, b"", headers={"Content-Range": f"bytes */{size}"})
                return
        self.send_response_only(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send_content(blob, start, end, fault if hit else config.Fault(bytes_per_second=fault.bytes_per_second))

    def _send_content(self, blob: Blob, start: int, end: int, fault: config.Fault) -> None:
        wrong = blob.size // 2 if fault.name == "corrupt" else -1
        stop = min(end, start + fault.bytes) if fault.name == "cut" else end
        position = start
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            for data in blob.read(start, stop):
                if position <= wrong < position + len(data):
                    at = wrong - position
                    data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
                self._send_paced(data, fault.bytes_per_second)
                position += len(data)
        if position < end:
            self.close_connection = True

    def _send_paced(self, data: bytes, pace: int) -> None:
        if not pace:
            self.wfile.write(data)
            return
        step = max(pace // 20, 1)
        for at in range(0, len(data), step):
            self.wfile.write(data[at : at + step])
            time.sleep(step / pace)

    def _send(self, status: int, body: bytes, kind: str = "text/plain", headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drain(self, write: object = None) -> None:
        """Read the request's body, and hand it to `write` where given."""
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0:
            data = self.rfile.read(min(left, 2**20))
            if not data:
                return
            left -= len(data)
            if callable(write):
                write(data)

    def _note(self) -> None:
        line = json.dumps([self.command, self.path, self.headers.get("Range")])
        sys.stdout.write(f"{self.client_address[0]} {line}\n")
        sys.stdout.flush()
        if self.server.config.requests:
            with self.server.config.requests.open("a") as file:
                file.write(line + "\n")

    def log_message(self, format: str, *args: object) -> None:
        """Requests are noted by `_note`."""
