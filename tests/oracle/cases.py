"""The models the estimator is judged by: rows of the catalogue, and published configs of architectures it lacks.

A row gives every number that decides memory; what only a file needs stands here.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from inhouse.catalogue.models import Architecture
from inhouse.catalogue.models import Model as Row
from inhouse.catalogue.models import models as rows
from tests.oracle.layouts import LAYOUTS, Model

BY_ARCHITECTURE: Final[Mapping[str, Mapping[str, int]]] = {
    "gemma3": {"period": 6},
    "gemma4": {"period": 6},
    "gptoss": {"period": 2},
    "gpt-oss": {"period": 2},
    "qwen35": {"interval": 4},
    "qwen35moe": {"interval": 4},
    "qwen3next": {"interval": 4},
}
"""Which layers see everything: one in so many."""
BY_TAG: Final[Mapping[str, Mapping[str, int]]] = {
    "gemma4:e2b": {"period": 5},
    "phi4-mini": {"rope": 96},
    "qwen3-embedding:0.6b": {"pooling": 3},
    "qwen3-embedding:4b": {"pooling": 3},
    "qwen3-embedding:8b": {"pooling": 3},
    "glm-4.7-flash": {"kv_lora_rank": 512, "rope": 64, "nope": 192, "value": 256, "q_lora_rank": 768},
    "deepseek-r1:671b": {"kv_lora_rank": 512, "rope": 64, "nope": 128, "value": 128, "q_lora_rank": 1536},
}
LEFT_OUT: Final[Mapping[str, str]] = {
    "nemotron-3-super:120b": "its experts work on shortened vectors, which no field of the catalogue describes",
}


def _numbers(name: str, **fields: Any) -> Architecture:
    return TypeAdapter(Architecture).validate_python({"name": name, **fields})


PUBLISHED: Final[Mapping[str, Model]] = {
    # google/gemma-3n-E2B-it, config.json
    "gemma3n:e2b": Model(
        _numbers(
            "gemma3n",
            blocks=30,
            embedding=2048,
            heads=8,
            feed_forward=8192,
            vocabulary=262144,
            embedding_bits=6.5625,
            tied=True,
            per_layer_input=256,
            per_layer_bits=4.5,
            kv=[
                {"layers": 16, "heads": 2, "dim": 256, "window": 512},
                {"layers": 4, "heads": 2, "dim": 256},
            ],
        ),
        32768,
        "Q4_K_M",
        {"period": 5},
    ),
    # google/gemma-2-9b-it, config.json
    "gemma2:9b": Model(
        _numbers(
            "gemma2",
            blocks=42,
            embedding=3584,
            heads=16,
            feed_forward=14336,
            vocabulary=256000,
            embedding_bits=6.5625,
            tied=True,
            kv=[
                {"layers": 21, "heads": 8, "dim": 256, "window": 4096},
                {"layers": 21, "heads": 8, "dim": 256},
            ],
        ),
        8192,
        "Q4_K_M",
        {"period": 2},
    ),
    # deepseek-ai/DeepSeek-V2-Lite-Chat, config.json
    "deepseek-v2:16b": Model(
        _numbers(
            "deepseek2",
            blocks=27,
            embedding=2048,
            heads=16,
            feed_forward=10944,
            experts={
                "count": 64,
                "used": 6,
                "feed_forward": 1408,
                "shared_feed_forward": 2816,
                "dense_blocks": 1,
            },
            vocabulary=102400,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 27, "heads": 1, "dim": 576, "value_dim": 0}],
        ),
        163840,
        "Q4_K_M",
        {"kv_lora_rank": 512, "rope": 64, "nope": 128, "value": 128},
    ),
    # LiquidAI/LFM2-2.6B, config.json
    "lfm2:2.6b": Model(
        _numbers(
            "lfm2",
            blocks=30,
            embedding=2048,
            heads=32,
            feed_forward=10752,
            vocabulary=65536,
            embedding_bits=6.5625,
            tied=True,
            kv=[{"layers": 8, "heads": 8, "dim": 64}],
            recurrent={"layers": 22, "inner": 2048, "state": 0, "groups": 0, "conv": 3},
        ),
        128000,
        "Q4_K_M",
    ),
    # CohereForAI/c4ai-command-r-08-2024, config.json
    "command-r:35b": Model(
        _numbers(
            "command-r",
            blocks=40,
            embedding=8192,
            heads=64,
            feed_forward=24576,
            vocabulary=256000,
            embedding_bits=6.5625,
            tied=True,
            kv=[{"layers": 40, "heads": 8, "dim": 128}],
        ),
        131072,
        "Q4_K_M",
    ),
    # CohereForAI/c4ai-command-r7b-12-2024, config.json
    "command-r7b:7b": Model(
        _numbers(
            "cohere2",
            blocks=32,
            embedding=4096,
            heads=32,
            feed_forward=14336,
            vocabulary=256000,
            embedding_bits=6.5625,
            tied=True,
            kv=[
                {"layers": 24, "heads": 8, "dim": 128, "window": 4096},
                {"layers": 8, "heads": 8, "dim": 128},
            ],
        ),
        8192,
        "Q4_K_M",
        {"period": 4},
    ),
    # allenai/OLMo-2-1124-7B-Instruct, config.json
    "olmo2:7b": Model(
        _numbers(
            "olmo2",
            blocks=32,
            embedding=4096,
            heads=32,
            feed_forward=11008,
            vocabulary=100352,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 32, "heads": 32, "dim": 128}],
        ),
        4096,
        "Q4_K_M",
    ),
    # zai-org/GLM-4-9B-0414, config.json
    "glm4:9b": Model(
        _numbers(
            "glm4",
            blocks=40,
            embedding=4096,
            heads=32,
            feed_forward=13696,
            vocabulary=151552,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 40, "heads": 2, "dim": 128}],
        ),
        32768,
        "Q4_K_M",
    ),
    # bigcode/starcoder2-7b, config.json
    "starcoder2:7b": Model(
        _numbers(
            "starcoder2",
            blocks=32,
            embedding=4608,
            heads=36,
            feed_forward=18432,
            gated=False,
            vocabulary=49152,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 32, "heads": 4, "dim": 128}],
        ),
        16384,
        "Q4_K_M",
    ),
}


def models() -> dict[str, Model]:
    """Every model by its tag."""
    found = {row.tag: _from_row(row) for row in rows() if row.tag not in LEFT_OUT}
    return {tag: model for tag, model in found.items() if model.name in LAYOUTS} | dict(PUBLISHED)


def judged() -> dict[str, Model]:
    """One of each architecture: the one in the middle, by size."""
    by_name: dict[str, list[str]] = {}
    for tag, model in models().items():
        by_name.setdefault(model.name, []).append(tag)
    middle = [tags[len(tags) // 2] for tags in by_name.values()]
    return {tag: models()[tag] for tag in middle}


def _from_row(row: Row) -> Model:
    extra = {**BY_ARCHITECTURE.get(row.architecture.name or "", {}), **BY_TAG.get(row.tag, {})}
    return Model(row.architecture, row.context_trained, row.quantization, extra)
