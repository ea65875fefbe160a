"""The models the estimator is judged by: rows of the catalogue, and published configs where the catalogue has no row.

A row's own numbers are used wherever it has them; `FILLS` holds what a row leaves out and what only a file needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from inhouse.catalogue.models import Architecture, find
from tests.oracle.layouts import Model

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Fill:
    """What is added to a catalogue's row."""

    name: str
    feed_forward: int = 0
    extra: Numbers = field(default_factory=dict)
    more: Numbers = field(default_factory=dict)
    """Further fields of `Architecture`."""


MOE_30B: Final = {"experts": {"count": 128, "used": 8, "feed_forward": 768}}

FILLS: Final[Mapping[str, Fill]] = {
    "all-minilm": Fill("bert", 1536, more={"positions": 256}),
    "nomic-embed-text": Fill("nomic-bert", 3072),
    "bge-m3": Fill("bert", 4096, more={"positions": 8192}),
    "qwen3-embedding:0.6b": Fill("qwen3", 3072),
    "smollm2:135m": Fill("llama", 1536),
    "llama3.2:1b": Fill("llama", 8192),
    "llama3.2:3b": Fill("llama", 8192),
    "llama3.1:8b": Fill("llama", 14336),
    "mistral:7b": Fill("llama", 14336),
    "mistral-small3.2:24b": Fill("mistral3", 32768),
    "llama3.3:70b": Fill("llama", 28672),
    "qwen3:0.6b": Fill("qwen3", 3072),
    "qwen3:8b": Fill("qwen3", 12288),
    "qwen3:14b": Fill("qwen3", 17408),
    "qwen3:32b": Fill("qwen3", 25600),
    "qwen3:30b": Fill("qwen3moe", 6144, more=MOE_30B),
    "qwen3-vl:8b": Fill("qwen3vl", 12288),
    "qwen2.5-coder:1.5b": Fill("qwen2", 8960),
    "qwen2.5-coder:7b": Fill("qwen2", 18944),
    "gemma3:1b": Fill("gemma3", 6912, {"period": 6}),
    "gemma3:4b": Fill("gemma3", 10240, {"period": 6}),
    "gemma3:12b": Fill("gemma3", 15360, {"period": 6}),
    "gemma3:27b": Fill("gemma3", 21504, {"period": 6}),
    "gemma4:26b": Fill(
        "gemma4", 2112, {"period": 6}, {"experts": {"count": 128, "used": 8, "feed_forward": 704}}
    ),
    "gemma4:31b": Fill("gemma4", 21504, {"period": 6}),
    "gpt-oss:20b": Fill(
        "gpt-oss", 2880, {"period": 2}, {"experts": {"count": 32, "used": 4, "feed_forward": 2880}}
    ),
    "gpt-oss:120b": Fill(
        "gpt-oss", 2880, {"period": 2}, {"experts": {"count": 128, "used": 4, "feed_forward": 2880}}
    ),
    "phi4:14b": Fill("phi3", 17920),
    "phi4-mini": Fill("phi3", 8192, {"rope": 96}),
    "qwen3.5:4b": Fill("qwen35", 9216, {"interval": 4}),
    "qwen3.5:9b": Fill("qwen35", 12288, {"interval": 4}),
    "qwen3.5:27b": Fill("qwen35", 17408, {"interval": 4}),
    "qwen3.5:35b": Fill(
        "qwen35moe",
        512,
        {"interval": 4},
        {"experts": {"count": 256, "used": 8, "feed_forward": 512, "shared_feed_forward": 512}},
    ),
}


def from_row(tag: str) -> Model:
    """A row of the catalogue, completed."""
    row, fill = find(tag), FILLS[tag]
    assert row is not None, tag
    numbers = row.architecture.model_dump()
    for key, value in {"name": fill.name, "feed_forward": fill.feed_forward, **fill.more}.items():
        if not numbers[key]:
            numbers[key] = value
    return Model(
        Architecture.model_validate(numbers),
        row.context_trained,
        row.quantization,
        fill.extra,
    )


def _numbers(name: str, **fields: Any) -> Architecture:
    return Architecture.model_validate({"name": name, **fields})


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
    # google/gemma-4-E4B-it, config.json
    "gemma4:e4b": Model(
        _numbers(
            "gemma4",
            blocks=42,
            embedding=2560,
            heads=8,
            feed_forward=10240,
            vocabulary=262144,
            embedding_bits=6.5625,
            tied=True,
            per_layer_input=256,
            per_layer_bits=4.5,
            kv=[
                {"layers": 20, "heads": 2, "dim": 256, "window": 512},
                {"layers": 4, "heads": 2, "dim": 512},
            ],
        ),
        131072,
        "Q4_K_M",
        {"period": 6},
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
    # ibm-granite/granite-3.3-8b-instruct, config.json
    "granite3.3:8b": Model(
        _numbers(
            "granite",
            blocks=40,
            embedding=4096,
            heads=32,
            feed_forward=12800,
            vocabulary=49159,
            embedding_bits=6.5625,
            tied=True,
            kv=[{"layers": 40, "heads": 8, "dim": 128}],
        ),
        131072,
        "Q4_K_M",
    ),
    # ibm-granite/granite-4.0-h-tiny, config.json
    "granite4:7b-a1b-h": Model(
        _numbers(
            "granitehybrid",
            blocks=40,
            embedding=1536,
            heads=12,
            feed_forward=512,
            experts={"count": 64, "used": 6, "feed_forward": 512, "shared_feed_forward": 1024},
            vocabulary=100352,
            embedding_bits=6.5625,
            tied=True,
            kv=[{"layers": 4, "heads": 4, "dim": 128}],
            recurrent={"layers": 36, "inner": 3072, "state": 128, "groups": 1, "conv": 4, "heads": 48},
        ),
        131072,
        "Q4_K_M",
    ),
    # nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16, config.json
    "nemotron-3-nano:30b": Model(
        _numbers(
            "nemotron_h_moe",
            blocks=52,
            embedding=2688,
            heads=32,
            feed_forward=1856,
            experts={"count": 128, "used": 6, "feed_forward": 1856, "shared_feed_forward": 3712, "matrices": 2},
            vocabulary=131072,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 6, "heads": 2, "dim": 128}],
            recurrent={"layers": 23, "inner": 4096, "state": 128, "groups": 8, "conv": 4, "heads": 64},
        ),
        1048576,
        "Q4_K_M",
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
    # zai-org/GLM-4.7-Flash, config.json
    "glm-4.7-flash": Model(
        _numbers(
            "deepseek2",
            blocks=47,
            embedding=2048,
            heads=20,
            feed_forward=10240,
            experts={
                "count": 64,
                "used": 4,
                "feed_forward": 1536,
                "shared_feed_forward": 1536,
                "dense_blocks": 1,
            },
            vocabulary=154880,
            embedding_bits=4.5,
            tied=False,
            kv=[{"layers": 47, "heads": 1, "dim": 576, "value_dim": 0}],
        ),
        202752,
        "Q4_K_M",
        {"kv_lora_rank": 512, "rope": 64, "nope": 192, "value": 256, "q_lora_rank": 768},
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
    return {tag: from_row(tag) for tag in FILLS} | dict(PUBLISHED)
