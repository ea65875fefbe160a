"""Exact mode: the numbers an estimate needs, read from the header of a GGUF file instead of the catalogue.

Which layers hold what is taken from the tensors that are there, not from the names of hyper-parameters, which differ
from architecture to architecture. Only the header is read, however large the file is.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from gguf import GGUFReader, ReaderTensor
from gguf.constants import MODEL_ARCH_NAMES

from inhouse.catalogue.models import Architecture, Experts, KvLayers, RecurrentLayers
from inhouse.errors import PlanError
from inhouse.planner import memory
from inhouse.planner.memory import Memory, Use

KNOWN: Final = frozenset(MODEL_ARCH_NAMES.values()) | {"gptoss", "qwen25vl", "mllama", "qwen35", "qwen35moe"}
"""Architectures of llama.cpp, and names of Ollama's own that it takes as well."""
PERIODS: Final = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gemma-embedding": 6,
    "gpt-oss": 2,
    "gptoss": 2,
    "llama4": 4,
    "olmo2": 4,
}
"""One layer in so many sees everything, the others a window; where the file does not say which."""
UNGATED: Final = frozenset({"bert", "starcoder2", "nemotron_h", "nemotron_h_moe", "phi2", "gpt2", "falcon", "bloom"})
"""No gate in the feed-forward part. With other architectures a single matrix holds both."""
VISION: Final = ("v.", "mm.", "a.")
KEPT_BY_GEMMA_3N: Final = 20
"""Layers with a cache of their own; the others use one of these."""
IMAGE: Final = "application/vnd.ollama.image."


@dataclass(frozen=True)
class Header:
    """What a file says; it can be estimated like a row of the catalogue."""

    name: str
    """What was asked for: a path or a tag."""
    architecture: Architecture
    known: bool
    """llama.cpp knows the architecture; if not, it was taken for a plain transformer."""
    file_mib: float
    projector_mib: float
    context_trained: int
    purposes: tuple[str, ...]
    weights_mib: float
    """Without vision part and draft layers."""
    drafts_mib: float

    def estimate(self, use: Use, gpus: int = 1) -> Memory:
        """Estimate its memory; weights are what the file's tensors take, to the byte."""
        drafts = self.drafts_mib if use.draft_tokens else 0.0
        return memory.estimate(self, use, gpus)._replace(weights=self.weights_mib + drafts)


def read(path: Path) -> Header:
    """Read a model's header.

    Raises:
        PlanError: no such file, not a GGUF file, cut short, or without what every model has.
    """
    return _header(str(path), _open(path), None)


def find(tag: str, models_dir: Path) -> Header:
    """Read the header of a tag in a folder of Ollama's models, vision part included.

    Args:
        tag: as Ollama shows it: "qwen3:8b", "registry.example:5000/team/model:tag".
        models_dir: the folder that holds `manifests` and `blobs`.

    Raises:
        PlanError: the tag is not there, or a blob of it is missing or unreadable.
    """
    manifest = models_dir / "manifests" / _manifest(tag)
    try:
        layers = json.loads(manifest.read_text())["layers"]
        blobs = {layer["mediaType"]: layer["digest"].replace(":", "-") for layer in layers}
    except FileNotFoundError as error:
        raise PlanError(f"{tag} is not in {models_dir}: {manifest} is missing. Run: ollama pull {tag}") from error
    except PermissionError as error:
        raise PlanError(
            f"{manifest} may not be read by this user: only Ollama's and root may. Run it with sudo."
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise PlanError(f"{manifest} is damaged. Run: ollama pull {tag}") from error
    model, projector = (blobs.get(IMAGE + kind) for kind in ("model", "projector"))
    if model is None:
        raise PlanError(f"{tag} holds no GGUF model (its layers: {', '.join(sorted(blobs))}); choose another tag.")
    reader = _open(models_dir / "blobs" / model)
    return _header(tag, reader, _open(models_dir / "blobs" / projector) if projector else None)


def _manifest(tag: str) -> str:
    name, _, version = tag.rpartition(":") if ":" in tag.rsplit("/", 1)[-1] else (tag, "", "latest")
    parts = name.split("/")
    host, space = ["registry.ollama.ai", "library"], parts[:-1]
    full = [*host[: 2 - len(space)], *space] if len(space) < 2 else space
    return "/".join([*full, parts[-1], version])


def _open(path: Path) -> GGUFReader:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise PlanError(f"{path} is not a GGUF file. Name one, or a tag together with --models-dir.")
        reader = GGUFReader(path)
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}. Name a GGUF file, or a tag.") from error
    except (ValueError, IndexError, OverflowError, MemoryError, KeyError) as error:
        raise PlanError(
            f"{path} is cut short or damaged ({path.stat().st_size} bytes). Fetch it again: ollama pull TAG"
        ) from error
    return reader


