"""Generate and chat: from a decoded request to the events of its answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from . import faults, golang, models, names, options, prompts
from .answers import Answer, Client, Refused
from .child import EngineRefused
from .models import Model
from .options import Options
from .scheduler import QueueFull, Runner, Scheduler
from .store import Store

OPEN_END = 10
"""An answer without a limit ends after so many contexts."""
DYING_TOKEN = 3
ANY_JSON: dict[str, Any] = {"type": "object"}


class Inference:
    """What asks the engine."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    def model(self, text: str, missing_status: int = 404, missing: str = "model '{}' not found") -> Model:
        """The model called `text`.

        Raises:
            Refused: there is none, or it is damaged.
        """
        name = names.parse(text)
        if not name.valid:
            raise Refused(missing_status, missing.format(text))
        try:
            return models.load(self._store, self._store.existing(name))
        except FileNotFoundError as error:
            raise Refused(404, missing.format(text)) from error
        except golang.GoError as error:
            raise Refused(500, str(error)) from error

    def generate(self, body: dict[str, Any], client: Client) -> Answer:
        """/api/generate.

        Raises:
            Refused: no event comes at all.
        """
        model = self.model(body.get("model", ""))
        prompt = body.get("prompt", "")
        if not prompt and body.get("keep_alive") == 0:
            return self._unloaded(model, body, {"response": ""})
        self._refuse_thinking(body)
        if "completion" not in model.capabilities:
            raise Refused(400, f'"{body["model"]}" does not support generate')
        started = time.time()
        stack, runner = self.loaded(model, body)
        if not prompt:
            return Answer(iter([_done(body, {"response": ""}, "load")]), stack.close)
        system = body.get("system") or model.system
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt, "images": body.get("images")})
        raw = bool(body.get("raw"))
        template = body.get("template") or model.template
        events = self._events(
            runner, body, client, started, lambda: prompt if raw else self._prompt(runner, body, messages, template),
            images=body.get("images") or [],
            shape=lambda text: {"response": text},
            with_context=not raw,
        )  # fmt: skip
        return Answer(events, stack.close)

    def chat(self, body: dict[str, Any], client: Client) -> Answer:
        """/api/chat.

        Raises:
            Refused: no event comes at all.
        """
        if not names.parse(body.get("model", "")).valid:
            raise Refused(400, "model is required")
        model = self.model(body["model"])
        messages = list(body.get("messages") or [])
        empty = {"message": {"role": "assistant", "content": ""}}
        if not messages and body.get("keep_alive") == 0:
            return self._unloaded(model, body, empty)
        self._refuse_thinking(body)
        if "completion" not in model.capabilities:
            raise Refused(400, f'"{body["model"]}" does not support chat')
        if body.get("tools") and "tools" not in model.capabilities:
            raise Refused(400, f"{model.name} does not support tools")
        started = time.time()
        stack, runner = self.loaded(model, body)
        if not messages:
            return Answer(iter([_done(body, empty, "load")]), stack.close)
        if model.system and messages[0].get("role") != "system":
            messages.insert(0, {"role": "system", "content": model.system})
        events = self._events(
            runner, body, client, started, lambda: self._prompt(runner, body, messages, model.template),
            images=[image for message in messages for image in message.get("images") or []],
            shape=lambda text: {"message": {"role": "assistant", "content": text}},
            with_context=False,
        )  # fmt: skip
        return Answer(events, stack.close)

    def _refuse_thinking(self, body: dict[str, Any]) -> None:
        if body.get("think") and not body.get("relaxed_thinking"):
            raise Refused(400, f'"{body["model"]}" does not support thinking')

    def _unloaded(self, model: Model, body: dict[str, Any], fields: dict[str, Any]) -> Answer:
        self._scheduler.expire(model)
        return Answer(iter([_done(body, fields, "unload")]), lambda: None)

    def loaded(self, model: Model, body: dict[str, Any]) -> tuple[ExitStack, Runner]:
        """The model, held until the stack is closed.

        Raises:
            Refused: it cannot be loaded, or an option is of the wrong type.
        """
        while faults.current().name == "hang":
            time.sleep(0.2)
        stack = ExitStack()
        asked = body.get("options") or {}
        try:
            chosen = options.merged(options.merged(Options(), model.params), asked)
            runner = stack.enter_context(
                self._scheduler.runner(
                    model, chosen, body.get("keep_alive"), body.get("shift", True),
                    batch_given="num_batch" in {**model.params, **asked},
                )
            )  # fmt: skip
        except QueueFull as error:
            raise Refused(503, str(error)) from error
        except golang.GoError as error:
            raise Refused(500, str(error)) from error
        return stack, runner

    def _prompt(self, runner: Runner, body: dict[str, Any], messages: list[prompts.Message], template: str) -> str:
        count = (lambda text: len(runner.child.tokenize(text))) if body.get("truncate", True) else None
        return prompts.chat(template, messages, runner.options.num_ctx, count)

    def _events(
        self,
        runner: Runner,
        body: dict[str, Any],
        client: Client,
        started: float,
        make_prompt: Callable[[], str],
        images: list[str],
        shape: Callable[[str], dict[str, Any]],
        with_context: bool,
    ) -> Iterator[dict[str, Any]]:
        loaded = time.time()
        chosen = options.merged(options.merged(Options(), runner.model.params), body.get("options"))
        prompt = make_prompt()
        written: list[str] = []
        final: dict[str, Any] | None = None
        held_up_s = 0.0
        try:
            request = self._completion(runner, body, chosen, prompt, images)
            with runner.child.slots:
                for event in runner.child.stream("/completion", request, client.on_gone):
                    if event.get("stop"):
                        final = event
                    elif event.get("content"):
                        written.append(event["content"])
                        held_up_s += self._misbehave(runner, len(written))
                        yield {**_head(body), **shape(event["content"]), "done": False}
        except EngineRefused as error:
            raise Refused(error.status, error.body) from error
        if final is None:
            # Broken off, because it repeats itself: the real server sends no last line then either.
            return
        written.append(final.get("content", ""))
        reason = "length" if final.get("stop_type") == "limit" else "stop"
        context = runner.child.tokenize(prompt + "".join(written)) if with_context else []
        timings = final["timings"]
        metrics = {
            "context": context,
            "total_duration": nanoseconds(time.time() - started),
            "load_duration": nanoseconds(loaded - started),
            "prompt_eval_count": timings.get("cache_n", 0) + timings["prompt_n"],
            "prompt_eval_duration": int(timings["prompt_ms"] * 1e6),
            "eval_count": timings["predicted_n"],
            "eval_duration": int(timings["predicted_ms"] * 1e6) + nanoseconds(held_up_s),
        }
        yield {
            **_head(body),
            **shape(final.get("content", "")),
            "done": True,
            "done_reason": reason,
            **{name: value for name, value in metrics.items() if value},
        }

    def _misbehave(self, runner: Runner, tokens: int) -> float:
        """Do what was told; return the seconds the engine was held up, which count as its own."""
        fault = faults.current()
        if fault.name == "slow":
            time.sleep(1 / fault.tokens_per_second)
            return 1 / fault.tokens_per_second
        if fault.name == "dying-child" and tokens == DYING_TOKEN:
            runner.child.kill()
        return 0.0

    def _completion(
        self, runner: Runner, body: dict[str, Any], chosen: Options, prompt: str, images: list[str]
    ) -> dict[str, Any]:
        """The engine's own request."""
        context = runner.options.num_ctx
        limit = OPEN_END * context
        request: dict[str, Any] = {
            "prompt": self._fitted(runner, body, chosen, prompt, bool(images)),
            "stream": True,
            "cache_prompt": True,
            "n_predict": limit if chosen.num_predict < 0 else min(chosen.num_predict, limit),
            "n_keep": chosen.num_keep,
            "temperature": chosen.temperature,
            "top_k": chosen.top_k,
            "top_p": chosen.top_p,
            "min_p": chosen.min_p,
            "stop": list(chosen.stop),
            "repeat_penalty": chosen.repeat_penalty,
            "repeat_last_n": chosen.repeat_last_n,
            "frequency_penalty": chosen.frequency_penalty,
            "presence_penalty": chosen.presence_penalty,
            "seed": chosen.seed,
        }
        if images:
            request["prompt"] = {"prompt_string": prompt.replace("[img-0]", "<__media__>"), "multimodal_data": images}
        return request | _format(body.get("format"))

    def _fitted(
        self, runner: Runner, body: dict[str, Any], chosen: Options, prompt: str, images: bool
    ) -> str | list[int]:
        """The prompt, or the tokens that are left of it where it is longer than the context."""
        context = runner.options.num_ctx
        if not body.get("truncate", True) or images or len(prompt) < context:
            return prompt
        tokens = runner.child.tokenize(prompt, special=True)
        if len(tokens) <= context - 1:
            return prompt
        if not runner.shift:
            raise Refused(
                400,
                "the prompt is longer than the context length currently available to the model; shorten the prompt, "
                "adjust the context length in settings, or use a model with a longer context length",
            )
        head = runner.model.head()
        begins = bool(head and head.keys.get("tokenizer.ggml.add_bos_token"))
        return prompts.truncated(tokens, context, (len(tokens) if chosen.num_keep < 0 else chosen.num_keep) + begins)


def _format(wanted: Any) -> dict[str, Any]:
    if wanted in (None, ""):
        return {}
    if wanted == "json":
        return {"json_schema": ANY_JSON}
    if isinstance(wanted, dict):
        return {"json_schema": wanted}
    text = golang.dumps(golang.dumps(wanted))
    raise Refused(500, f'invalid format: {text}; expected "json" or a valid JSON Schema object')


def _head(body: dict[str, Any]) -> dict[str, Any]:
    return {"model": body["model"], "created_at": golang.timestamp(time.time())}


def _done(body: dict[str, Any], fields: dict[str, Any], reason: str) -> dict[str, Any]:
    return {**_head(body), **fields, "done": True, "done_reason": reason}


def nanoseconds(seconds: float) -> int:
    """As the real server tells durations."""
    return int(seconds * 1e9)
