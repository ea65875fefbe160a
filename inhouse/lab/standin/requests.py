"""Bodies of requests: JSON in, checked for types with the real server's words."""

from typing import Any

from . import golang

COMMON = {
    "model": "string", "stream": "bool", "options": "object", "truncate": "bool", "shift": "bool", "logprobs": "bool",
    "top_logprobs": "int",
}  # fmt: skip
FIELDS = {
    "GenerateRequest": COMMON
    | {"prompt": "string", "suffix": "string", "system": "string", "template": "string", "raw": "bool"},
    "ChatRequest": COMMON | {"messages": "array", "tools": "array"},
    "EmbedRequest": {"model": "string", "truncate": "bool", "dimensions": "int", "options": "object"},
    "EmbeddingRequest": {"model": "string", "prompt": "string", "options": "object"},
    "PullRequest": {"model": "string", "name": "string", "insecure": "bool", "stream": "bool"},
    "PushRequest": {"model": "string", "name": "string", "insecure": "bool", "stream": "bool"},
    "CreateRequest": {
        "model": "string", "name": "string", "from": "string", "files": "object", "template": "string",
        "system": "string", "parameters": "object", "stream": "bool",
    },
    "ShowRequest": {"model": "string", "name": "string", "verbose": "bool"},
    "DeleteRequest": {"model": "string", "name": "string"},
    "CopyRequest": {"source": "string", "destination": "string"},
    "ChatCompletionRequest": {
        "model": "string", "messages": "array", "stream": "bool", "temperature": "float64", "max_tokens": "int",
    },
    "CompletionRequest": {
        "model": "string", "prompt": "string", "stream": "bool", "temperature": "float32", "max_tokens": "int",
    },
    "ResponsesRequest": {"model": "string", "stream": "bool", "temperature": "float64", "max_output_tokens": "int"},
    "MessagesRequest": {"model": "string", "messages": "array", "stream": "bool", "max_tokens": "int"},
}  # fmt: skip
"""The real server's name of a request → its fields and their types. Fields not named here are not checked."""

_JSON_TYPES = {
    "string": "string", "bool": "bool", "int": "number", "float32": "number", "float64": "number", "array": "array",
    "object": "object",
}  # fmt: skip
_GO_NAMES = {"array": "[]api.Message", "object": "map[string]interface {}"}


def decode(kind: str, content: bytes) -> dict[str, Any]:
    """The fields of a request; those that are null are left out.

    Raises:
        GoError: not JSON, or a field of the wrong type.
    """
    if not content.strip():
        raise golang.GoError("missing request body")
    body = golang.loads(content.decode(errors="replace"))
    if not isinstance(body, dict):
        raise golang.GoError(f"json: cannot unmarshal {golang.json_type(body)} into Go value of type {kind}")
    present = {name: value for name, value in body.items() if value is not None}
    for name, wanted in FIELDS[kind].items():
        if name in present and golang.json_type(present[name]) != _JSON_TYPES[wanted]:
            raise golang.GoError(
                f"json: cannot unmarshal {golang.json_type(present[name])} into Go struct field "
                f"{kind}.{name} of type {_GO_NAMES.get(wanted, wanted)}"
            )
    if "keep_alive" in present:
        present["keep_alive"] = golang.keep_alive(present["keep_alive"])
    return present
