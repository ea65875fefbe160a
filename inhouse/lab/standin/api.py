"""Every route, from the request to the reply."""

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from . import golang, models, names, openai, requests
from .create import create
from .inference import Answer, Client, Inference, Refused
from .listing import Listing
from .pull import Puller
from .push import push
from .release import VERSION
from .scheduler import Scheduler
from .store import Store
from .web import BARE_JSON, EVENT_STREAM, NDJSON, PLAIN, Call, Reply, Route, json_reply

Event = dict[str, Any]
PRETENDED = {"X-Inhouse-Lab": "size_vram pretended"}
"""Marks an answer in which the lab made up what a GPU it only pretends would hold."""


class Api:
    """What the routes need, and the routes."""

    def __init__(self, store: Store, scheduler: Scheduler, puller: Puller) -> None:
        self._store = store
        self._scheduler = scheduler
        self._puller = puller
        self._inference = Inference(store, scheduler)
        self._listing = Listing(store)
        self._listing.hydrate()

    def routes(self) -> dict[tuple[str, str], Route]:
        """Method and path → what answers."""
        found: dict[tuple[str, str], Route] = {
            ("GET", "/api/status"): lambda _: json_reply({"cloud": {"disabled": True, "source": "env"}}),
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/pull"): self._pull,
            ("POST", "/api/push"): self._push,
            ("POST", "/api/create"): self._create,
            ("POST", "/api/copy"): self._copy,
            ("DELETE", "/api/delete"): self._delete,
            ("POST", "/api/blobs/:x"): self._add_blob,
            ("HEAD", "/api/blobs/:x"): self._has_blob,
            ("POST", "/api/generate"): lambda call: self._native(call, "GenerateRequest", self._inference.generate),
            ("POST", "/api/chat"): lambda call: self._native(call, "ChatRequest", self._inference.chat),
            ("POST", "/api/embed"): self._embed,
            ("POST", "/api/embeddings"): self._embed_one,
            ("GET", "/v1/models"): self._v1_models,
            ("GET", "/v1/models/:x"): self._v1_model,
            ("POST", "/v1/embeddings"): self._v1_embeddings,
            ("POST", "/v1/chat/completions"): self._v1_chat,
            ("POST", "/v1/completions"): self._v1_completions,
            ("POST", "/v1/responses"): self._v1_responses,
            ("POST", "/v1/messages"): self._v1_messages,
        }
        for method in ("GET", "HEAD"):
            found[method, "/"] = lambda _: Reply(200, f"{PLAIN}; charset=utf-8", b"Ollama is running")
            found[method, "/api/version"] = lambda _: json_reply({"version": VERSION})
            found[method, "/api/tags"] = self._tags
        return {key: _guarded(route, key[1].startswith("/v1/")) for key, route in found.items()}

    def _tags(self, _: Call) -> Reply:
        return json_reply({"models": self._listing.entries()})

    def _ps(self, _: Call) -> Reply:
        entries, marked = [], False
        for runner in self._scheduler.runners():
            size, vram, pretended = runner.sizes
            marked = marked or pretended
            name = runner.model.name.short
            entry = {"name": name, "model": name, "size": size, "digest": runner.model.digest}
            entry |= {"details": runner.model.details(), "expires_at": golang.timestamp(runner.expires_at)}
            entries.append(entry | {"size_vram": vram, "context_length": runner.options.num_ctx})
        reply = json_reply({"models": entries})
        reply.headers = dict(PRETENDED) if marked else {}
        return reply

    def _show(self, call: Call) -> Reply:
        body = requests.decode("ShowRequest", call.body())
        asked = body.get("model") or body.get("name", "")
        name = names.parse(asked)
        if not name.valid:
            raise Refused(400, "invalid model name")
        try:
            model = models.load(self._store, self._store.existing(name))
            return json_reply(models.shown(model, bool(body.get("verbose"))))
        except FileNotFoundError as error:
            raise Refused(404, f"model '{name.short}' not found") from error

    def _pull(self, call: Call) -> Reply:
        body = requests.decode("PullRequest", call.body())
        name = names.parse(body.get("model") or body.get("name", ""))
        if not name.valid:
            raise Refused(400, "invalid model name")
        events = self._puller.pull(self._store.existing(name), bool(body.get("insecure")))
        return _progress(events, body.get("stream", True))

    def _push(self, call: Call) -> Reply:
        body = requests.decode("PushRequest", call.body())
        name = names.parse(body.get("model") or body.get("name", ""))
        if not name.valid:
            raise Refused(400, "invalid model name")
        return _progress(push(self._store, name, bool(body.get("insecure"))), body.get("stream", True))

    def _create(self, call: Call) -> Reply:
        body = requests.decode("CreateRequest", call.body())
        name = names.parse(body.get("model") or body.get("name", ""))
        if not name.valid:
            raise Refused(400, "invalid model name")
        events = create(self._store, self._puller, self._store.existing(name), body)
        return _progress(events, body.get("stream", True))

    def _copy(self, call: Call) -> Reply:
        body = requests.decode("CopyRequest", call.body())
        source, destination = names.parse(body.get("source", "")), names.parse(body.get("destination", ""))
        for role, name in (("source", source), ("destination", destination)):
            if not name.valid:
                raise Refused(400, f'{role} "{body.get(role, "")}" is invalid')
        try:
            self._store.copy(self._store.existing(source), self._store.existing(destination))
        except FileNotFoundError as error:
            raise Refused(404, f'model "{body["source"]}" not found') from error
        return Reply()

    def _delete(self, call: Call) -> Reply:
        body = requests.decode("DeleteRequest", call.body())
        asked = body.get("model") or body.get("name", "")
        name = names.parse(asked)
        if not name.valid:
            raise Refused(400, f'name "{asked}" is invalid')
        try:
            self._store.delete(self._store.existing(name))
        except FileNotFoundError as error:
            raise Refused(404, f"model '{asked}' not found") from error
        except golang.GoError as error:
            raise Refused(500, str(error)) from error
        return Reply()

    def _has_blob(self, call: Call) -> Reply:
        if not self._store.blob(call.parameter).exists():
            raise Refused(404, f'blob "{call.parameter}" not found')
        return Reply()

    def _add_blob(self, call: Call) -> Reply:
        target = self._store.blob(call.parameter)
        if target.exists():
            return Reply()
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=self._store.blobs, prefix="sha256-", delete=False) as file:
            for data in call.chunks():
                digest.update(data)
                file.write(data)
        found = f"sha256:{digest.hexdigest()}"
        uploaded = Path(file.name)
        uploaded.chmod(0o644)
        # Under its true digest it stays, whatever it was announced as: so does the real server.
        uploaded.replace(self._store.blob(found))
        if found != call.parameter:
            raise Refused(400, f'digest mismatch, expected "{call.parameter}", got "{found}"')
        return Reply(201)

    def _native(self, call: Call, kind: str, start: Callable[[Event, Client], Answer]) -> Reply:
        body = requests.decode(kind, call.body())
        answer = start(body, Client(call.on_gone))
        with _closed_on_error(answer):
            if body.get("stream", True) and not _finished_at_once(body):
                return _stream(answer, NDJSON, _lines)
            events = list(answer.events)
        answer.close()
        if not events:
            return json_reply({"model": body["model"], "created_at": golang.timestamp(time.time()), "done": False})
        return json_reply(_joined(events))

    def _embed(self, call: Call) -> Reply:
        body = requests.decode("EmbedRequest", call.body())
        vectors, counts = self._inference.embed(body, _texts(body.get("input")))
        shown = {name: value for name, value in counts.items() if value}
        return json_reply({"model": body["model"], "embeddings": vectors, **shown})

    def _embed_one(self, call: Call) -> Reply:
        body = requests.decode("EmbeddingRequest", call.body())
        vectors, _ = self._inference.embed(body, _texts(body.get("prompt")))
        return json_reply({"embedding": vectors[0] if vectors else []})

    def _v1_models(self, _: Call) -> Reply:
        found = [
            openai.model_entry(model.name.short, model.modified, model.name.namespace)
            for model in self._listing.models()
        ]
        return json_reply({"object": "list", "data": found}, content_type=BARE_JSON)

    def _v1_model(self, call: Call) -> Reply:
        name = names.parse(call.parameter)
        if not name.valid:
            raise Refused(400, "invalid model name")
        try:
            model = models.load(self._store, self._store.existing(name))
        except FileNotFoundError as error:
            raise Refused(404, f"model '{name.short}' not found") from error
        entry = openai.model_entry(call.parameter, model.modified, model.name.namespace)
        return json_reply(entry, content_type=BARE_JSON)

    def _v1_embeddings(self, call: Call) -> Reply:
        body = requests.decode("EmbedRequest", call.body())
        vectors, counts = self._inference.embed(body, _texts(body.get("input")))
        tokens = counts.get("prompt_eval_count", 0)
        data = [{"object": "embedding", "embedding": vector, "index": n} for n, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage}, 200, BARE_JSON)

    def _v1_chat(self, call: Call) -> Reply:
        body = _v1_body(call, "ChatCompletionRequest")
        answer = self._inference.chat(openai.chat_request(body), Client(call.on_gone))
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return _stream(answer, EVENT_STREAM, lambda events: openai.chat_stream(body["model"], events, with_usage))
        text, final = _whole(answer)
        return json_reply(openai.chat_answer(body["model"], text, final), content_type=BARE_JSON)

    def _v1_completions(self, call: Call) -> Reply:
        body = _v1_body(call, "CompletionRequest")
        answer = self._inference.generate(openai.completion_request(body), Client(call.on_gone))
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return _stream(
                answer, EVENT_STREAM, lambda events: openai.completion_stream(body["model"], events, with_usage)
            )
        text, final = _whole(answer)
        return json_reply(openai.completion_answer(body["model"], text, final), content_type=BARE_JSON)

    def _v1_responses(self, call: Call) -> Reply:
        body = _v1_body(call, "ResponsesRequest", streams=False)
        text, final = _whole(self._inference.chat(openai.responses_request(body), Client(call.on_gone)))
        return json_reply(openai.responses_answer(body, text, final), content_type=BARE_JSON)

    def _v1_messages(self, call: Call) -> Reply:
        body = _v1_body(call, "MessagesRequest", streams=False)
        text, final = _whole(self._inference.chat(openai.messages_request(body), Client(call.on_gone)))
        return json_reply(openai.messages_answer(body, text, final), content_type=BARE_JSON)


