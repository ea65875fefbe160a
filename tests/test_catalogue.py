from collections import Counter

import pytest

from inhouse.catalogue import load, models, releases
from inhouse.catalogue.version import version
from inhouse.errors import PlanError


@pytest.mark.parametrize("row", models.models(), ids=lambda m: m.tag)
def test_every_model_has_what_the_estimator_needs(row: models.Model) -> None:
    assert 128 <= row.context_trained <= 1_048_576
    assert row.architecture.kv or row.purposes == ("embedding",)
    assert ("embedding" in row.capabilities) == (row.purposes == ("embedding",))
    assert ("vision" in row.capabilities) == ("vision" in row.purposes)
    assert row.active_b < row.parameters_b or row.dense
    assert version(row.min_ollama) >= version(releases.releases().ollama.oldest)


def test_models_cover_every_class_and_purpose() -> None:
    kinds = Counter(m.kind for m in models.models())
    assert set(kinds) == {"embedding", "<2B", "2-4B", "7-9B", "12-14B", "20-35B", "70B+"}
    assert {p for m in models.models() for p in m.purposes} == {"chat", "code", "vision", "embedding"}
    assert sum(not m.dense for m in models.models()) >= 5
    assert sum(m.architecture.recurrent is not None for m in models.models()) >= 3
    assert len(models.models()) >= 16


def test_ranks_leave_nothing_to_chance() -> None:
    for purpose in ("chat", "code", "vision", "embedding"):
        ranks = Counter(m.rank for m in models.models() if purpose in m.purposes)
        assert max(ranks.values()) == 1, f"{purpose}: {ranks}"


def test_pins_are_a_version_and_its_sum() -> None:
    ollama = releases.releases().ollama
    assert ollama.default == "0.34.4"
    assert releases.releases().open_webui.default == "0.12.4"
    assert ollama.sha256("0.34.4", "amd64") == "c238986e61d40c0cc5f4a9b9e40b9eea104350b77efa34741fc134e105cb9533"
    assert ollama.sha256("0.34.4", "arm64") == "96f50a1192133028cf4e010d8c333f8af14b1505db6be7b2034c11487e7fd7e6"
    assert ollama.sha256("0.30.10", "arm64") is None
    assert ollama.sha256("9.9.9", "amd64") is None
    sums = [a.sha256 for r in ollama.releases for a in (r.amd64, r.arm64) if a]
    assert len(set(sums)) == len(sums) >= 15


@pytest.mark.parametrize(
    ("python", "runs"),
    [("3.10.12", False), ("3.11.2", True), ("3.12.3", True), ("3.13.5", False), ("3.11.2+", True), ("", False)],
)
def test_python_of_open_webui(python: str, runs: bool) -> None:
    assert releases.releases().open_webui.runs_on_python(python) is runs


GOOD_ROW = """models:
  - {tag: "some:7b", kind: 7-9B, parameters_b: 7, active_b: 7, quantization: Q4_K_M, file_mib: 4200,
     context_trained: 8192, purposes: [chat], licence: MIT, min_ollama: "0.30.0",
     rank: 5, source: invented for this test,
     architecture: {blocks: 32, embedding: 4096, heads: 32, vocabulary: 32000, embedding_bits: 4.5, tied: false,
                    kv: [{layers: 32, heads: 8, dim: 128}]}}
"""


def test_a_good_row_is_taken() -> None:
    assert load.check("models.yml", GOOD_ROW, models.Models).models[0].tag == "some:7b"


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("file_mib: 4200", "file_mib: 42000", "bits per parameter"),
        ("blocks: 32", "blocks: 31", "32 layers hold a cache or a state, but the model has only 31 blocks"),
        ("active_b: 7", "active_b: 8", "more than all 7"),
        ("purposes: [chat]", "purposes: [vision]", "a model for vision has a vision part"),
        ("purposes: [chat]", "purposes: [poetry]", "found 'poetry'"),
        ("heads: 8, dim", "heads: 0, dim", "greater than 0"),
        ("licence: MIT", "license: MIT", "license"),
        ("source: invented for this test", "source: me", "at least 8 characters"),
        ('"some:7b"', '"Some 7b"', "pattern"),
        ("models:", "models: [", "is not YAML"),
    ],
)
def test_a_wrong_row_is_named_with_what_is_wrong(right: str, wrong: str, says: str) -> None:
    assert right in GOOD_ROW
    with pytest.raises(PlanError) as caught:
        load.check("models.yml", GOOD_ROW.replace(right, wrong), models.Models)
    assert "models.yml" in str(caught.value)
    assert says in str(caught.value)


def test_the_error_names_the_row_by_its_tag() -> None:
    with pytest.raises(PlanError, match=r"models → some:7b → rank: .* found 500"):
        load.check("models.yml", GOOD_ROW.replace("rank: 5", "rank: 500"), models.Models)


def test_a_tag_given_twice_is_refused() -> None:
    twice = GOOD_ROW + GOOD_ROW.removeprefix("models:\n")
    with pytest.raises(PlanError, match="tags given twice: some:7b"):
        load.check("models.yml", twice, models.Models)


def test_latest_is_the_plain_name() -> None:
    assert models.find("nomic-embed-text:latest") is models.find("nomic-embed-text")
    assert models.find("QWEN3:8B") is models.find("qwen3:8b")
    assert models.find("qwen3") is None


@pytest.mark.parametrize(
    ("typo", "meant"), [("qwen3:8", "qwen3:8b"), ("lama3.1:8b", "llama3.1:8b"), ("gpt-oss:20", "gpt-oss:20b")]
)
def test_nearest_tags(typo: str, meant: str) -> None:
    assert meant in models.nearest(typo)


def test_nothing_is_near_nonsense() -> None:
    assert models.nearest("zzzzzz:1x") == []
