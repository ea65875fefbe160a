"""The estimator against what an H100 took: tests/data/h100.jsonl, as tests/oracle/gpu.py measured it. Needs no GPU."""

import pytest

from inhouse.facts.parse import parse
from inhouse.planner import memory
from inhouse.planner.nvidia import judge
from tests.oracle import gpu_page
from tests.oracle import judge as bars
from tests.oracle.gpu_page import Case
from tests.test_facts import CONTROLLER_TIME, RECORDINGS

WHOLE = [case for case in gpu_page.loaded() if case.whole]


def within(measured: float, estimated: float) -> bool:
    return measured - bars.UNDER_MIB <= estimated <= measured * (1 + bars.OVER)


@pytest.mark.parametrize("case", [*gpu_page.planned(), *WHOLE], ids=lambda case: f"{case.model.tag}-{case.use[:3]}")
def test_every_bar_holds_on_cuda(case: Case) -> None:
    found, row = case.estimated, case.row
    assert found.kv_cache == pytest.approx(row["kv"], rel=bars.PART)
    on_gpu = found.weights - found.embedding + found.output_copy
    weights = row.get("model CUDA0") or row["planned CUDA0"] - row["kv"] - row["compute CUDA0"]
    assert on_gpu == pytest.approx(weights, rel=bars.PART, abs=2 * bars.ROUNDED_MIB)
    assert within(*case.on_gpu)
    assert within(*(sum(pair) for pair in zip(case.on_gpu, case.beside, strict=True)))
    measured, estimated = case.compute
    assert measured <= estimated + bars.ROUNDED_MIB


def test_a_quantized_cache_is_copied_for_cuda() -> None:
    copied = [case for case in (*gpu_page.planned(), *WHOLE) if case.estimated.copies]
    assert len(copied) >= 5
    assert max(case.estimated.copies for case in copied) > 1800
    assert not any(within(case.on_gpu[0], case.estimated.gpu) for case in copied if case.estimated.copies > 300)
    assert all(case.estimated.copies == 0 for case in gpu_page.planned() if case.use.kv_cache_type == "f16")


def test_what_a_program_holds_beside_its_buffers_is_counted() -> None:
    """The context covers it once a model is loaded; what comes while it works, the margin covers."""
    output = (RECORDINGS / "one-h100-as-it-is.txt").read_text(encoding="utf-8")
    (card,) = judge(parse("gpu1", output, CONTROLLER_TIME), "the CPU").cards
    assert card.room_mib == 81079  # as llama.cpp shows it: "CUDA0: NVIDIA H100 80GB HBM3 (81079 MiB, …)"
    assert card.seen_mib == pytest.approx(80552, abs=80)  # "78.7 GiB" in Ollama's log, "80552 MiB free" in its engine's
    for case in WHOLE:
        loaded, working = case.overhead
        assert loaded == pytest.approx(card.context_mib, abs=5)
        assert working <= card.context_mib + memory.MARGIN_MIB / 4


def test_every_bar_holds_on_a_processor_with_amx() -> None:
    measured = [case for case in gpu_page.loaded() if "none" in case.row["options"]]
    assert len(measured) >= 2
    for case in measured:
        assert within(sum_of(case), case.estimated.cpu + case.estimated.amx)
    assert any(not within(sum_of(case), case.estimated.cpu) for case in measured)


def sum_of(case: Case) -> float:
    return float(sum(mib for key, mib in case.row.items() if key.split()[-1] in ("CPU", "AMX")))


def test_ollamas_own_sum_is_the_estimated_one() -> None:
    runs = gpu_page.rows("ollama")
    assert len(runs) == 3
    assert all(within(run["size_vram"] / 2**20, gpu_page.ollamas(run)) for run in runs)


def test_the_page_is_that_of_the_recording() -> None:
    """To mend: python -m tests.oracle.gpu_page."""
    assert gpu_page.PAGE.read_text(encoding="utf-8") == gpu_page.page()
