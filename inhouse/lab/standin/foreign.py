"""Routes of other makers' APIs: /v1/…"""

from . import models, names, openai, replies, requests
from .answers import Answer, Client, Event, Refused, collected, joined
from .embedding import embed
from .inference import Inference
from .listing import Listing
from .store import Store
from .web import BARE_JSON, EVENT_STREAM, Call, Reply, Route, json_reply


class ForeignApi:
    """What these routes need, and the routes."""

    def __init__(self, store: Store, inference: Inference, listing: Listing) -> None:
        self._store = store
        self._inference = inference
        self._listing = listing

    def routes(self) -> dict[tuple[str, str], Route]:
        """Method and path → what answers."""
        return {
            ("GET", "/v1/models"): self._v1_models,
            ("GET", "/v1/models/:x"): self._v1_model,
            ("POST", "/v1/embeddings"): self._v1_embeddings,
            ("POST", "/v1/chat/completions"): self._v1_chat,
            ("POST", "/v1/completions"): self._v1_completions,
            ("POST", "/v1/responses"): self._v1_responses,
            ("POST", "/v1/messages"): self._v1_messages,
        }

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
        vectors, counts = embed(self._inference, body, replies.texts(body.get("input")))
        tokens = counts.get("prompt_eval_count", 0)
        data = [{"object": "embedding", "embedding": vector, "index": n} for n, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage}, 200, BARE_JSON)

    def _v1_chat(self, call: Call) -> Reply:
        body = _v1_body(call, "ChatCompletionRequest")
        answer = self._inference.chat(openai.chat_request(body), Client(call.on_gone))
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return replies.stream(
                answer, EVENT_STREAM, lambda events: openai.chat_stream(body["model"], events, with_usage)
            )
        text, final = _whole(answer)
        return json_reply(openai.chat_answer(body["model"], text, final), content_type=BARE_JSON)

    def _v1_completions(self, call: Call) -> Reply:
        body = _v1_body(call, "CompletionRequest")
        answer = self._inference.generate(openai.completion_request(body), Client(call.on_gone))
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return replies.stream(
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


def _v1_body(call: Call, kind: str, streams: bool = True) -> Event:
    body = requests.decode(kind, call.body())
    if body.get("stream") and not streams:
        raise Refused(501, "the lab's stand-in for Ollama does not stream this API")
    return body


def _whole(answer: Answer) -> tuple[str, Event]:
    """Text and last event."""
    whole = joined(collected(answer))
    return whole["message"]["content"] if "message" in whole else whole["response"], whole
