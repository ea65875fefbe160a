"""How good a model is for a purpose, from what was published about it; docs/models.md explains the rule.

Each purpose has one benchmark that most models report. Another benchmark is put on its scale by a straight line through
models that report both; the pairs stand in docs/models.md. What has no published result is assumed from what has, and
marked as derived: chat from reasoning by such a line, else chat, reasoning and vision from each other, the rest with
care.
"""

from collections.abc import Collection, Iterable
from math import fsum
from typing import NamedTuple, Protocol

COMPARABLE = ("chat", "reasoning", "vision")
"""Purposes on whose scales one model scores about alike; those of code and tools are others."""
PRUDENCE = 0.8
"""Part of what a model is elsewhere that is assumed of it where the scales are not comparable."""


class Line(NamedTuple):
    """Turns a score into quality: slope * score + offset."""

    slope: float
    offset: float

    def quality(self, score: float) -> int:
        """Quality of a score, from 1 to 100."""
        return min(max(round(self.slope * score + self.offset), 1), 100)


class Result(Protocol):
    """A published result."""

    @property
    def purpose(self) -> str:
        """What it tells something about."""

    @property
    def benchmark(self) -> str:
        """Its name, as in `SCALES`."""

    @property
    def score(self) -> float:
        """As published."""


SAME = Line(1.0, 0.0)
SCALES: dict[str, dict[str, Line]] = {
    "chat": {
        "MMLU-Pro": SAME,
        "MMLU-Redux": Line(1.3, -37),
        "MMLU": Line(1.2, -33),
        "MMLU (cloze)": Line(1.2, -33),
        "GPQA Diamond": Line(0.6, 34),
    },
    "code": {
        "LiveCodeBench v6": SAME,
        "LiveCodeBench": SAME,
        "SWE-bench Verified": Line(0.45, 46),
        "HumanEval": Line(1.04, -69),
    },
    "reasoning": {"GPQA Diamond": SAME, "AIME 2025": Line(0.58, 25)},
    "vision": {"MMMU": SAME, "MMMU-Pro": Line(0.78, 24), "MM MTBench": Line(10, -9.3)},
    "tools": {
        "BFCL v4": SAME,
        "BFCL v3": Line(0.92, -17),
        "BFCL v2": Line(0.75, -15),
        "TAU2-Bench": Line(0.5, 21),
        "tau-bench retail": Line(0.75, 0),
    },
    "embedding": {
        "MTEB multilingual v2": SAME,
        "BEIR nDCG@10": Line(1.0, 2),
        "MTEB English v1": Line(0.8, 0),
    },
}
"""For each purpose, benchmarks by precedence: of several results of a model the one named first here counts."""


def from_evidence(purposes: Iterable[str], evidence: Iterable[Result]) -> dict[str, int]:
    """Quality for every purpose; empty if nothing was published for any of them."""
    published = published_quality(evidence)
    known = {p: published[p] for p in purposes if p in published}
    return {p: known[p] if p in known else _assumed(p, known) for p in purposes} if known else {}


def _assumed(purpose: str, known: dict[str, int]) -> int:
    """Quality for a purpose that has no published result, from those that have one."""
    if purpose == "chat" and "reasoning" in known:
        return SCALES["chat"]["GPQA Diamond"].quality(known["reasoning"])
    alike = [known[p] for p in COMPARABLE if p in known]
    if alike and purpose in COMPARABLE:
        return round(_mean(alike))
    return max(round(PRUDENCE * _mean(alike or known.values())), 1)


def published_quality(evidence: Iterable[Result]) -> dict[str, int]:
    """Quality for the purposes that have a published result."""
    found = list(evidence)
    by_purpose = {p: {r.benchmark: r.score for r in found if r.purpose == p} for p in SCALES}
    counting = {p: next((b for b in SCALES[p] if b in scores), None) for p, scores in by_purpose.items()}
    return {p: SCALES[p][b].quality(by_purpose[p][b]) for p, b in counting.items() if b}


def _mean(values: Collection[float]) -> float:
    return fsum(values) / len(values)
