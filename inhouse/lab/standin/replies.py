"""From events to replies: streams, whole answers, and errors in the shape of the API they were asked through."""

from collections.abc import Callable, Generator, Iterator
from itertools import chain, islice
from typing import Any

from . import golang, openai
from .answers import Answer, Event, Refused, closed_on_error
from .web import BARE_JSON, NDJSON, Call, Reply, Route, json_reply


def guarded(route: Route, foreign: bool) -> Route:
    """Errors become replies; `foreign`: in the shape other makers' clients know."""

    def refused(status: int, error: Exception) -> Reply:
        if foreign:
            return json_reply(openai.error_body(status, str(error)), status, BARE_JSON)
        return json_reply({"error": str(error)}, status)

    def answer(call: Call) -> Reply:
        try:
            return route(call)
        except Refused as error:
            return refused(error.status, error)
        except golang.GoError as error:
            # A request that could not even be read; its content type is the native one in every API.
            return json_reply(openai.error_body(400, str(error)) if foreign else {"error": str(error)}, 400)
        except OSError as error:
            return refused(500, error)

    return answer


def stream(answer: Answer, content_type: str, shape: Callable[[Iterator[Event]], Iterator[str]]) -> Reply:
    """A streamed reply; an error before the first event still decides the status."""
    with closed_on_error(answer):
        first = list(islice(answer.events, 1))
    texts = shape(chain(first, answer.events))
    return Reply(200, content_type, stream=_with_error_line(texts), close=answer.close)


def lines(events: Iterator[Event]) -> Iterator[str]:
    """One JSON text a line."""
    for event in events:
        yield golang.dumps(event) + "\n"


def progress(events: Iterator[Event], streamed: bool) -> Reply:
    """The reply of a long task: every step, or only the last."""
    if streamed:
        texts = _with_error_line(lines(events))
        return Reply(200, NDJSON, stream=texts, close=texts.close)
    try:
        last = list(events)[-1]
    except (golang.GoError, OSError) as error:
        return json_reply({"error": str(error)}, getattr(error, "status", 500), BARE_JSON)
    return json_reply(last, content_type=BARE_JSON)


def texts(given: Any) -> list[str]:
    """The input of an embedding: one text or several.

    Raises:
        Refused: something else.
    """
    if given is None or given == "":
        return []
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise Refused(400, "invalid input type")
    return found


def _with_error_line(texts: Iterator[str]) -> Generator[str, None, None]:
    """An error in the middle of a stream is a line of it."""
    try:
        yield from texts
    except (golang.GoError, OSError) as error:
        yield golang.dumps({"error": str(error)}) + "\n"
