"""Exact mode: numbers out of a file's header."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from inhouse.catalogue import estimating, gguf
from inhouse.catalogue.models import Architecture, KvLayers
from inhouse.cli import app
from inhouse.errors import PlanError
from inhouse.planner.memory import Use
from tests.oracle import cases, layouts
from tests.oracle.layouts import Model

SMALL_VOCABULARY = 1024
KINDS = ("qwen3.5:0.8b", "gemma4:e2b", "granite4:tiny-h", "lfm2.5-thinking:1.2b", "deepseek-v2:16b", "all-minilm")
"""Delta nets with a draft layer, windows and shared caches, Mamba with experts, short convolutions, MLA, an encoder."""


def small(model: Model) -> Model:
    """The same model with few tokens: a file is written and read in a moment."""
    return Model(
        replace(model.architecture, vocabulary=SMALL_VOCABULARY),
        model.context_trained,
        model.quantization,
        model.extra,
    )


def write(folder: Path, model: Model) -> Path:
    file = folder / "model.gguf"
    layouts.write(file, small(model))
    return file


@pytest.mark.parametrize("tag", KINDS)
def test_a_header_says_what_the_catalogue_says(tag: str, tmp_path: Path) -> None:
    model = cases.models()[tag]
    header = gguf.read(write(tmp_path, model))
    assert header.known
    wanted, found = model.architecture, header.architecture
    for field in ("blocks", "embedding", "heads", "per_layer_input", "draft_blocks", "positions", "gated"):
        assert getattr(found, field) == getattr(wanted, field), field
    assert {as_numbers(kind) for kind in found.kv} == {as_numbers(kind) for kind in wanted.kv}
    assert bool(found.recurrent) == bool(wanted.recurrent)
    if found.recurrent and wanted.recurrent:
        for field in ("layers", "inner", "state", "groups", "conv"):
            assert getattr(found.recurrent, field) == getattr(wanted.recurrent, field), field
    if found.experts and wanted.experts:
        for field in ("count", "used", "feed_forward", "dense_blocks", "matrices"):
            assert getattr(found.experts, field) == getattr(wanted.experts, field), field


def as_numbers(kind: object) -> tuple[object, ...]:
    found = (getattr(kind, f) for f in ("layers", "heads", "dim", "value_dim", "window"))
    return tuple(found)


def test_weights_are_counted_to_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    size = layouts.write(file, small(cases.models()["smollm2:135m"]))
    header = gguf.read(file)
    assert header.weights_mib * 2**20 == size
    assert header.estimate(Use(2048)).weights == header.weights_mib


def test_draft_layers_count_only_when_they_guess(tmp_path: Path) -> None:
    header = gguf.read(write(tmp_path, cases.models()["qwen3.5:0.8b"]))
    with_it, without = header.estimate(Use(4096)), header.estimate(Use(4096, draft_tokens=0))
    assert with_it.weights - without.weights == header.drafts_mib > 0
    assert with_it.recurrent == 5 * without.recurrent
    assert with_it.kv_cache == without.kv_cache * 7 / 6


def test_an_unknown_architecture_is_a_plain_transformer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "KNOWN", gguf.KNOWN - {"llama"})
    file = write(tmp_path, cases.models()["smollm2:135m"])
    assert not gguf.read(file).known
    result = CliRunner().invoke(app, ["catalogue", "estimate", str(file)])
    assert result.exit_code == 0
    assert 'Architecture "llama" is not known: estimated as a plain transformer' in result.stdout


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """Ollama's folder, with one model whose vision part is in a file of its own."""
    (tmp_path / "blobs").mkdir()
    for digest, tag in (("sha256-aa", "smollm2:135m"), ("sha256-bb", "all-minilm")):
        layouts.write(tmp_path / "blobs" / digest, small(cases.models()[tag]))
    manifest = tmp_path / "manifests/registry.ollama.ai/library/seeing/2b"
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:aa"},
        {"mediaType": "application/vnd.ollama.image.projector", "digest": "sha256:bb"},
    ]
    manifest.write_text(json.dumps({"layers": layers}))
    return tmp_path


def test_a_tag_is_found_through_its_manifest(models_dir: Path) -> None:
    header = gguf.find("seeing:2b", models_dir)
    assert header.architecture.name == "llama"
    assert header.projector_mib > 0
    assert not header.architecture.vision_inline
    assert header.estimate(Use(2048)).projector == header.projector_mib


