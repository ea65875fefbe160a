"""Embeddings: texts in, unit vectors out."""

import math
import time
from typing import Any

from . import golang
from .answers import Refused
from .child import EngineRefused
from .inference import Inference, nanoseconds
from .scheduler import Runner

SPECIAL_TOKENS = 2
"""An encoder puts one before a text and one behind it."""


def embed(inference: Inference, body: dict[str, Any], texts: list[str]) -> tuple[list[list[float]], dict[str, int]]:
    """Unit vectors of `texts`, and the counts and times of the work.

    Raises:
        Refused: the model is missing or does not embed, or a text is too long and may not be cut.
    """
    model = inference.model(body.get("model", ""), missing='model "{}" not found, try pulling it first')
    started = time.time()
    stack, runner = inference.loaded(model, body)
    with stack:
        loaded = time.time()
        if not texts:
            return [], {}
        found = [_embedding(runner, text, body.get("truncate", True)) for text in texts]
    counts = {
        "total_duration": nanoseconds(time.time() - started),
        "load_duration": nanoseconds(loaded - started),
        "prompt_eval_count": sum(tokens for _, tokens in found),
    }
    return [vector for vector, _ in found], counts


def _embedding(runner: Runner, text: str, truncate: bool) -> tuple[list[float], int]:
    try:
        tokens = runner.child.tokenize(text)
        limit = runner.options.num_ctx - SPECIAL_TOKENS
        if len(tokens) > limit:
            if not truncate:
                raise Refused(400, "the input length exceeds the context length")
            text = runner.child.detokenize(tokens[:limit])
        with runner.child.slots:
            answer = runner.child.ask("/v1/embeddings", {"input": text})
    except EngineRefused as error:
        raise Refused(error.status, error.message()) from error
    vector = answer["data"][0]["embedding"]
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [golang.float32(value / length) for value in vector], int(answer["usage"]["prompt_tokens"])
