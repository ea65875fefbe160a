"""How qualities order models: assumed ones by their rules, and larger models of a family above smaller ones."""

from itertools import pairwise
from typing import NamedTuple

import pytest

from inhouse.catalogue import models, quality
from inhouse.catalogue.evidence import Purpose

FAMILIES = {
    "qwen3, both modes": ("qwen3:0.6b", "qwen3:1.7b", "qwen3:8b", "qwen3:14b", "qwen3:32b"),
    "qwen3, mixtures of experts": ("qwen3:30b", "qwen3:235b"),
    "qwen3-vl": ("qwen3-vl:4b", "qwen3-vl:8b", "qwen3-vl:30b"),
    "qwen3.5": ("qwen3.5:0.8b", "qwen3.5:2b", "qwen3.5:4b", "qwen3.5:9b", "qwen3.5:27b"),
    "qwen3.5, mixtures of experts": ("qwen3.5:35b", "qwen3.5:122b"),
    "deepseek-r1, small": ("deepseek-r1:1.5b", "deepseek-r1:8b"),
    "deepseek-r1, distilled": ("deepseek-r1:1.5b", "deepseek-r1:14b", "deepseek-r1:32b", "deepseek-r1:70b"),
    "gemma3": ("gemma3:1b", "gemma3:4b", "gemma3:12b", "gemma3:27b"),
    "gemma4": ("gemma4:e2b", "gemma4:e4b", "gemma4:12b", "gemma4:31b"),
    "llama3": ("llama3.2:1b", "llama3.2:3b", "llama3.1:8b", "llama3.3:70b"),
    "granite4": ("granite4:micro-h", "granite4:tiny-h", "granite4:small-h"),
    "lfm2.5": ("lfm2.5-thinking:1.2b", "lfm2.5:8b"),
    "ministral-3": ("ministral-3:8b", "ministral-3:14b"),
    "gpt-oss": ("gpt-oss:20b", "gpt-oss:120b"),
    "smollm2": ("smollm2:135m", "smollm2:360m", "smollm2:1.7b"),
    "qwen2.5-coder": tuple(f"qwen2.5-coder:{size}" for size in ("1.5b", "3b", "7b", "14b", "32b")),
}
"""Models of one kind and generation, the smallest first."""


class Result(NamedTuple):
    """A published result."""

    purpose: str
    benchmark: str
    score: float


GPQA = Result("reasoning", "GPQA Diamond", 60)
MMMU = Result("vision", "MMMU", 70)
CODE = Result("code", "LiveCodeBench", 40)
TOOLS = Result("tools", "BFCL v4", 50)


def row(tag: str) -> models.Model:
    model = models.find(tag)
    assert model is not None
    return model


@pytest.mark.parametrize("tags", FAMILIES.values(), ids=FAMILIES)
def test_a_larger_model_of_a_family_is_not_worse(tags: tuple[str, ...]) -> None:
    """For chat, or coders for code."""
    main: Purpose = "chat" if "chat" in row(tags[0]).purposes else "code"
    qualities = [row(tag).quality_for(main) for tag in tags]
    assert qualities == sorted(qualities)
    assert [row(tag).parameters_b for tag in tags] == sorted(row(tag).parameters_b for tag in tags)


@pytest.mark.parametrize("tags", FAMILIES.values(), ids=FAMILIES)
def test_what_is_assumed_turns_no_family_round(tags: tuple[str, ...]) -> None:
    for smaller, larger in pairwise(map(row, tags)):
        for purpose in set(smaller.purposes) & set(larger.purposes):
            if purpose in smaller.derived or purpose in larger.derived:
                assert smaller.quality_for(purpose) <= larger.quality_for(purpose), (smaller.tag, larger.tag, purpose)


@pytest.mark.parametrize(
    ("purpose", "results", "expected"),
    [
        ("chat", (GPQA, MMMU, CODE, TOOLS), 70),
        ("chat", (Result("reasoning", "AIME 2025", 60), CODE), 70),
        ("chat", (MMMU, CODE, TOOLS), 70),
        ("chat", (TOOLS,), 40),
        ("reasoning", (Result("chat", "MMLU-Pro", 60), MMMU, TOOLS), 65),
        ("vision", (CODE,), 32),
        ("tools", (GPQA, MMMU, CODE), 52),
        ("tools", (CODE,), 32),
    ],
)
def test_what_has_no_result_is_assumed_from_what_is_alike(
    purpose: str, results: tuple[Result, ...], expected: int
) -> None:
    assert quality.from_evidence((purpose, *(r.purpose for r in results)), results)[purpose] == expected


def test_a_result_replaces_what_is_assumed() -> None:
    published = Result("chat", "MMLU-Redux", 90)
    assert quality.from_evidence(("chat", "reasoning"), (GPQA, published)) == {"chat": 80, "reasoning": 60}
    assert quality.from_evidence(("chat",), ()) == {}
