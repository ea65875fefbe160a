"""The same answers in the shapes of other makers' APIs: /v1/chat/completions and its kin, /v1/messages."""

import random
import time
from collections.abc import Iterator
from typing import Any

from . import golang

Event = dict[str, Any]
FINGERPRINT = "fp_ollama"


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error as clients of these APIs know it."""
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    return {"error": {"message": message, "type": kinds.get(status, "api_error"), "param": None, "code": None}}


def chat_request(body: Event) -> Event:
    """/v1/chat/completions as a request for /api/chat."""
    found: Event = {"model": body.get("model", ""), "messages": [_message(one) for one in body.get("messages") or []]}
    for name in ("tools", "keep_alive"):
        if name in body:
            found[name] = body[name]
    format_ = body.get("response_format") or {}
    if format_.get("type") == "json_object":
        found["format"] = "json"
    elif format_.get("type") == "json_schema":
        found["format"] = format_["json_schema"]["schema"]
    return found | {"options": _options(body, body.get("max_completion_tokens", body.get("max_tokens")))}


def completion_request(body: Event) -> Event:
    """/v1/completions as a request for /api/generate."""
    return {
        "model": body.get("model", ""),
        "prompt": body.get("prompt", ""),
        "suffix": body.get("suffix", ""),
        "options": _options(body, body.get("max_tokens")),
    }


def responses_request(body: Event) -> Event:
    """/v1/responses as a request for /api/chat."""
    given = body.get("input", "")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else [_message(one) for one in given]
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    return {
        "model": body.get("model", ""),
        "messages": messages,
        "options": _options(body, body.get("max_output_tokens")),
    }


def messages_request(body: Event) -> Event:
    """/v1/messages as a request for /api/chat."""
    messages = [_message(one) for one in body.get("messages") or []]
    if body.get("system"):
        messages.insert(0, _message({"role": "system", "content": body["system"]}))
    # Left to the model where the request does not say: this API has no default of its own.
    given: Event = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    if "max_tokens" in body:
        given["num_predict"] = body["max_tokens"]
    return {"model": body.get("model", ""), "messages": messages, "options": given, "relaxed_thinking": True}


def _message(message: Event) -> Event:
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content)
    return {"role": message.get("role"), "content": content}


def _options(body: Event, limit: Any) -> Event:
    stop = body.get("stop")
    given = {
        "temperature": float(body.get("temperature", 1.0)),
        "top_p": float(body.get("top_p", 1.0)),
        "num_predict": limit,
        "seed": body.get("seed"),
        "frequency_penalty": body.get("frequency_penalty"),
        "presence_penalty": body.get("presence_penalty"),
        "stop": [stop] if isinstance(stop, str) else stop,
    }
    return {name: value for name, value in given.items() if value is not None}


def usage(final: Event) -> dict[str, int]:
    """Counts of tokens."""
    asked, written = final.get("prompt_eval_count", 0), final.get("eval_count", 0)
    return {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}


def _start(kind: str, prefix: str, model: str) -> Event:
    return {
        "id": f"{prefix}-{random.randrange(999)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def chat_answer(model: str, text: str, final: Event) -> Event:
    """A whole answer of /v1/chat/completions."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": final.get("done_reason")}
    return _start("chat.completion", "chatcmpl", model) | {"choices": [choice], "usage": usage(final)}


def completion_answer(model: str, text: str, final: Event) -> Event:
    """A whole answer of /v1/completions."""
    choice = {"text": text, "index": 0, "finish_reason": final.get("done_reason")}
    return _start("text_completion", "cmpl", model) | {"choices": [choice], "usage": usage(final)}


def chat_stream(model: str, events: Iterator[Event], with_usage: bool) -> Iterator[str]:
    """Lines of a streamed answer of /v1/chat/completions."""
    start = _start("chat.completion.chunk", "chatcmpl", model)
    role: Event = {"role": "assistant"}
    for event in events:
        text = event["message"]["content"]
        if text:
            choice = {"index": 0, "delta": {**role, "content": text}, "finish_reason": None}
            yield _data({**start, "choices": [choice]})
            role = {}
        if event["done"]:
            yield _data({**start, "choices": [{"index": 0, "delta": {}, "finish_reason": event["done_reason"]}]})
            if with_usage:
                yield _data({**start, "choices": [], "usage": usage(event)})
    yield "data: [DONE]\n\n"


def completion_stream(model: str, events: Iterator[Event], with_usage: bool) -> Iterator[str]:
    """Lines of a streamed answer of /v1/completions."""
    start = _start("text_completion", "cmpl", model)
    for event in events:
        reason = event.get("done_reason") if event["done"] else None
        yield _data({**start, "choices": [{"text": event["response"], "index": 0, "finish_reason": reason}]})
        if event["done"] and with_usage:
            yield _data({**start, "choices": [], "usage": usage(event)})
    yield "data: [DONE]\n\n"


def _data(body: Event) -> str:
    return f"data: {golang.dumps(body)}\n\n"


def responses_answer(body: Event, text: str, final: Event) -> Event:
    """A whole answer of /v1/responses."""
    now = int(time.time())
    counts = usage(final)
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {
        "id": f"msg_{random.randrange(10**6)}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }
    nothing = dict.fromkeys(("incomplete_details", "previous_response_id", "error", "reasoning", "max_tool_calls"))
    return {
        "id": f"resp_{random.randrange(10**6)}",
        "object": "response",
        "created_at": now,
        "completed_at": now,
        "status": "completed",
        "model": body["model"],
        "instructions": body.get("instructions"),
        "output": [message],
        "tools": [],
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        "top_p": body.get("top_p", 1),
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": body.get("temperature", 1),
        "usage": {
            "input_tokens": counts["prompt_tokens"],
            "output_tokens": counts["completion_tokens"],
            "total_tokens": counts["total_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        "max_output_tokens": body.get("max_output_tokens"),
        "store": False,
        "background": False,
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
        **nothing,
    }


def messages_answer(body: Event, text: str, final: Event) -> Event:
    """A whole answer of /v1/messages."""
    reasons = {"length": "max_tokens", "stop": "end_turn"}
    counts = usage(final)
    return {
        "id": f"msg_{random.randbytes(12).hex()}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": reasons.get(final.get("done_reason", "stop"), "end_turn"),
        "usage": {"input_tokens": counts["prompt_tokens"], "output_tokens": counts["completion_tokens"]},
    }


def model_entry(model: str, modified: float, owner: str) -> Event:
    """A line of /v1/models."""
    return {"id": model, "object": "model", "created": int(modified), "owned_by": owner}
