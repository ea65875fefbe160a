"""Ollama's HTTP interface as far as the smoke tests use it, through the proxy."""

import json
import time
from dataclasses import dataclass
from typing import Any, Final

import httpx

from inhouse.smoke.expect import shortened
from inhouse.smoke.web import CONNECT_S, READ_S

NS_PER_S: Final = 1e9
MIB: Final = 2**20

PROMPT: Final = "Count from 1 to 100: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,"
"""Goes on for long with any model, trained for chat or not."""
MEASURED_TOKENS: Final = 32
"""A speed is measured over at least so many tokens: fewer are over before the clock says much."""
LONGEST_ANSWER: Final = 48
MOST_RUNS: Final = 4
FIRST_TOKEN_S: Final = 180.0
"""Seconds a loaded model has for each piece of its answer; before the very first some devices compile code."""


class OllamaError(Exception):
    """Ollama answered with an error, as a status or as a line inside a stream. The text is Ollama's."""


@dataclass(frozen=True)
class Generation:
    """Measured over one or several runs, after the model was loaded."""

    tokens: int
    seconds: float
    """Ollama's own count of the time spent generating (eval_duration)."""
    spread_s: float
    """From the first piece of the longest answer to its last, as they arrived here."""
    spread_eval_s: float
    """What generating that answer took, by Ollama's count."""

    @property
    def tokens_per_second(self) -> float:
        """Speed; 0 where Ollama counted no time."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Loaded:
    """A model in memory, as /api/ps describes it."""

    size_mib: int
    gpu_share: float
    """size_vram / size. Not zero on a CPU: a few buffers are always on the device."""
    context_length: int
    """Tokens per slot."""


class Ollama:
    """One host's Ollama, seen by a program that has the token."""

    def __init__(self, http: httpx.Client, keep_alive: str | None = None) -> None:
        """Speak through `http`, whose base is the host and which holds the token.

        Args:
            http: the client.
            keep_alive: how long a model stays in memory after a request; None: as the server is set.
        """
        self._http = http
        self._keep: dict[str, object] = {"keep_alive": keep_alive} if keep_alive else {}

    def models(self) -> set[str]:
        """Return the full names of the models in the store."""
        return {full_name(model["name"]) for model in self._get("/api/tags")["models"]}

    def trained_context(self, tag: str) -> int | None:
        """Return a model's trained context in tokens, as its file says; None where it does not."""
        facts = self._post("/api/show", {"model": tag}, READ_S)["model_info"]
        context = facts.get(f"{facts.get('general.architecture')}.context_length")
        return int(context) if context else None

    def loaded(self, tag: str) -> Loaded | None:
        """Return how a model lies in memory; None if it does not."""
        for model in self._get("/api/ps")["models"]:
            if full_name(model["name"]) == full_name(tag):
                size, on_gpu = int(model["size"]), int(model.get("size_vram", 0))
                return Loaded(size // MIB, on_gpu / size if size else 0.0, int(model["context_length"]))
        return None

    def load(self, tag: str, within_s: float) -> None:
        """Bring a model that generates into memory."""
        self._post("/api/generate", {"model": tag, "stream": False, **self._keep}, within_s)

    def generate(self, tag: str) -> Generation:
        """Generate with a loaded model until MEASURED_TOKENS are there, in MOST_RUNS runs at most."""
        runs: list[Generation] = []
        while sum(run.tokens for run in runs) < MEASURED_TOKENS and len(runs) < MOST_RUNS:
            runs.append(self._generate_once(tag))
        longest = max(runs, key=lambda run: run.tokens)
        tokens, seconds = sum(run.tokens for run in runs), sum(run.seconds for run in runs)
        return Generation(tokens, seconds, longest.spread_s, longest.spread_eval_s)

    def embed(self, tag: str, within_s: float) -> int:
        """Return the dimension of an embedding."""
        body: dict[str, object] = {"model": tag, "input": "The cat sits on the mat.", **self._keep}
        answer = self._post("/api/embed", body, within_s)
        return len(answer["embeddings"][0])

    def refused_context(self, tag: str, tokens: int) -> int | None:
        """Send more than `tokens` tokens with truncation forbidden; return the context that Ollama's refusal names.

        Without `truncate: false` Ollama answers 200 and silently drops most of the prompt. The refusal costs no
        evaluation. None: it was refused without a number (embedding models), or not at all.
        """
        prompt = " word" * (tokens + tokens // 8 + 64)
        body = {"model": tag, "prompt": prompt, "stream": False, "truncate": False, "options": {"num_predict": 1}}
        response = self._http.post("/api/generate", json=body, timeout=FIRST_TOKEN_S)
        return None if response.status_code == 200 else _named_context(_error_text(response))

    def _generate_once(self, tag: str) -> Generation:
        options = {"temperature": 0, "seed": 1, "num_predict": LONGEST_ANSWER}
        body = {"model": tag, "prompt": PROMPT, "options": options, **self._keep}
        arrivals: list[float] = []
        last: dict[str, Any] = {}
        with self._http.stream("POST", "/api/generate", json=body, timeout=FIRST_TOKEN_S) as response:
            if response.status_code != 200:
                response.read()
                raise OllamaError(_error_text(response))
            for line in response.iter_lines():
                last = json.loads(line)
                if "error" in last:
                    raise OllamaError(str(last["error"]))
                arrivals.append(time.monotonic())
        if not last.get("done"):
            raise OllamaError("the stream ended before the answer did")
        seconds = last.get("eval_duration", 0) / NS_PER_S
        return Generation(last.get("eval_count", 0), seconds, arrivals[-1] - arrivals[0], seconds)

    def _get(self, path: str) -> Any:
        return _checked(self._http.get(path))

    def _post(self, path: str, body: dict[str, object], within_s: float) -> Any:
        return _checked(self._http.post(path, json=body, timeout=httpx.Timeout(within_s, connect=CONNECT_S)))


def full_name(tag: str) -> str:
    """Return a model's name as Ollama lists it: without a tag it is `latest`."""
    return tag if ":" in tag.rsplit("/", 1)[-1] else f"{tag}:latest"


def _checked(response: httpx.Response) -> Any:
    if response.status_code != 200:
        raise OllamaError(_error_text(response))
    try:
        return response.json()
    except ValueError as error:
        length, kind = len(response.content), response.headers.get("content-type", "no type")
        text = shortened(response.text) or "nothing"
        raise OllamaError(f"{response.url.path} answered {length} bytes of {kind} that are no JSON: {text}") from error


def _error_text(response: httpx.Response) -> str:
    try:
        text = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = response.text
    return f"{response.request.url.path} answered {response.status_code}: {text.strip()}"


def _named_context(text: str) -> int | None:
    """Return the context in a refusal: the engine's own error stands, as JSON, inside Ollama's."""
    start = text.find("{")
    try:
        named = json.loads(text[start:])["error"]["n_ctx"] if start >= 0 else None
    except (ValueError, KeyError, TypeError):
        return None
    return int(named) if isinstance(named, int) else None