@pytest.mark.parametrize("tag", ["library/seeing:2b", "registry.ollama.ai/library/seeing:2b"])
def test_longer_names_mean_the_same_tag(tag: str, models_dir: Path) -> None:
    assert gguf.find(tag, models_dir).architecture == gguf.find("seeing:2b", models_dir).architecture


def test_a_tag_that_is_not_there(models_dir: Path) -> None:
    with pytest.raises(PlanError, match=r"blind is not in .*Run: ollama pull blind"):
        gguf.find("blind", models_dir)


def test_a_store_that_only_ollama_may_read(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)  # root, who may run these tests, may read everything
    with pytest.raises(PlanError, match="Run it with sudo"):
        gguf.find("seeing:2b", models_dir)


def test_the_store_is_looked_for_where_inhouse_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    monkeypatch.setattr(estimating, "OLLAMAS_MODELS", theirs)
    assert estimating._models_dir() == Path("/var/lib/ollama/models")
    theirs.mkdir()
    ours_is_there = Path("/var/lib/ollama/models").is_dir()
    assert estimating._models_dir() == (Path("/var/lib/ollama/models") if ours_is_there else theirs)


def test_a_manifest_that_is_damaged(models_dir: Path) -> None:
    (models_dir / "manifests/registry.ollama.ai/library/seeing/2b").write_text("{")
    with pytest.raises(PlanError, match="2b is damaged"):
        gguf.find("seeing:2b", models_dir)


def test_a_blob_that_is_missing(models_dir: Path) -> None:
    (models_dir / "blobs/sha256-aa").unlink()
    with pytest.raises(PlanError, match="sha256-aa cannot be read"):
        gguf.find("seeing:2b", models_dir)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "picture.gguf"
    file.write_bytes(b"PNG" * 100)
    with pytest.raises(PlanError, match="is not a GGUF file"):
        gguf.read(file)


@pytest.mark.parametrize("kept", [4, 20, 300, 20000])
def test_a_file_that_was_cut(kept: int, tmp_path: Path) -> None:
    file = write(tmp_path, cases.models()["smollm2:135m"])
    with file.open("r+b") as opened:
        opened.truncate(kept)
    with pytest.raises(PlanError, match="is cut short or damaged"):
        gguf.read(file)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"heads": 0}, "attention.head_count is 0; no model can be estimated"),
        ({"embedding": 0}, "has no token_embd.weight"),
        ({"blocks": 0}, "block_count is 0; no model can be estimated"),
        ({"vocabulary": 0}, "has no token_embd.weight"),
        ({"kv": (KvLayers(layers=30, heads=0, dim=64),)}, "kv.0.heads: Input should be greater than 0, found 0"),
    ],
)
def test_a_number_that_no_model_has(wrong: dict[str, Any], says: str, tmp_path: Path) -> None:
    model = small(cases.models()["smollm2:135m"])
    damaged = Model(replace(model.architecture, **wrong), model.context_trained, model.quantization, model.extra)
    layouts.write(tmp_path / "model.gguf", damaged)
    with pytest.raises(PlanError, match=says):
        gguf.read(tmp_path / "model.gguf")


def test_the_command_prints_every_part(tmp_path: Path) -> None:
    file = write(tmp_path, cases.models()["smollm2:135m"])
    options = ["--context", "8192", "--parallel", "2", "--kv-cache-type", "q8_0"]
    result = CliRunner().invoke(app, ["catalogue", "estimate", str(file), *options, "--json"])
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert record["mib"]["kv_cache"] == round(2 * 180 * 17 / 32, 1)
    shown = CliRunner().invoke(app, ["catalogue", "estimate", str(file), *options]).stdout
    for part in ("weights", "KV cache", "compute buffers", "without GPU"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing.gguf"], "nothing.gguf cannot be read"),
        (["some:tag", "--models-dir", "/nonexistent"], "some:tag is not in /nonexistent"),
        (["x.gguf", "--kv-cache-type", "q8"], '"q8" is unknown; one of: f32, f16'),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(app, ["catalogue", "estimate", *arguments])
    assert result.exit_code == 1
    assert text in result.stderr


def test_the_numbers_of_a_file_can_be_a_row() -> None:
    read: Callable[[object], Architecture] = TypeAdapter(Architecture).validate_python
    model = cases.models()["qwen3:8b"]
    assert read(asdict(model.architecture)) == model.architecture
