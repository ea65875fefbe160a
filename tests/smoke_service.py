"""A service as the smoke tests meet it, on loopback: TLS, Ollama's interface, Open-WebUI's, and a real socket.io.

It stands for a deployed host in tests of the smoke tests; each field of Service is something that can be wrong.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import socketio

Environ = dict[str, Any]
Start = Callable[..., Any]
Answer = Iterable[bytes]

TOKEN = "api-token-of-the-test"
PASSWORD = "administrators-password-of-the-test"
PERSON = "jwt-of-the-administrator"
PIECES = 4
PIECE_S = 0.02
TOKENS = 32


@dataclass
class Service:
    """What is true of the service, and what is wrong with it."""

    models: dict[str, int] = field(default_factory=lambda: {"qwen3:8b": 40960, "nomic-embed-text:latest": 2048})
    context: int = 8192
    real_context: int | None = None
    gpu_share: float = 1.0
    generate_error: str = ""
    generate_error_in_stream: str = ""
    buffered: int = 0
    """How many answers come in a heap."""
    asks_token: bool = True
    forbids_management: bool = True
    sign_up: int = 403
    websocket: bool = True
    chat_error: str = ""
    sign_ins: int = 0
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.io = socketio.Server(async_mode="threading", cors_allowed_origins="*")
        self.io.on("user-join", lambda sid, data: {"id": "1"} if data["auth"]["token"] == PERSON else None)
        self._socket = socketio.WSGIApp(self.io, socketio_path="/ws/socket.io")

    def __call__(self, environ: Environ, start: Start) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append(f"{method} {path}")
        if path.startswith("/ws/socket.io"):
            return self._web_socket(environ, start) if self.websocket else reply(start, 403, {"error": "no"})
        body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"null")
        if found := self._open_webui(method, path, body):
            return reply(start, *found)
        if self.asks_token and environ.get("HTTP_AUTHORIZATION") != f"Bearer {TOKEN}":
            return reply(start, 401, {"error": "a token is needed"})
        if path in ("/api/pull", "/api/delete") and self.forbids_management:
            return reply(start, 403, {"error": "not from here"})
        return self._ollama(path, body, start)

    def _web_socket(self, environ: Environ, start: Start) -> Answer:
        """A browser that hangs up is no news: of this kind of error wsgiref prints no traceback.

        Printing one in a thread can end pytest, which reads sources meanwhile: "SystemError: AST constructor recursion
        depth mismatch" (Python 3.11.7, python/cpython#106905).
        """
        try:
            answer: Answer = self._socket(environ, start)
        except ConnectionError as error:
            raise ConnectionAbortedError from error
        return answer

    def _open_webui(self, method: str, path: str, body: Any) -> tuple[int, object] | None:
        if (method, path) == ("POST", "/api/v1/auths/signin"):
            self.sign_ins += 1
            right = body["password"] == PASSWORD
            return (200, {"token": PERSON, "role": "admin"}) if right else (400, {"detail": "wrong"})
        if (method, path) == ("POST", "/api/v1/auths/signup"):
            return self.sign_up, {"detail": "sign-up"}
        if path == "/api/chat/completions":
            threading.Thread(target=self._chat, args=(body,)).start()
            return 200, {"status": True}
        listed = {"data": [{"id": name} for name in self.models]}
        return {
            "/ready": (200, {"status": True}),
            "/api/config": (200, {"version": "0.12.4"}),
            "/api/models": (200, listed),
        }.get(path)

    def _chat(self, body: Any) -> None:
        def tell(data: dict[str, object]) -> None:
            event = {"type": "chat:completion", "data": data}
            self.io.emit("events", {"chat_id": body["chat_id"], "message_id": body["id"], "data": event})

        if self.chat_error:
            tell({"error": {"content": self.chat_error}})
        else:
            item = {"type": "message", "content": [{"type": "output_text", "text": "Hello there."}]}
            tell({"done": False, "output": [item]})
            tell({"done": True, "output": [item]})

    def _ollama(self, path: str, body: Any, start: Start) -> Answer:
        if path == "/api/generate":
            return self._generate(body, start)
        size = 1000 * 2**20
        ps = [
            {
                "name": name,
                "size": size,
                "size_vram": int(size * self.gpu_share),
                "context_length": min(self.context, n),
            }
            for name, n in self.models.items()
        ]
        trained = self.models.get(str((body or {}).get("model")), 2048)
        answers: dict[str, object] = {
            "/api/tags": {"models": [{"name": name} for name in self.models]},
            "/api/show": {"model_info": {"general.architecture": "x", "x.context_length": trained}},
            "/v1/models": {"data": []},
            "/api/ps": {"models": ps},
            "/api/embed": {"embeddings": [[0.1, 0.2]]},
        }
        return reply(start, 200, answers[path]) if path in answers else reply(start, 404, {"error": "not found"})

    def _generate(self, body: Any, start: Start) -> Answer:
        if self.generate_error:
            return reply(start, 500, {"error": self.generate_error})
        if body.get("truncate") is False:
            there = self.real_context or self.context
            inner = {"error": {"message": "too long", "n_ctx": there, "n_prompt_tokens": len(body["prompt"]) // 5}}
            return reply(start, 400, {"error": json.dumps(inner)})
        if "prompt" not in body:
            return reply(start, 200, {"done": True, "done_reason": "load"})
        if body.get("stream") is False:
            return reply(start, 200, {"response": "13", "done": True})
        start("200 OK", [("Content-Type", "application/x-ndjson")])
        return self._stream()

    def _stream(self) -> Iterator[bytes]:
        if self.generate_error_in_stream:
            yield json.dumps({"error": self.generate_error_in_stream}).encode() + b"\n"
            return
        pieces = [json.dumps({"response": "13", "done": False}).encode() + b"\n"] * PIECES
        last = {"response": "", "done": True, "eval_count": TOKENS, "eval_duration": int(PIECES * PIECE_S * 1e9)}
        if self.buffered:
            self.buffered -= 1
            time.sleep(PIECES * PIECE_S)
            yield b"".join(pieces)
        else:
            for piece in pieces:
                yield piece
                time.sleep(PIECE_S)
        yield json.dumps(last).encode() + b"\n"


def reply(start: Start, status: int, body: object) -> Answer:
    """Answer JSON."""
    text = json.dumps(body).encode()
    start(f"{status} x", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


def redirect_to(target: str) -> Callable[[Environ, Start], Answer]:
    """Return an application that sends everybody to `target`."""

    def app(environ: Environ, start: Start) -> Answer:
        start("308 Permanent Redirect", [("Location", target), ("Content-Length", "0")])
        return []

    return app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> Environ:
        return {**super().get_environ(), "werkzeug.socket": self.connection}

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(app: Callable[[Environ, Start], Answer], certificate: Path | None = None, key: Path | None = None) -> _Server:
    """Serve `app` on a free loopback port, with TLS if a certificate is given."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.set_app(app)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
