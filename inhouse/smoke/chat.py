"""Open-WebUI as a browser uses it: a socket.io connection that brings the answer, and a request that asks for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import httpx
import socketio
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from inhouse.smoke.subject import Subject
from inhouse.smoke.web import CONNECT_S, trust

SOCKET_PATH: Final = "/ws/socket.io"
SOCKET_S: Final = 10.0
"""Seconds for each step of opening a session; none of them waits for a model."""
LONGEST_ANSWER: Final = 32

Events = asyncio.Queue[Mapping[str, Any]]


class WebsocketRefused(Exception):
    """No websocket can be opened. The text says what was answered instead."""


class ChatFailed(Exception):
    """The chat ended in an error, or never did. The text is Open-WebUI's, or says what was missing."""


class _ByAddress(AbstractResolver):
    """Resolves every name to one address, as if a DNS server had said so; TLS still checks the name."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._system = ThreadedResolver()

    async def resolve(self, host: str, *arguments: Any, **options: Any) -> list[ResolveResult]:
        found = await self._system.resolve(self._address, *arguments, **options)
        return [ResolveResult(**{**one, "hostname": host}) for one in found]

    async def close(self) -> None:
        """Nothing is kept."""


def open_websocket(subject: Subject) -> None:
    """Open a websocket through the proxy, read the engine's greeting, and close it.

    Raises:
        WebsocketRefused: the answer was no websocket, or one of something else.
    """
    asyncio.run(_open(subject))


def chat(subject: Subject, http: httpx.Client, token: str, model: str, within_s: float) -> str:
    """Ask a question as the browser does and return the answer that came through the websocket.

    The chat is a temporary one: nothing of it is kept.

    Args:
        subject: the host.
        http: a client of it, without a token.
        token: the signed-in person's.
        model: its full name.
        within_s: seconds the answer may take from end to end.

    Raises:
        WebsocketRefused: no websocket can be opened.
        ChatFailed: no answer came, or an error.
    """
    return asyncio.run(_chat(subject, http, token, model, within_s))


async def _open(subject: Subject) -> None:
    url = f"{subject.origin}{SOCKET_PATH}/?EIO=4&transport=websocket"
    try:
        async with _browser(subject) as browser, browser.ws_connect(url, origin=subject.origin) as connection:
            greeting = await connection.receive(timeout=SOCKET_S)
    except aiohttp.WSServerHandshakeError as error:
        raise WebsocketRefused(f"HTTP status {error.status} in place of 101") from error
    except (aiohttp.ClientError, OSError) as error:
        raise WebsocketRefused(str(error) or type(error).__name__) from error
    if not str(greeting.data).startswith("0{"):  # engine.io's OPEN packet
        raise WebsocketRefused("a websocket that does not speak socket.io")


async def _chat(subject: Subject, http: httpx.Client, token: str, model: str, within_s: float) -> str:
    message_id, headers = str(uuid.uuid4()), {"Authorization": f"Bearer {token}"}
    async with _session(subject, token) as (sid, events):
        body = _question(model, sid, message_id)
        response = await asyncio.to_thread(http.post, "/api/chat/completions", json=body, headers=headers)
        if response.status_code != 200:
            raise ChatFailed(f"/api/chat/completions answered {response.status_code}: {response.text[:200]}")
        try:
            async with asyncio.timeout(within_s):
                return await _answer(events, message_id)
        except TimeoutError as error:
            raise ChatFailed(f"no end of an answer within {within_s:.0f} s") from error


@asynccontextmanager
async def _session(subject: Subject, token: str) -> AsyncIterator[tuple[str, Events]]:
    """Yield the id of a socket.io session that belongs to the signed-in person, and the events it brings."""
    events: Events = asyncio.Queue()
    auth = {"token": token}
    async with _browser(subject) as browser:
        client = socketio.AsyncClient(reconnection=False, http_session=browser)
        client.on("events", lambda event, *_: events.put_nowait(event))
        try:
            await client.connect(
                subject.origin,
                headers={"Origin": subject.origin},
                auth=auth,
                transports=["websocket"],
                socketio_path=SOCKET_PATH,
                wait_timeout=SOCKET_S,
            )
            if not await client.call("user-join", {"auth": auth}, timeout=SOCKET_S):
                raise ChatFailed("the websocket opened, but Open-WebUI did not accept the session on it")
            yield client.get_sid(), events
        except socketio.exceptions.ConnectionError as error:
            raise WebsocketRefused(str(error)) from error
        except socketio.exceptions.TimeoutError as error:
            raise ChatFailed(f"the websocket opened, but nothing came through it within {SOCKET_S:.0f} s") from error
        finally:
            await client.disconnect()


def _browser(subject: Subject) -> aiohttp.ClientSession:
    """Return a client that reaches the host's address under the host's name, and trusts the fleet CA alone."""
    connector = aiohttp.TCPConnector(resolver=_ByAddress(subject.plan.address), ssl=trust(subject))
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S))


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


async def _answer(events: Events, message_id: str) -> str:
    """Collect what comes for one message until it is done."""
    text = ""
    while True:
        event = await events.get()
        if event.get("message_id") != message_id:
            continue
        content = event.get("data") or {}
        data = content.get("data") or {}
        if error := data.get("error"):
            raise ChatFailed(str(error.get("content", error) if isinstance(error, dict) else error))
        text = _text_of(data) or text
        if content.get("type") == "chat:completion" and data.get("done"):
            return text


def _text_of(data: Mapping[str, Any]) -> str:
    """Return the text of an event's items, a model's thinking included: either shows that the chat works."""
    items = data.get("output") or []
    parts = [part for item in items for part in (item.get("content") or []) + (item.get("summary") or [])]
    return "".join(str(part.get("text", "")) for part in parts).strip()
