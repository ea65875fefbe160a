"""Compares the catalogue with what a running Ollama says of the models it has."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from inhouse.catalogue import models
from inhouse.catalogue.models import Architecture, Model
from inhouse.errors import PlanError, UnreachableError

SAME_MIB = 1.0
"""Sizes within this are the same: rows are whole MiB, and some leave out layers of a few kB."""
SAME_PARAMETERS = 0.01
"""Parameter counts within this part are the same: rows count the vision part, which may be in a file of its own."""
TIMEOUT_S = 60.0
INTERNAL = "llamacpp:"
"""Names that some releases of Ollama list for converted copies."""

Number = int | None
Answer = Mapping[str, Any]


def _value_length(a: Architecture) -> Number:
    """Length of a value; with MLA values are a part of the keys, and what a file says of them is not in a row."""
    return max((g.dim if g.value_dim is None else g.value_dim for g in a.kv), default=0) or None


NUMBERS: tuple[tuple[str, str, Callable[[Architecture], Number]], ...] = (
    ("blocks and draft_blocks", "block_count", lambda a: a.blocks + a.draft_blocks),
    ("draft_blocks", "nextn_predict_layers", lambda a: a.draft_blocks),
    ("embedding", "embedding_length", lambda a: a.embedding),
    ("heads", "attention.head_count", lambda a: a.heads),
    ("feed_forward", "feed_forward_length", lambda a: a.feed_forward),
    ("vocabulary", "vocab_size", lambda a: a.vocabulary),
    ("kv.heads", "attention.head_count_kv", lambda a: max((g.heads for g in a.kv), default=None)),
    ("kv.dim", "attention.key_length", lambda a: max((g.dim for g in a.kv), default=None)),
    ("kv.value_dim", "attention.value_length", _value_length),
    ("kv.window", "attention.sliding_window", lambda a: max((g.window or 0 for g in a.kv), default=0) or None),
    ("per_layer_input", "embedding_length_per_layer_input", lambda a: a.per_layer_input),
    ("experts.count", "expert_count", lambda a: a.experts.count if a.experts else 0),
    ("experts.used", "expert_used_count", lambda a: a.experts.used if a.experts else 0),
    ("experts.feed_forward", "expert_feed_forward_length", lambda a: a.experts.feed_forward if a.experts else 0),
    ("recurrent.inner", "ssm.inner_size", lambda a: a.recurrent.inner if a.recurrent else 0),
    ("recurrent.state", "ssm.state_size", lambda a: a.recurrent.state if a.recurrent else 0),
    ("recurrent.groups", "ssm.group_count", lambda a: a.recurrent.groups if a.recurrent else 0),
    ("recurrent.conv", "ssm.conv_kernel", lambda a: a.recurrent.conv if a.recurrent else 0),
)
"""Field of a row, key in `model_info` behind the architecture's name, and what the row says (None: not compared)."""


@dataclass(frozen=True)
class Difference:
    """One thing that the catalogue and Ollama say differently."""

    field: str
    catalogue: str
    ollama: str


@dataclass(frozen=True)
class Checked:
    """An installed model that the catalogue knows."""

    name: str
    """As it is installed."""
    tag: str
    """The catalogue's row."""
    digest: str
    """First twelve digits of the installed manifest."""
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Report:
    """All models of an Ollama."""

    checked: tuple[Checked, ...]
    unknown: tuple[str, ...]
    """Installed, but not in the catalogue."""

    @property
    def agrees(self) -> bool:
        """Nothing differs."""
        return not any(c.differences for c in self.checked)


def as_record(report: Report) -> dict[str, Any]:
    """The report as --json prints it."""
    return asdict(report)


def check(url: str, transport: httpx.BaseTransport | None = None) -> Report:
    """Ask an Ollama for every installed model that the catalogue knows, and compare.

    Raises:
        PlanError: that is no URL.
        UnreachableError: nothing answers there as Ollama does.
    """
    if not re.match(r"https?://[^/]", url):
        raise PlanError(f'"{url}" is no address of an Ollama: write it as {EXAMPLE}.')
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False, transport=transport) as client:
        return compare(_ask(client, "GET", "/api/tags"), lambda name: _ask(client, "POST", "/api/show", model=name))