def _guarded(route: Route, foreign: bool) -> Route:
    """Errors become replies, in the shape of the API they were asked through."""

    def answer(call: Call) -> Reply:
        try:
            return route(call)
        except Refused as error:
            if foreign:
                return json_reply(openai.error_body(error.status, str(error)), error.status, BARE_JSON)
            return json_reply({"error": str(error)}, error.status)
        except golang.GoError as error:
            # A request that could not even be read.
            return json_reply(openai.error_body(400, str(error)) if foreign else {"error": str(error)}, 400)

    return answer


def _v1_body(call: Call, kind: str, streams: bool = True) -> Event:
    body = requests.decode(kind, call.body())
    if body.get("stream") and not streams:
        raise Refused(501, "the lab's stand-in for Ollama does not stream this API")
    return body


def _texts(given: Any) -> list[str]:
    if given is None or given == "":
        return []
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "invalid input type")
    return texts


def _finished_at_once(body: Event) -> bool:
    """Loading and unloading are answered in one piece, streamed or not."""
    return not body.get("prompt") and not body.get("messages")


def _joined(events: list[Event]) -> Event:
    """The last event, with the text of all."""
    last = dict(events[-1])
    if "message" in last:
        last["message"] = {**last["message"], "content": "".join(event["message"]["content"] for event in events)}
    else:
        last["response"] = "".join(event["response"] for event in events)
    return last


