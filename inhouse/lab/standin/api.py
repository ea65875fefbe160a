"""Routes of the native API, from the request to the reply."""

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from . import golang, models, names, replies, requests
from .answers import Answer, Client, Event, Refused, collected, joined
from .create import create
from .embedding import embed
from .foreign import ForeignApi
from .inference import Inference
from .listing import Listing
from .pull import Puller
from .push import push
from .release import VERSION
from .scheduler import Scheduler
from .store import Store
from .web import NDJSON, PLAIN, Call, Reply, Route, json_reply

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
        }
        for method in ("GET", "HEAD"):
            found[method, "/"] = lambda _: Reply(200, f"{PLAIN}; charset=utf-8", b"Ollama is running")
            found[method, "/api/version"] = lambda _: json_reply({"version": VERSION})
            found[method, "/api/tags"] = self._tags
        found |= ForeignApi(self._store, self._inference, self._listing).routes()
        return {key: replies.guarded(route, key[1].startswith("/v1/")) for key, route in found.items()}

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
        return replies.progress(events, body.get("stream", True))

    def _push(self, call: Call) -> Reply:
        body = requests.decode("PushRequest", call.body())
        name = names.parse(body.get("model") or body.get("name", ""))
        if not name.valid:
            raise Refused(400, "invalid model name")
        return replies.progress(push(self._store, name, bool(body.get("insecure"))), body.get("stream", True))

    def _create(self, call: Call) -> Reply:
        body = requests.decode("CreateRequest", call.body())
        name = names.parse(body.get("model") or body.get("name", ""))
        if not name.valid:
            raise Refused(400, "invalid model name")
        events = create(self._store, self._puller, self._store.existing(name), body)
        return replies.progress(events, body.get("stream", True))

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
        if body.get("stream", True) and not _finished_at_once(body):
            return replies.stream(answer, NDJSON, replies.lines)
        events = collected(answer)
        if not events:
            return json_reply({"model": body["model"], "created_at": golang.timestamp(time.time()), "done": False})
        return json_reply(joined(events))

    def _embed(self, call: Call) -> Reply:
        body = requests.decode("EmbedRequest", call.body())
        vectors, counts = embed(self._inference, body, replies.texts(body.get("input")))
        shown = {name: value for name, value in counts.items() if value}
        return json_reply({"model": body["model"], "embeddings": vectors, **shown})

    def _embed_one(self, call: Call) -> Reply:
        body = requests.decode("EmbeddingRequest", call.body())
        vectors, _ = embed(self._inference, body, replies.texts(body.get("prompt")))
        return json_reply({"embedding": vectors[0] if vectors else []})


def _finished_at_once(body: Event) -> bool:
    """Loading and unloading are answered in one piece, streamed or not."""
    return not body.get("prompt") and not body.get("messages")
