from collections import Counter
from pathlib import Path

import pytest

from inhouse.catalogue import load, models, quality, releases
from inhouse.catalogue.evidence import Evidence, Purpose
from inhouse.catalogue.version import version
from inhouse.errors import PlanError

LANGUAGES = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu
ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so
sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("row", models.models(), ids=lambda m: m.tag)
def test_every_model_has_what_the_estimator_needs(row: models.Model) -> None:
    a = row.architecture
    assert a.name
    assert a.kv or row.purposes == ("embedding",)
    assert version(row.min_ollama) >= version(releases.releases().ollama.oldest)
    tables = 1 if a.tied else 2
    assert a.vocabulary * a.embedding * tables / 1e9 < row.parameters_b


def weights_of_layers(row: models.Model) -> tuple[float, float]:
    """Thousand millions of weights outside of tables and vision part, and bits of each."""
    a = row.architecture
    table = a.vocabulary * a.embedding / 1e9
    per_layer = a.per_layer_input * a.blocks * a.vocabulary / 1e9
    output_bits = 0.0 if a.tied else a.output_bits or 6.5625
    tables = table * a.embedding_bits + table * output_bits + per_layer * (a.per_layer_bits or a.embedding_bits)
    weights = row.parameters_b - row.projector_mib * 2**20 / 2 / 1e9 - table * (1 if a.tied else 2) - per_layer
    return weights, ((row.file_mib - row.projector_mib) * 2**20 * 8 / 1e9 - tables) / weights


@pytest.mark.parametrize("row", models.models(), ids=lambda m: m.tag)
def test_sizes_agree_with_parameters_and_tables(row: models.Model) -> None:
    """What is left of a file without its tables is what its quantization makes of the other weights."""
    weights, bits = weights_of_layers(row)
    assert weights > 0
    blocked = row.architecture.embedding % 256 == 0
    odd = {"qwen3:0.6b": 5.6, "phi4-reasoning:14b": 6.2, "gemma4:e4b": 5.5, "nemotron-3-super:120b": 5.7}
    most_q4 = odd.get(row.tag, 5.35 if blocked else 6.2)
    nominal = {
        "Q4_K_M": (4.6, most_q4),
        "MXFP4": (4.2, 4.7),
        "Q8_0": (8.1, 8.7),
        "F16": (15.7, 17.8),
        "BF16": (15.7, 17.8),
    }
    least, most = nominal[row.quantization]
    assert least <= bits <= most


def test_models_cover_every_class_and_purpose() -> None:
    rows = models.models()
    kinds = Counter(m.kind for m in rows)
    assert set(kinds) == {"embedding", "<2B", "2-4B", "7-9B", "12-14B", "20-35B", "70B+", "100B+"}
    assert min(kinds.values()) >= 4
    assert {p for m in rows for p in m.purposes} == set(quality.SCALES)
    assert sum(not m.dense for m in rows) >= 15
    assert sum(m.architecture.recurrent is not None for m in rows) >= 15
    assert any(g.value_dim == 0 for m in rows for g in m.architecture.kv)
    assert sum(any(g.window for g in m.architecture.kv) for m in rows) >= 10
    assert len(rows) >= 80


@pytest.mark.parametrize("purpose", quality.SCALES)
def test_order_agrees_with_the_scores_of_one_benchmark(purpose: Purpose) -> None:
    for benchmark in quality.SCALES[purpose]:
        rows = [
            (e.score, m.quality_for(purpose))
            for m in models.models()
            for e in m.evidence
            if (e.purpose, e.benchmark) == (purpose, benchmark) and counts(m, e)
        ]
        assert [q for _, q in sorted(rows)] == sorted(q for _, q in rows)


def counts(row: models.Model, one: Evidence) -> bool:
    """Whether this result is the one its quality is made of."""
    known = [e.benchmark for e in row.evidence if e.purpose == one.purpose]
    return one.benchmark == min(known, key=list(quality.SCALES[one.purpose]).index)


def test_the_common_benchmark_serves_most_models() -> None:
    """Lines between benchmarks are a makeshift: two thirds of the published values need none."""
    first = {p: next(iter(scales)) for p, scales in quality.SCALES.items()}
    used = [e for m in models.models() for e in m.evidence if counts(m, e)]
    same = [e for e in used if quality.SCALES[e.purpose][e.benchmark] == quality.SAME]
    assert len(same) >= len(used) * 2 / 3
    assert {e.purpose for e in used if e.benchmark == first[e.purpose]} == set(first)


def test_the_rule_stands_in_the_documentation() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    for scales in quality.SCALES.values():
        for benchmark, line in scales.items():
            formula = "as it is" if line == quality.SAME else f"{line.slope:g} x {line.offset:+g}".replace("+0", "")
            assert f"| {benchmark} | {formula.strip()} |" in text


def test_languages_are_codes_of_iso_639_1() -> None:
    assert {code for m in models.models() for code in m.languages} <= set(LANGUAGES.split())


def test_little_is_without_a_source() -> None:
    fields = [f for m in models.models() for f in m.unsourced]
    assert len(fields) <= len(models.models()) * 0.75


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


