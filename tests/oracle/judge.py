"""Compares estimates with what llama.cpp itself plans, case by case."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from inhouse.catalogue import gguf
from inhouse.catalogue.models import Architecture
from inhouse.planner import memory
from inhouse.planner.memory import DRAFT_TOKENS, Described, Memory, Use
from inhouse.planner.needs import FRAIL
from tests.oracle import engine, layouts
from tests.oracle.engine import Sizes
from tests.oracle.layouts import Model

PART, UNDER_MIB, OVER = 0.01, 150, 0.08
"""Bars: each of model and cache within 1 %; all together at most 150 MiB below and 8 % above."""
ROUNDED_MIB = 1.0
"""A planned model's size is printed in whole MiB."""
REFUSED = frozenset((name, "q8_0", 4) for name in FRAIL)
"""Architecture, cache and slots at which the engine aborts ("ggml-impl.h: fatal error"), with files of any maker."""
SHORT, LONG, LONGEST = 4096, 32768, 131072


@dataclass(frozen=True)
class Verdict:
    """One case: what the engine says, and what was estimated."""

    tag: str
    name: str
    context: int
    cache: str
    slots: int
    batch: int
    measured: Sizes
    estimated: Memory

    @property
    def cached(self) -> tuple[float, float]:
        """Caches and states: measured, estimated."""
        return self.measured.kv_cache + self.measured.recurrent, self.estimated.kv_cache + self.estimated.recurrent

    @property
    def model(self) -> tuple[float, float]:
        """Weights on the CPU: measured, estimated."""
        return self.measured.model, self.estimated.weights + self.estimated.table_copy

    @property
    def compute(self) -> tuple[float, float]:
        """Compute buffers on the CPU: measured, estimated."""
        return self.measured.compute, self.estimated.compute_cpu

    @property
    def total(self) -> tuple[float, float]:
        """Everything: measured, estimated."""
        return self.measured.total, self.estimated.cpu

    def misses(self) -> Iterator[str]:
        """Bars that this case misses."""
        for part, (measured, estimated) in (("model", self.model), ("cache", self.cached)):
            if abs(estimated - measured) > PART * measured + (ROUNDED_MIB if part == "model" else 0.01):
                yield f"{self}: {part} {estimated:.1f} MiB estimated, {measured:.1f} measured"
        measured, estimated = self.total
        if estimated < measured - UNDER_MIB or estimated > measured * (1 + OVER):
            yield f"{self}: total {estimated:.1f} MiB estimated, {measured:.1f} measured"

    def __str__(self) -> str:
        return f"{self.tag} ({self.name}), {self.context} tokens, {self.cache}, slots {self.slots}"


@dataclass(frozen=True)
class Refusal:
    """A case that the engine ends in, whatever was estimated."""

    tag: str
    name: str
    context: int
    cache: str
    slots: int

    @property
    def expected(self) -> bool:
        """Known of this build: its graph has too few places for models of few tensors."""
        return (self.name, self.cache, self.slots) in REFUSED


def contexts(model: Model) -> Sequence[int]:
    """Three contexts, the last the longest a model was trained for, up to 131,072."""
    longest = min(model.context_trained, LONGEST)
    if longest > LONG:
        return SHORT, LONG, longest
    return longest // 4, longest // 2, longest


def uses(model: Model, encoder: bool) -> Iterator[Use]:
    """Every combination that Ollama can run."""
    for context in contexts(model):
        for cache in ("f16",) if encoder else ("f16", "q8_0"):
            for slots in (1,) if encoder else (1, 4):
                yield Use(context, slots, cache)


def arguments(header: Described, use: Use, batch: int) -> list[str]:
    """Command line as Ollama gives it."""
    slots = 1 if "embedding" in header.purposes else use.parallel
    given = ["-c", str(min(use.context_length, header.context_trained) * slots), "-np", str(slots), "-fa", "on"]
    given += ["-b", str(batch), "-ub", str(batch)]
    if "embedding" in header.purposes:
        given += ["--embedding"]
    if use.kv_cache_type != "f16":
        given += ["--cache-type-k", use.kv_cache_type, "--cache-type-v", use.kv_cache_type]
    if header.architecture.draft_blocks and use.draft_tokens:
        given += ["--spec-type", "draft-mtp", "--spec-draft-n-max", str(DRAFT_TOKENS)]
    return given


def judge(server: Path, folder: Path, tag: str, model: Model) -> list[Verdict | Refusal]:
    """Write a model's file, ask the engine and the estimator for every use, and remove it.

    The estimator gets the catalogue's numbers and the size of the file, as it does for a row.
    """
    file = folder / f"{tag.replace(':', '_')}.gguf"
    layouts.write(file, model)
    try:
        header = gguf.read(file)
        row = Row(tag, model, header.file_mib, header.purposes)
        found: list[Verdict | Refusal] = []
        for use in uses(model, not model.architecture.kv):
            found.append(_judged(server, file, row, use))
        return found
    finally:
        file.unlink()


def _judged(server: Path, file: Path, row: "Row", use: Use) -> Verdict | Refusal:
    batch = memory.first_batch(row, use.context_length, use.parallel)
    graphs = 2 if row.architecture.draft_blocks else 1
    case = (row.tag, row.model.name, use.context_length, use.kv_cache_type, use.parallel)
    try:
        measured = engine.measure(server, file, arguments(row, use, batch), graphs=graphs)
    except engine.EngineRefuses:
        refused = Refusal(*case)
        if refused.expected:
            return refused
        raise
    return Verdict(*case, batch, measured, memory.estimate(row, use))


@dataclass(frozen=True)
class Row:
    """A row of the catalogue whose file is the one that was written."""

    tag: str
    model: Model
    file_mib: float
    purposes: tuple[str, ...]
    projector_mib: float = 0.0

    @property
    def architecture(self) -> Architecture:
        """The catalogue's numbers."""
        return self.model.architecture

    @property
    def context_trained(self) -> int:
        """Tokens."""
        return self.model.context_trained


def judge_all(server: Path, folder: Path, models: Mapping[str, Model], jobs: int = 2) -> Iterator[Verdict | Refusal]:
    """Judge models, some at a time, in their order."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(judge, server, folder, tag, model) for tag, model in models.items()]
        for done in waiting:
            yield from done.result()
