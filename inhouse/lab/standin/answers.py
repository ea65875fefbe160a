"""What inference gives to the web: the events of an answer, or the status and text of a refusal."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import golang

Event = dict[str, Any]


class Refused(golang.GoError):
    """A request is answered with an error.

    Args:
        status: HTTP status.
        message: text of the error.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Client:
    """Who asked: whether it still waits, and what to break when it does not."""

    on_gone: Callable[[Callable[[], None]], None]


@dataclass
class Answer:
    """The events of an answer, and the model held for them until `close`."""

    events: Iterator[dict[str, Any]]
    close: Callable[[], None]


@contextlib.contextmanager
def closed_on_error(answer: Answer) -> Iterator[None]:
    """Let go of the model when the answer ends with an error, and give that a status.

    Raises:
        Refused: in place of any error in the block.
    """
    try:
        yield
    except Refused:
        answer.close()
        raise
    except golang.GoError as error:
        answer.close()
        raise Refused(500, str(error)) from error


def collected(answer: Answer) -> list[Event]:
    """All events; the model is let go.

    Raises:
        Refused: there was an error.
    """
    with closed_on_error(answer):
        events = list(answer.events)
    answer.close()
    return events


def joined(events: list[Event]) -> Event:
    """The last event, with the text of all."""
    last = dict(events[-1])
    if "message" in last:
        last["message"] = {**last["message"], "content": "".join(event["message"]["content"] for event in events)}
    else:
        last["response"] = "".join(event["response"] for event in events)
    return last
