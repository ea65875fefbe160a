"""From messages to the text the engine continues: pure, but for a function that counts tokens."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from . import golang

Message = dict[str, Any]
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_CONDITION = re.compile(r"\{\{-?\s*if\s+\.(\w+)\s*-?\}\}(.*?)\{\{-?\s*end\s*-?\}\}", re.DOTALL)
_FIELDS = (".System", ".Prompt", ".Response")


def chat(template: str, messages: Sequence[Message], context: int, count: Callable[[str], int] | None) -> str:
    """The prompt of a conversation. Older messages are dropped, without a word, until the rest fits.

    System messages among the dropped ones are kept, and so is the last message, whatever its length.

    Args:
        template: of the model.
        messages: the oldest first.
        context: tokens there is room for.
        count: tokens of a text; None where nothing may be dropped.
    """
    if count is None:
        return render(template, messages)
    for start in range(len(messages)):
        kept = [message for message in messages[:start] if message.get("role") == "system"]
        prompt = render(template, [*kept, *messages[start:]])
        if count(prompt) <= context:
            break
    return prompt


def render(template: str, messages: Sequence[Message]) -> str:
    """Fill in the template, once for every exchange; messages of an unknown role vanish."""
    parts: list[str] = []
    system = prompt = response = ""
    for message in collated(messages):
        role, content = message["role"], message["content"]
        if (role == "system" and (prompt or response)) or (role == "user" and response):
            parts.append(_filled(template, system, prompt, response))
            system = prompt = response = ""
        if role == "system":
            system = content
        elif role == "user":
            prompt = content
        elif role == "assistant":
            response = content
    return "".join(parts) + _filled(template, system, prompt, response, up_to_response=True)


def collated(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of the same role become one message."""
    found: list[Message] = []
    for message in messages:
        content = "".join(f"[img-{n}]" for n, _ in enumerate(message.get("images") or [])) + str(
            message.get("content", "")
        )
        if found and found[-1]["role"] == message.get("role"):
            found[-1]["content"] += f"\n\n{content}"
        else:
            found.append({"role": message.get("role"), "content": content})
    return found


def truncated(tokens: list[int], context: int, keep: int) -> list[int]:
    """The first `keep` tokens and the newest, about half of what the context has room for beside them."""
    keep = min(keep, context - 1)
    limit = context - max((context - keep) // 2, 1)
    return tokens[:keep] + tokens[keep + len(tokens) - limit :]


def _filled(template: str, system: str, prompt: str, response: str, up_to_response: bool = False) -> str:
    values = {"System": system, "Prompt": prompt, "Response": response}
    text = _CONDITION.sub(lambda match: match[2] if values.get(match[1]) else "", template)
    if ".Response" not in text:
        text += "{{ .Response }}"
    if up_to_response:
        text = re.split(r"(?<=\{\{ \.Response \}\})", text)[0]
    for action in _ACTION.findall(text):
        if action not in _FIELDS:
            raise golang.GoError(f"the lab's stand-in for Ollama does not know {{{{ {action} }}}} in a template")
    return _ACTION.sub(lambda match: values[match[1].removeprefix(".")], text)
