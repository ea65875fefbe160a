"""Send a recorded request again and compare the answer with the recorded one.

Equal must be: status, content type, the headers that matter, keys, types, texts of errors, counts of a prompt's tokens,
the order of a stream's states. Times, digests, identifiers and the tokens of an answer may differ.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "recordings"

VOLATILE = {
    "created_at", "modified_at", "expires_at", "completed_at", "created", "id", "digest", "total_duration",
    "load_duration", "prompt_eval_duration", "eval_duration", "eval_count", "completion_tokens", "output_tokens",
    "total_tokens", "content", "response", "text", "context", "embedding", "embeddings", "size", "size_vram",
    "completed",
}  # fmt: skip
"""Only the type of these is compared."""
COMPARED_HEADERS = re.compile(r"content-type|transfer-encoding|allow|vary|access-control-.*")
_MORE_CHARACTERS = re.compile(r"<(\d+) more characters>$")
_MORE_ITEMS = re.compile(r"<(\d+) more>")


@dataclass
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.body.decode().splitlines()


@dataclass
class Recording:
    """One file of the folder."""

    name: str
    request: dict[str, Any]
    response: dict[str, Any]
    ignore: set[str] = field(default_factory=set)

    @property
    def body(self) -> Any:
        """The request's body, with what was cut away put back."""
        return expanded(self.request["body"])


def names() -> list[str]:
    """Every recording, the observations of disk and registry among them."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(name: str) -> dict[str, Any]:
    """What a recording's file says."""
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def recording(name: str, ignore: set[str] | None = None) -> Recording:
    """A recorded request and answer."""
    found = load(name)
    return Recording(name, found.get("request", {}), found["response"], ignore or set())


def expanded(value: Any) -> Any:
    """Put back the rest of long texts: they were one phrase, repeated."""
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if not isinstance(value, str) or not (cut := _MORE_CHARACTERS.search(value)):
        return value
    shown = value[: cut.start()]
    period = next(n for n in range(1, len(shown)) if shown[n:] == shown[:-n])
    length = len(shown) + int(cut[1])
    return (shown[:period] * (length // period + 1))[:length]


def send(
    port: int, method: str, path: str, body: Any, headers: Mapping[str, str], stop_after: int | None = None,
    timeout: float = 400,
) -> Answer:  # fmt: skip
    """Ask; hang up after `stop_after` lines, if given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    connection.request(method, path, content, dict(headers))
    response = connection.getresponse()
    text = response.read() if stop_after is None else b"".join(response.readline() for _ in range(stop_after))
    found = {name.lower(): value for name, value in response.getheaders()}
    response.close()
    connection.close()
    return Answer(response.status, found, text)


def differences(recorded: Recording, answer: Answer, replaced: Mapping[str, str]) -> list[str]:
    """How an answer differs from the recorded one, each as one line.

    Args:
        recorded: what the real server answered.
        answer: what came.
        replaced: text of this run → text of the recording: addresses and paths.
    """
    expected = recorded.response
    found = []
    if answer.status != expected["status"]:
        found.append(f"status {answer.status} instead of {expected['status']}: {answer.body[:300]!r}")
    for name, value in expected["headers"].items():
        if COMPARED_HEADERS.fullmatch(name) and answer.headers.get(name) != value:
            found.append(f"header {name}: {answer.headers.get(name)!r} instead of {value!r}")
    compare = _Comparison(replaced, recorded.ignore)
    if "json" in expected:
        compare.values("", "", expected["json"], json.loads(answer.body))
    elif "lines" in expected:
        compare.streams(expected["lines"], answer.lines)
    elif answer.body.decode() != expected["text"]:
        found.append(f"text {answer.body[:200]!r} instead of {expected['text']!r}")
    return [f"{recorded.name}: {line}" for line in found + compare.found]


class _Comparison:
    def __init__(self, replaced: Mapping[str, str], ignore: set[str]) -> None:
        self._replaced = replaced
        self._loose = VOLATILE | ignore
        self.found: list[str] = []

    def values(self, place: str, key: str, expected: Any, found: Any) -> None:
        """Compare two values at a place like `.models[0].name`; items of a list have the key of the list."""
        if _kind(expected) != _kind(found):
            self.found.append(f"{place} is {_kind(found)} {str(found)[:80]!r} instead of {_kind(expected)}")
        elif isinstance(expected, dict):
            self._objects(place, expected, found)
        elif isinstance(expected, list):
            self._lists(place, key, expected, found)
        elif key not in self._loose and self._plain(found) != self._plain(expected):
            self.found.append(f"{place} is {self._plain(found)!r} instead of {self._plain(expected)!r}")

    def _objects(self, place: str, expected: dict[str, Any], found: dict[str, Any]) -> None:
        if set(expected) != set(found):
            lacking, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
            self.found.append(f"{place or '.'}: keys lacking {lacking}, keys too many {extra}")
        for name in expected.keys() & found.keys():
            self.values(f"{place}.{name}", name, expected[name], found[name])

    def _lists(self, place: str, key: str, expected: list[Any], found: list[Any]) -> None:
        cut = next(
            (n for n, item in enumerate(expected) if isinstance(item, str) and _MORE_ITEMS.fullmatch(item)), None
        )
        if cut is None and key not in self._loose and len(expected) != len(found):
            self.found.append(f"{place} has {len(found)} items instead of {len(expected)}")
        if cut is not None and key not in self._loose and len(found) != cut + int(re.sub(r"\D", "", expected[cut])):
            self.found.append(f"{place} has {len(found)} items instead of {cut} and {expected[cut]}")
        if key == "models":
            expected, found = (sorted(items, key=lambda item: str(item["name"])) for items in (expected, found))
        for number, (one, other) in enumerate(zip(expected[:cut], found, strict=False)):
            self.values(f"{place}[{number}]", key, one, other)

    def streams(self, expected: list[str], found: list[str]) -> None:
        """Compare the order of a stream's states."""
        wanted, got = self._states(expected), self._states(found)
        if wanted != got:
            self.found.append(f"stream {got} instead of {wanted}")

    def _states(self, lines: list[str]) -> list[str]:
        """One text for every state; equal ones in a row count as one."""
        states: list[str] = []
        for line in lines:
            if not line or _MORE_ITEMS.search(line):
                continue
            state = self._state(line)
            if not states or states[-1] != state:
                states.append(state)
        return states

    def _state(self, line: str) -> str:
        event = line.removeprefix("data: ")
        if event == "[DONE]":
            return event
        value = json.loads(event)
        if "error" in value:
            return f"error: {self._plain(value['error'])}"
        if "status" in value:
            # Whether a line of a download already has a `completed` depends on the moment.
            keys = sorted(set(value) - {"completed"})
            return f"{_without_digest(value['status'])} {keys}"
        return _shape(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, float) and value == int(value):
            return int(value)
        if not isinstance(value, str):
            return value
        for own, recorded in self._replaced.items():
            value = value.replace(own, recorded)
        return re.sub(r"on [0-9.:]+:53", "on DNS", re.sub(r"[0-9a-f]{64}", "DIGEST", value))


def _without_digest(status: str) -> str:
    status = re.sub(r"[0-9a-f]{64}", "DIGEST", status)
    return re.sub(r"^(pulling|pushing) [0-9a-f]{12}$", r"\1 LAYER", status)


def _shape(value: Any) -> str:
    """Keys and kinds of a value, as text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shape(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return f"[{_shape(value[0])}]" if value else "[]"
    return str(value) if isinstance(value, bool) or value is None else _kind(value)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, (dict, list, bool, str)):
        return type(value).__name__
    return "number"