def _header(name: str, reader: GGUFReader, projector: GGUFReader | None) -> Header:
    file = _File(name, reader)
    apart = sum(int(t.n_bytes) for t in projector.tensors) if projector else 0
    return Header(
        name=name,
        architecture=_checked(name, file.architecture(inline=projector is None)),
        known=file.arch in KNOWN,
        file_mib=(reader.data.nbytes + apart) / 2**20,
        projector_mib=(file.size(file.vision) + apart) / 2**20,
        context_trained=file.number("context_length"),
        purposes=("embedding",) if file.embeds else ("chat",),
        weights_mib=file.size(file.text) / 2**20,
        drafts_mib=file.size(file.drafting) / 2**20,
    )


def _checked(name: str, found: Architecture) -> Architecture:
    """What was read, if a model can be so.

    Raises:
        PlanError: a number that no model has.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Architecture).validate_python(asdict(found))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}, found {e['input']!r}" for e in error.errors())
        raise PlanError(f"{name} is damaged, or of a kind that is not known: {wrong}. Name another file.") from error


class _File:
    """A file's hyper-parameters and tensors, by the names llama.cpp gives them."""

    def __init__(self, name: str, reader: GGUFReader) -> None:
        self.name = name
        self.fields: Mapping[str, Any] = reader.fields
        self.tensors: Mapping[str, ReaderTensor] = {t.name: t for t in reader.tensors}
        self.arch = str(self.value("general.architecture", ""))
        self.embeds = f"{self.arch}.pooling_type" in self.fields or "bert" in self.arch

    def value(self, key: str, default: Any = None) -> Any:
        """A field as it is."""
        field = self.fields.get(key)
        return default if field is None else field.contents()

    def own(self, key: str, default: Any = None) -> Any:
        """A field of the architecture."""
        return self.value(f"{self.arch}.{key}", default)

    def number(self, key: str) -> int:
        """A number every model has; the largest, where layers differ."""
        found = self.own(key)
        number = 0 if found is None else max(found) if isinstance(found, list) else int(found)
        if number < 1:
            what = "missing" if found is None else str(number)
            raise PlanError(
                f"{self.name}: {self.arch or 'its architecture'}.{key} is {what}; no model can be estimated."
            )
        return number

    def each(self, key: str, default: int) -> list[int]:
        """A number of every block."""
        found = self.own(key, default)
        return [int(n) for n in found] if isinstance(found, list) else [int(found)] * self.all_blocks

    @cached_property
    def all_blocks(self) -> int:
        return self.number("block_count")

    @cached_property
    def drafts(self) -> int:
        return int(self.own("nextn_predict_layers", 0))

    @cached_property
    def blocks(self) -> range:
        return range(self.all_blocks - self.drafts)

    @cached_property
    def vision(self) -> list[ReaderTensor]:
        return [t for n, t in self.tensors.items() if n.startswith(VISION)]

    @cached_property
    def drafting(self) -> list[ReaderTensor]:
        last = tuple(f"blk.{block}." for block in range(len(self.blocks), self.all_blocks))
        return [t for n, t in self.tensors.items() if n.startswith(("mtp.", *last))]

    @cached_property
    def text(self) -> list[ReaderTensor]:
        aside = {t.name for t in (*self.vision, *self.drafting)}
        return [t for n, t in self.tensors.items() if n not in aside]

    @staticmethod
    def size(tensors: Iterable[ReaderTensor]) -> int:
        return sum(int(t.n_bytes) for t in tensors)

    def has(self, block: int, *names: str) -> bool:
        """A block has one of these tensors."""
        return any(f"blk.{block}.{name}.weight" in self.tensors for name in names)

    def rows(self, block: int, name: str) -> int:
        """Length of a matrix's result; 0 where it is not there."""
        tensor = self.tensors.get(f"blk.{block}.{name}.weight")
        return 0 if tensor is None else int(tensor.shape[1])

    def bits(self, name: str) -> float | None:
        """Bits per weight of a tensor."""
        tensor = self.tensors.get(name)
        return None if tensor is None else int(tensor.n_bytes) * 8 / int(tensor.n_elements)

    def architecture(self, inline: bool) -> Architecture:
        """All numbers of the file."""
        table = self.tensors.get("token_embd.weight")
        if table is None or not table.n_elements:
            raise PlanError(f"{self.name} has no token_embd.weight: it is no language model. Name another file.")
        positions = self.tensors.get("position_embd.weight")
        return Architecture(
            name=self.arch.lower() or None,
            blocks=len(self.blocks),
            embedding=self.number("embedding_length"),
            heads=self.number("attention.head_count"),
            feed_forward=max(self.own("feed_forward_length", 0))
            if isinstance(self.own("feed_forward_length", 0), list)
            else int(self.own("feed_forward_length", 0)),
            gated=self.arch not in UNGATED,
            experts=self.experts(),
            vocabulary=int(table.shape[1]),
            embedding_bits=self.bits("token_embd.weight") or 16.0,
            tied="output.weight" not in self.tensors,
            output_bits=self.bits("output.weight"),
            positions=int(positions.shape[1]) if positions is not None else 0,
            per_layer_input=int(self.own("embedding_length_per_layer_input", 0)),
            per_layer_bits=self.bits("per_layer_token_embd.weight"),
            kv=self.kv(),
            recurrent=self.recurrent(),
            draft_blocks=self.drafts,
            vision_inline=inline,
        )

    def experts(self) -> Experts | None:
        """Numbers of a mixture of experts."""
        count = int(self.own("expert_count", 0))
        if not count:
            return None
        mixed = [b for b in self.blocks if self.has(b, "ffn_down_exps")]
        inside = int(self.own("expert_feed_forward_length", 0)) or self.number("feed_forward_length")
        gated = any(self.has(b, "ffn_gate_exps", "ffn_gate_up_exps") for b in mixed)
        return Experts(
            count=count,
            used=int(self.own("expert_used_count", 1)),
            feed_forward=inside,
            shared_feed_forward=max((self.rows(b, "ffn_up_shexp") for b in mixed), default=0),
            dense_blocks=len(self.blocks) - len(mixed),
            matrices=3 if gated else 2,
        )

    def recurrent(self) -> RecurrentLayers | None:
        """Layers with a state."""
        short = [b for b in self.blocks if self.has(b, "shortconv.conv")]
        if short:
            width, conv = self.number("embedding_length"), self.number("shortconv.l_cache")
            return RecurrentLayers(layers=len(short), inner=width, state=0, groups=0, conv=conv)
        layers = [b for b in self.blocks if self.has(b, "ssm_conv1d")]
        if not layers:
            return None
        heads = int(self.own("ssm.time_step_rank", 0))
        return RecurrentLayers(
            layers=len(layers),
            inner=self.number("ssm.inner_size"),
            state=self.number("ssm.state_size"),
            groups=int(self.own("ssm.group_count", 0)),
            conv=self.number("ssm.conv_kernel"),
            heads=heads or None,
        )

    def kv(self) -> tuple[KvLayers, ...]:
        """Layers with a cache, by kind, those with a window first."""
        if not self.own("attention.causal", True):
            return ()
        counted: dict[tuple[int, int, int | None, int | None], int] = {}
        for block in self.caching():
            kind = self.kind(block)
            counted[kind] = counted.get(kind, 0) + 1
        found = [
            KvLayers(layers=n, heads=heads, dim=dim, value_dim=value, window=window)
            for (heads, dim, value, window), n in counted.items()
        ]
        return tuple(sorted(found, key=lambda kind: kind.window is None))

    def caching(self) -> list[int]:
        """Blocks with a cache of their own."""
        shared = int(self.own("attention.shared_kv_layers", 0))
        last = KEPT_BY_GEMMA_3N if self.arch == "gemma3n" else len(self.blocks) - shared
        names = ("attn_k", "attn_kv_a_mqa", "attn_kv_b")
        return [
            b
            for b in self.blocks
            if b < last and (self.has(b, *names) or (self.has(b, "attn_qkv") and not self.has(b, "ssm_conv1d")))
        ]

    def kind(self, block: int) -> tuple[int, int, int | None, int | None]:
        """Heads, length of a key, of a value if it differs, and window of a block's attention."""
        latent = int(self.own("attention.kv_lora_rank", 0))
        if latent and self.has(block, "attn_k_b"):
            return 1, latent + self.number("rope.dimension_count"), 0, None
        window = self.window(block)
        near = "_swa" if window else ""
        head = self.number("embedding_length") // self.number("attention.head_count")
        key, value = (
            int(self.own(f"attention.{side}_length{near}", 0)) or int(self.own(f"attention.{side}_length", head))
            for side in ("key", "value")
        )
        heads = self.each("attention.head_count_kv", self.number("attention.head_count"))[block]
        return heads, key, None if value == key else value, window

    def window(self, block: int) -> int | None:
        """Tokens a block sees; None: all."""
        window = int(self.own("attention.sliding_window", 0) or self.own("attention.chunk_size", 0))
        pattern = self.own("attention.sliding_window_pattern", PERIODS.get(self.arch, 1))
        if not window:
            return None
        inside = bool(pattern[block]) if isinstance(pattern, list) else block % int(pattern) < int(pattern) - 1
        return window if inside else None
