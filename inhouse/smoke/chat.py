"""Open-WebUI as a browser uses it: a socket.io connection that brings the answer, and a request that asks for it."""

import queue
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx
import socketio
import websocket

from inhouse.smoke.subject import Subject
from inhouse.smoke.web import CONNECT_S, trust

SOCKET_PATH: Final = "/ws/socket.io"
LONGEST_ANSWER: Final = 32


class WebsocketRefused(Exception):
    """No websocket can be opened. The text says what was answered instead."""


class ChatFailed(Exception):
    """The chat ended in an error, or never did. The text is Open-WebUI's, or says what was missing."""


def open_websocket(subject: Subject) -> None:
    """Open a websocket through the proxy, read the engine's greeting, and close it.

    Raises:
        WebsocketRefused: the answer was no websocket.
    """
    url = f"{_socket_url(subject)}{SOCKET_PATH}/?EIO=4&transport=websocket"
    try:
        connection = websocket.create_connection(url, timeout=CONNECT_S * 2, **_as_browser(subject))
        try:
            greeting = connection.recv()
        finally:
            connection.close()
    except websocket.WebSocketBadStatusException as error:
        raise WebsocketRefused(f"HTTP status {error.status_code} in place of 101") from error
    except (websocket.WebSocketException, OSError) as error:
        raise WebsocketRefused(str(error)) from error
    if not str(greeting).startswith("0{"):  # engine.io's OPEN packet
        raise WebsocketRefused("a websocket that does not speak socket.io")


def chat(subject: Subject, http: httpx.Client, token: str, model: str, within_s: float) -> str:
    """Ask a question as the browser does and return the answer that came through the websocket.

    The chat is a temporary one: nothing of it is kept.

    Raises:
        WebsocketRefused: no websocket can be opened.
        ChatFailed: no answer came, or an error.
    """
    message_id = str(uuid.uuid4())
    with _connected(subject, token) as (sid, events):
        body = _question(model, sid, message_id)
        response = http.post("/api/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"})
        if response.status_code != 200:
            raise ChatFailed(f"/api/chat/completions answered {response.status_code}: {response.text[:200]}")
        return _answer(events, message_id, within_s)


@contextmanager
def _connected(subject: Subject, token: str) -> Iterator[tuple[str, "queue.Queue[Mapping[str, Any]]"]]:
    """Yield the id of a socket.io session that belongs to the signed-in person, and the events it brings."""
    events: queue.Queue[Mapping[str, Any]] = queue.Queue()
    client = socketio.Client(reconnection=False, websocket_extra_options=_as_browser(subject))
    client.on("events", lambda event, *_: events.put(event))
    auth = {"token": token}
    try:
        client.connect(
            _socket_url(subject), auth=auth, transports=["websocket"], socketio_path=SOCKET_PATH, wait_timeout=10
        )
        if not client.call("user-join", {"auth": auth}, timeout=10):
            raise ChatFailed("the websocket opened, but Open-WebUI did not accept the session on it")
        yield client.get_sid(), events
    except socketio.exceptions.ConnectionError as error:
        raise WebsocketRefused(str(error)) from error
    except socketio.exceptions.TimeoutError as error:
        raise ChatFailed("the websocket opened, but Open-WebUI did not answer on it within 10 s") from error
    finally:
        client.disconnect()


def _question(model: str, sid: str, message_id: str) -> dict[str, object]:
    """Return the body a browser sends for a temporary chat; without background tasks such as making a title."""
    text = "Say hello in five words."
    return {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": text}],
        "params": {"max_tokens": LONGEST_ANSWER, "temperature": 0},
        "session_id": sid,
        "chat_id": f"temporary:{sid}",
        "id": message_id,
        "features": {},
        "background_tasks": {},
    }


def _answer(events: "queue.Queue[Mapping[str, Any]]", message_id: str, within_s: float) -> str:
    """Collect what comes for one message until it is done."""
    text, deadline = "", time.monotonic() + within_s
    while (left := deadline - time.monotonic()) > 0:
        try:
            event = events.get(timeout=left)
        except queue.Empty:
            break
        if event.get("message_id") != message_id:
            continue
        content = event.get("data") or {}
        data = content.get("data") or {}
        if error := data.get("error"):
            raise ChatFailed(str(error.get("content", error) if isinstance(error, dict) else error))
        text = _text_of(data) or text
        if content.get("type") == "chat:completion" and data.get("done"):
            return text
    raise ChatFailed(f"no {'end of the ' if text else ''}answer within {within_s:.0f} s")


def _text_of(data: Mapping[str, Any]) -> str:
    """Return the text of an event's items, a model's thinking included: either shows that the chat works."""
    items = data.get("output") or []
    parts = [part for item in items for part in (item.get("content") or []) + (item.get("summary") or [])]
    return "".join(str(part.get("text", "")) for part in parts).strip()


def _socket_url(subject: Subject) -> str:
    address = f"[{subject.plan.address}]" if ":" in subject.plan.address else subject.plan.address
    return f"wss://{address}:{subject.plan.https_port}"


def _as_browser(subject: Subject) -> dict[str, Any]:
    """Return options of a connection to the host's address under the host's name, with no forward proxy in between."""
    return {
        "sslopt": {"context": trust(subject), "server_hostname": subject.plan.server_name},
        "host": subject.host_header,
        "origin": subject.origin,
        "http_no_proxy": ["*"],
    }
