"""The journal: one line an event, as the real server writes them."""

import sys
import threading
import time

from . import golang

_lock = threading.Lock()


def line(message: str, level: str = "INFO", **fields: object) -> None:
    """Write `message` and its fields."""
    extra = "".join(f" {name}={_quoted(value)}" for name, value in fields.items())
    raw(f'time={golang.timestamp(round(time.time(), 3))} level={level} source=stand-in msg="{message}"{extra}')


def raw(text: str) -> None:
    """Write `text` as it is."""
    with _lock:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _quoted(value: object) -> str:
    text = str(value)
    return golang.dumps(text) if " " in text or not text else text
