"""The estimator against llama.cpp itself: a part of what `make oracle` judges. It needs the engine, but no host."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inhouse.catalogue import gguf
from inhouse.lab import engine as lab_engine
from inhouse.lab import paths
from inhouse.planner import memory
from inhouse.planner.memory import Use
from tests.oracle import cases, engine, judge, layouts
from tests.oracle.judge import Row, Verdict

pytestmark = pytest.mark.lab

TAGS = (
    "smollm2:135m",
    "all-minilm",
    "lfm2.5-thinking:1.2b",
    "granite4:tiny-h",
    "deepseek-v2:16b",
    "starcoder2:7b",
)
USES = (Use(4096), Use(16384, 4, "q8_0"))


@pytest.fixture(scope="module")
def server() -> Path:
    return lab_engine.build(paths.cache_dir()) / "lib/ollama/llama-server"


@pytest.fixture(scope="module")
def software_gpu() -> dict[str, str]:
    """Environment in which the engine finds one GPU, made of software."""
    folder = lab_engine.software_gpu(paths.cache_dir())
    backend = lab_engine.build(paths.cache_dir()) / "lib/ollama/vulkan" / lab_engine.VULKAN_BACKEND
    return {
        **os.environ,
        "VK_DRIVER_FILES": str(folder / lab_engine.DRIVER_MANIFEST),
        "GGML_VK_VISIBLE_DEVICES": "0",
        "GGML_BACKEND_PATH": str(backend),
    }


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Path, Row]]:
    """A tied model of 256 MiB, and what a catalogue would say of it."""
    model, file = cases.models()["smollm2:135m"], tmp_path / "model.gguf"
    layouts.write(file, model)
    yield file, Row("smollm2:135m", model, gguf.read(file).file_mib, ("chat",))
    file.unlink()


@pytest.mark.parametrize("tag", TAGS)
def test_every_bar_holds(tag: str, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cases.models()[tag]
    wanted = USES if model.architecture.kv else USES[:1]
    monkeypatch.setattr(judge, "uses", lambda model, encoder: wanted)
    verdicts = judge.judge(server, tmp_path, tag, model)
    assert len(verdicts) == len(wanted)
    judged = [verdict for verdict in verdicts if isinstance(verdict, Verdict)]
    assert len(judged) == len(wanted)
    assert [miss for verdict in judged for miss in verdict.misses()] == []


def test_a_wrong_estimate_misses_its_bars(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "uses", lambda model, encoder: USES[:1])
    verdict = judge.judge(server, tmp_path, "smollm2:135m", cases.models()["smollm2:135m"])[0]
    assert isinstance(verdict, Verdict)
    wrong = verdict.estimated._replace(
        weights=verdict.estimated.weights * 1.1, kv_cache=verdict.estimated.kv_cache * 1.02
    )
    missed = list(replace(verdict, estimated=wrong).misses())
    assert [text.partition("slots 1: ")[2].split()[0] for text in missed] == ["model", "cache"]


def test_planned_sizes_are_the_allocated_ones(server: Path, small: tuple[Path, Row]) -> None:
    file, _ = small
    arguments = ["-c", "4096", "-np", "2", "-b", "512", "-ub", "512", "-fa", "on"]
    planned, loaded = (engine.measure(server, file, arguments, dry=dry) for dry in (True, False))
    assert planned.model == pytest.approx(loaded.model, abs=judge.ROUNDED_MIB)
    assert (planned.kv_cache, planned.compute) == (loaded.kv_cache, loaded.compute)


def test_a_tied_table_is_on_the_gpu_and_in_ram(
    server: Path, small: tuple[Path, Row], software_gpu: dict[str, str]
) -> None:
    file, row = small
    use = Use(8192, batch=1024)
    arguments = ["-c", "8192", "-np", "1", "-b", "1024", "-ub", "1024", "-fa", "on"]
    measured = engine.measure(server, file, arguments, environment=software_gpu)
    found = memory.estimate(row, use)
    assert found.output_copy == 54
    assert measured.model == pytest.approx(found.weights + found.output_copy, abs=2)
    on_gpu, beside = measured.devices["compute", "Vulkan0"], measured.devices["compute", "Vulkan_Host"]
    assert on_gpu <= found.compute <= on_gpu + 3 * 576 * 1024 * 4 / 2**20
    assert beside <= found.compute_host <= beside + 2 * 576 * 1024 * 4 / 2**20


def test_layers_left_in_ram_are_split_as_estimated(
    server: Path, small: tuple[Path, Row], software_gpu: dict[str, str]
) -> None:
    file, row = small
    arguments = ["-c", "8192", "-np", "1", "-b", "1024", "-ub", "1024", "-fa", "on", "-ngl", "16"]
    measured = engine.measure(server, file, arguments, environment=software_gpu)
    found = memory.estimate(row, Use(8192, batch=1024))
    on_gpu, in_ram = found.partly(15 / row.architecture.blocks)  # the sixteenth is the output layer
    assert measured.devices["planned", "Vulkan0"] == pytest.approx(on_gpu, rel=0.03)
    assert measured.devices["planned", "Host"] == pytest.approx(in_ram, rel=0.03)


def test_two_gpus_keep_copies_of_their_inputs(
    server: Path, small: tuple[Path, Row], software_gpu: dict[str, str]
) -> None:
    file, row = small
    arguments = ["-c", "8192", "-np", "1", "-b", "1024", "-ub", "1024", "-fa", "on"]
    two = {**software_gpu, "GGML_VK_VISIBLE_DEVICES": "0,0"}
    measured = engine.measure(server, file, arguments, environment=two)
    found = memory.estimate(row, Use(8192, batch=1024), gpus=2)
    there = measured.devices["compute", "Vulkan0"] + measured.devices["compute", "Vulkan1"]
    assert found.compute == pytest.approx(there, abs=2)
    assert found.compute_host == pytest.approx(measured.devices["compute", "Vulkan_Host"], abs=2)