def _whole(answer: Answer) -> tuple[str, Event]:
    """Text and last event."""
    with _closed_on_error(answer):
        events = list(answer.events)
    answer.close()
    joined = _joined(events)
    return joined["message"]["content"] if "message" in joined else joined["response"], joined


@contextlib.contextmanager
def _closed_on_error(answer: Answer) -> Iterator[None]:
    try:
        yield
    except Refused:
        answer.close()
        raise
    except golang.GoError as error:
        answer.close()
        raise Refused(500, str(error)) from error


def _stream(answer: Answer, content_type: str, shape: Callable[[Iterator[Event]], Iterator[str]]) -> Reply:
    """A streamed reply; an error before the first event still decides the status."""
    with _closed_on_error(answer):
        first = list(islice(answer.events, 1))
    texts = shape(chain(first, answer.events))
    return Reply(200, content_type, stream=_with_error_line(texts), close=answer.close)


def _with_error_line(texts: Iterator[str]) -> Iterator[str]:
    """An error in the middle of a stream is a line of it."""
    try:
        yield from texts
    except golang.GoError as error:
        yield golang.dumps({"error": str(error)}) + "\n"


def _lines(events: Iterator[Event]) -> Iterator[str]:
    for event in events:
        yield golang.dumps(event) + "\n"


def _progress(events: Iterator[Event], streamed: bool) -> Reply:
    """The reply of a long task: every step, or only the last."""
    if streamed:
        generator = _with_error_line(_lines(events))
        return Reply(200, NDJSON, stream=generator, close=_closer(generator))
    try:
        last = list(events)[-1]
    except golang.GoError as error:
        return json_reply({"error": str(error)}, getattr(error, "status", 500), BARE_JSON)
    return json_reply(last, content_type=BARE_JSON)


def _closer(generator: Iterator[str]) -> Callable[[], None]:
    return getattr(generator, "close", lambda: None)