GOOD_ROW = """sources:
  here: {what: invented for this test, where: this very file, date: "2026-11-25"}
models:
  - {tag: "some:7b", parameters_b: 7, active_b: 7, quantization: Q4_K_M, file_mib: 4200, digest: "0123456789ab",
     context_trained: 8192, purposes: [chat, tools], capabilities: [tools], licence: MIT, min_ollama: "0.30.0",
     quality: {chat: 50, tools: 40}, derived: [tools],
     evidence: [{purpose: chat, benchmark: MMLU-Pro, score: 50, source: here, date: "2026-01"}],
     architecture: {blocks: 32, embedding: 4096, heads: 32, vocabulary: 32000, embedding_bits: 4.5, tied: false,
                    kv: [{layers: 32, heads: 8, dim: 128}]},
     source: {listing: here, size: here, architecture: here, licence: here}}
"""
SECOND_ROW = GOOD_ROW.partition("models:\n")[2].replace("some:7b", "other:7b").replace("0123456789ab", "ba9876543210")


def test_a_good_row_is_taken() -> None:
    assert load.check("models.yml", GOOD_ROW, models.Models).models[0].tag == "some:7b"
    assert len(load.check("models.yml", GOOD_ROW + SECOND_ROW, models.Models).models) == 2


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("file_mib: 4200", "file_mib: 42000", "bits per parameter are not Q4_K_M"),
        ("file_mib: 4200", "file_mib: 60", "together as large as the file"),
        ("blocks: 32", "blocks: 31", "32 layers hold a cache or a state, but the model has only 31 blocks"),
        ("heads: 8, dim", "heads: 5, dim", "32 heads cannot share 5 KV heads"),
        ("dim: 128}", "dim: 128, window: 8192}", "a window of 8192 tokens is no window"),
        ("active_b: 7", "active_b: 8", "more than all 7"),
        ("active_b: 7", "active_b: 3", "in a mixture of experts"),
        ("tied: false", "tied: false, experts: {count: 4, used: 8, feed_forward: 9}", "8 of 4 experts"),
        ("kv: [{layers: 32, heads: 8, dim: 128}]", "kv: []", "has layers with a KV cache"),
        ("embedding_bits: 4.5", "embedding_bits: 8.5", "4.5 or 6.5625 is possible"),
        ("embedding: 4096", "embedding: 4000", "5.5 or 8.5 is possible"),
        ("purposes: [chat, tools]", "purposes: [chat]", "capability tools and purpose tools come together"),
        ("purposes: [chat, tools]", "purposes: [tools]", "for chat, for code or for embedding"),
        ("purposes: [chat, tools]", "purposes: [chat, tools, vision]", "capability vision and purpose vision"),
        ("capabilities: [tools]", "capabilities: [tools], projector_mib: 9", "a model for vision has a vision part"),
        ("purposes: [chat, tools]", "purposes: [poetry]", "found 'poetry'"),
        ("quality: {chat: 50", "quality: {chat: 51", "does not follow from the evidence, which gives {'chat': 50"),
        ("derived: [tools]", "derived: []", "derived must name the purposes without a published result: tools"),
        ("benchmark: MMLU-Pro", "benchmark: MMMU", "MMMU is no benchmark for chat; known: MMLU-Pro"),
        (
            "{purpose: chat, benchmark: MMLU-Pro",
            "{purpose: vision, benchmark: MMMU",
            "evidence for vision, which is none",
        ),
        ("score: 50", "score: 500", "less than or equal to 100"),
        ('date: "2026-01"', 'date: "last year"', "should match pattern"),
        ("context_trained: 8192", "context_trained: 64", "greater than or equal to 128"),
        ("licence: MIT", "license: MIT", "license"),
        ("licence: MIT", "licence: MIT, languages: [german]", "should match pattern"),
        ("size: here", "size: there", "used but not explained, or the reverse: there"),
        ("models:", 'spare: {what: for nothing, where: nowhere else, date: "2026"}\nmodels:', "spare"),
        ('digest: "0123456789ab"', 'digest: "0123"', "should match pattern"),
        ('"some:7b"', '"Some 7b"', "pattern"),
        ("models:", "models: [", "is not YAML"),
    ],
)
def test_a_wrong_row_is_named_with_what_is_wrong(right: str, wrong: str, says: str) -> None:
    assert right in GOOD_ROW
    with pytest.raises(PlanError) as caught:
        load.check("models.yml", GOOD_ROW.replace(right, wrong, 1), models.Models)
    assert "models.yml" in str(caught.value)
    assert says in str(caught.value)


def test_the_error_names_the_row_by_its_tag() -> None:
    with pytest.raises(PlanError, match=r"models → some:7b → file_mib: .* found -1"):
        load.check("models.yml", GOOD_ROW.replace("file_mib: 4200", "file_mib: -1"), models.Models)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("other:7b", "some:7b", "tags given twice: some:7b"),
        ("ba9876543210", "0123456789ab", "digests given twice: 0123456789ab"),
        ("licence: MIT", "licence: mit", "one licence is spelt in two ways: MIT, mit"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(right: str, wrong: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        load.check("models.yml", GOOD_ROW + SECOND_ROW.replace(right, wrong), models.Models)


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
