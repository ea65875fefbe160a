"""What shows through of the language the real server is written in: its JSON, times, durations and texts of errors."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

FOREVER = float(2**63 - 1) / 1e9
"""Seconds in the longest duration Go knows (292 years): what a negative keep-alive becomes."""

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)")


class GoError(ValueError):
    """An error with the text the real server gives it."""


def dumps(value: Any) -> str:
    """JSON as Go writes it: no spaces, letters as they are, `<`, `>` and `&` escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 with as many digits as needed."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def parse_duration(text: str) -> float:
    """`1h30m` and the like, in seconds.

    Raises:
        GoError: not a duration.
    """
    rest = text.lstrip("+-") if text[:1] in "+-" else text
    if rest == "0":
        return 0.0
    if not rest:
        raise GoError(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        term = _TERM.match(rest)
        if term is None:
            raise GoError(f'time: invalid duration "{text}"')
        number, unit = term.groups()
        if not unit:
            raise GoError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise GoError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        rest = rest[term.end() :]
    return -total if text.startswith("-") else total


def keep_alive(value: Any) -> float:
    """A request's `keep_alive`, a number of seconds or a duration, in seconds; negative means for ever.

    Raises:
        GoError: neither.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise GoError(f"Unsupported type: '{_go_type(value)}'")
    seconds = parse_duration(value) if isinstance(value, str) else float(value)
    return FOREVER if seconds < 0 else min(seconds, FOREVER)


def loads(text: str) -> Any:
    """JSON in, with Go's words for what is wrong with it.

    Raises:
        GoError: not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise GoError(_syntax_error(text, error)) from error


def json_type(value: Any) -> str:
    """What Go's JSON calls the type of a value in the text."""
    names = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names[type(value)]


def _go_type(value: Any) -> str:
    names = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
    return names.get(type(value), "%!s(<nil>)")


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    if position >= len(text) or "Unterminated string" in error.msg:
        return "unexpected EOF"
    places = {
        "Expecting property name": "looking for beginning of object key string",
        "Illegal trailing comma before end of object": "looking for beginning of object key string",
        "Expecting value": "looking for beginning of value",
        "Expecting ':'": "after object key",
        "Expecting ','": "after object key:value pair",
        "Extra data": "after top-level value",
    }
    where = next((place for start, place in places.items() if error.msg.startswith(start)), "in literal")
    return f"invalid character '{text[position]}' {where}"


def float32(value: float) -> float:
    """The nearest single-precision number, written with as few digits as tell it apart."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if math.isclose(short, value, rel_tol=3e-8):
            return short
    return value
