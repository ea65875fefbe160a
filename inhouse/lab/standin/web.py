"""HTTP as the real server speaks it: routing, Host and Origin checks, streams."""

import contextlib
import fnmatch
import ipaddress
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import golang, log

JSON = "application/json; charset=utf-8"
BARE_JSON = "application/json"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
PLAIN = "text/plain"
LOCAL_ENDINGS = (".localhost", ".local", ".internal")
WATCH_S = 0.25
BUFFERED = 2048
"""Bodies above so many bytes are sent in chunks, as by the real server."""

_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)


@dataclass
class Reply:
    """An answer: a body, or a stream of texts that is closed whatever happens."""

    status: int = 200
    content_type: str | None = None
    body: bytes = b""
    stream: Iterator[str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None


def json_reply(value: Any, status: int = 200, content_type: str = JSON) -> Reply:
    """A reply with `value` as JSON."""
    return Reply(status, content_type, golang.dumps(value).encode())


class Call:
    """One request."""

    def __init__(self, handler: "Handler", parameter: str) -> None:
        self._handler = handler
        self.parameter = parameter
        """What stands in the path where the route has a variable."""

    @property
    def headers(self) -> Any:
        """Headers of the request."""
        return self._handler.headers

    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece."""
        return self._handler.body_chunks()

    def on_gone(self, action: Callable[[], None]) -> None:
        """Call `action` when the client hangs up before its answer is complete."""
        self._handler.watch(action)


Route = Callable[[Call], Reply]


class Site(ThreadingHTTPServer):
    """The server's socket and its routes."""

    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], routes: dict[tuple[str, str], Route], origins: tuple[str, ...]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.routes = routes
        self.origins = origins
        self.loopback = _is_loopback(address[0])
        super().__init__(address, Handler)

    def find(self, method: str, path: str) -> tuple[Route | None, str, list[str]]:
        """The route, the variable part of the path, and the methods the path has."""
        methods = []
        for (known, pattern), route in self.routes.items():
            match = re.fullmatch(pattern.replace(":x", "([^/]+)"), path)
            if match:
                methods.append(known)
                if known == method:
                    return route, match[1] if match.groups() else "", methods
        return None, "", methods

    def host_allowed(self, host: str) -> bool:
        """Bound to loopback, the server answers only to names and addresses of its own machine."""
        if not self.loopback:
            return True
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(name)
            return address.is_loopback or address.is_unspecified or _is_private(address)
        return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(LOCAL_ENDINGS)

    def origin_allowed(self, origin: str, host: str) -> bool:
        """A browser may call from there."""
        same = origin in (f"http://{host}", f"https://{host}")
        return same or any(fnmatch.fnmatchcase(origin, pattern) for pattern in self.origins)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    networks = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    return any(address in ipaddress.ip_network(network) for network in networks)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Site
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    # Small pieces of a stream must not wait for each other.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: D102
        self._answer()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _answer(self) -> None:
        started = time.monotonic()
        self._finished = threading.Event()
        self._body_read = False
        path = self.path.split("?")[0]
        reply = self._reply(path)
        try:
            self._send(reply)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self._finished.set()
            reply.close()
        took = time.monotonic() - started
        moment = time.strftime("%Y/%m/%d - %H:%M:%S")
        peer = self.client_address[0]
        log.raw(f'[GIN] {moment} | {reply.status} | {took:12.6f}s | {peer:>15} | {self.command:<8} "{path}"')

    def _reply(self, path: str) -> Reply:
        route, parameter, methods = self.server.find(self.command, path)
        refused = self._check_origin(methods) or self._check_host()
        if refused:
            return refused
        if route:
            return route(Call(self, parameter))
        if methods:
            return Reply(405, PLAIN, b"405 method not allowed", headers={"Allow": ", ".join(methods)})
        return Reply(404, PLAIN, b"404 page not found")

    def _check_origin(self, methods: list[str]) -> Reply | None:
        """None where the request may go on; an allowed preflight ends here too."""
        origin = self.headers.get("Origin")
        self._cors: dict[str, str] = {}
        allow = {"Allow": ", ".join(methods)} if methods and self.command not in methods else {}
        if not origin or origin in (f"http://{self.headers.get('Host')}", f"https://{self.headers.get('Host')}"):
            return None
        if not self.server.origin_allowed(origin, self.headers.get("Host", "")):
            return Reply(403, headers=allow)
        if self.command == "OPTIONS":
            preflight = {
                "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Max-Age": "43200",
                "Vary": "Access-Control-Request-Headers",
            }
            return Reply(204, headers=allow | preflight)
        self._cors = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        return None

    def _check_host(self) -> Reply | None:
        return None if self.server.host_allowed(self.headers.get("Host", "")) else Reply(403)

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in (reply.headers | self._cors).items():
            self.send_header(name, value)
        if reply.content_type:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Date", self.date_time_string())
        if not self._body_read and self.headers.get("Content-Length", "0") != "0":
            # What was not read would be taken for the next request.
            self.close_connection = True
            self.send_header("Connection", "close")
        if reply.stream is None and len(reply.body) > BUFFERED:
            reply.stream = iter([reply.body.decode()])
        if reply.stream is None:
            if reply.status != 204 and not (self.command == "HEAD" and not reply.body):
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            self.wfile.flush()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in reply.stream:
            data = text.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def body_chunks(self) -> Iterator[bytes]:
        """The request's body, of known length or in chunks."""
        self._body_read = True
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0:
            data = self.rfile.read(min(left, 2**20))
            if not data:
                return
            left -= len(data)
            yield data

    def watch(self, action: Callable[[], None]) -> None:
        """Call `action` once the client has hung up while its answer is not complete."""
        threading.Thread(target=self._watch, args=(action, self._finished), daemon=True).start()

    def _watch(self, action: Callable[[], None], finished: threading.Event) -> None:
        while not finished.wait(WATCH_S):
            readable, _, _ = select.select([self.connection], [], [], 0)
            with contextlib.suppress(OSError):
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    action()
                    return

    def log_message(self, format: str, *args: object) -> None:
        """Only what the server logs by itself: a malformed request."""
        log.line(format % args, level="WARN")