def compare(tags: Answer, show: Callable[[str], Answer]) -> Report:
    """Compare the answer at /api/tags, and those at /api/show, with the catalogue."""
    listed = {m["name"]: m for m in tags.get("models") or () if not m["name"].startswith(INTERNAL)}
    rows = {name: row(name, entry["digest"]) for name, entry in listed.items()}
    return Report(
        checked=tuple(
            Checked(name, known.tag, listed[name]["digest"][:12], differences(known, listed[name], show(name)))
            for name, known in rows.items()
            if known
        ),
        unknown=tuple(name for name, known in rows.items() if known is None),
    )


def row(name: str, digest: str) -> Model | None:
    """The row of an installed model: of its tag, or of another name of the same manifest."""
    same = (m for m in models.models() if digest.startswith(m.digest))
    return models.find(name) or next(same, None)


def differences(model: Model, listed: Answer, shown: Answer) -> tuple[Difference, ...]:
    """Everything one model's answers at /api/tags and /api/show say differently."""
    return tuple(Difference(field, str(ours), str(theirs)) for field, ours, theirs in _pairs(model, listed, shown))


def _pairs(model: Model, listed: Answer, shown: Answer) -> Iterator[tuple[str, object, object]]:
    details, info = shown.get("details") or {}, shown.get("model_info") or {}
    if not listed["digest"].startswith(model.digest):
        yield "digest", model.digest, listed["digest"][:12]
    size = listed["size"] / 2**20
    if abs(size - model.file_mib) > SAME_MIB:
        yield "file_mib", model.file_mib, round(size)
    if (level := details.get("quantization_level")) and level != model.quantization:
        yield "quantization", model.quantization, level
    if (count := info.get("general.parameter_count")) and not _same_parameters(model, count / 1e9):
        yield "parameters_b", model.parameters_b, round(count / 1e9, 4)
    able = set(shown.get("capabilities") or ()) - {"completion"}
    if able != set(model.capabilities):
        yield "capabilities", _words(model.capabilities), _words(able)
    name = info.get("general.architecture")
    if (trained := info.get(f"{name}.context_length")) and trained != model.context_trained:
        yield "context_trained", model.context_trained, trained
    for field, key, ours in NUMBERS:
        said = _number(info.get(f"{name}.{key}"))
        kept = ours(model.architecture)
        if said is not None and kept is not None and said != kept:
            yield f"architecture.{field}", kept, said


def _same_parameters(model: Model, said: float) -> bool:
    without_vision = model.parameters_b - model.projector_mib * 2**20 / 2 / 1e9
    return any(abs(said - ours) <= ours * SAME_PARAMETERS for ours in (model.parameters_b, without_vision))


def _number(said: object) -> Number:
    """A number of `model_info`: where there is one for each layer, the largest; None if Ollama left it out."""
    if isinstance(said, Sequence) and not isinstance(said, str):
        return max((n for n in said if isinstance(n, int)), default=None)
    return said if isinstance(said, int) else None


def _words(words: object) -> str:
    return ", ".join(sorted(words)) if isinstance(words, set | tuple) and words else "none"


def _ask(client: httpx.Client, method: str, path: str, **body: str) -> Answer:
    url = str(client.base_url)
    try:
        answer = client.request(method, path, json=body or None).raise_for_status().json()
    except httpx.HTTPStatusError as error:
        said = error.response.text.strip()[:200]
        raise UnreachableError(url, f"{path} answered {error.response.status_code}: {said}. {_TRY}") from error
    except (httpx.HTTPError, ValueError) as error:
        raise UnreachableError(url, f"no Ollama answers there ({error or type(error).__name__}). {_TRY}") from error
    if not isinstance(answer, dict):
        raise UnreachableError(url, f"what answers at {path} is no Ollama. {_TRY}")
    return answer


EXAMPLE = "http://127.0.0.1:11434"
_TRY = "Start it (sudo systemctl start ollama), or name another one: inhouse catalogue check --url URL"
