"""What models may take on a host's GPUs, and what each needs there beside its buffers."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from inhouse.catalogue.models import Model, models
from inhouse.facts.model import HostFacts
from inhouse.planner import budget as budgets
from inhouse.planner import memory
from inhouse.planner.budget import Budget
from inhouse.planner.card import CONTEXT_AT_MOST_MIB, KEPT_MIB
from inhouse.planner.cards import Layout, layout
from inhouse.planner.hardware import parse
from inhouse.planner.loads import Load, loads
from inhouse.planner.machine import judge
from inhouse.planner.memory import Use
from tests.test_choose import plan_for

LLAMA, QWEN = (next(model for model in models() if model.tag == tag) for tag in ("llama3.1:8b", "qwen3:4b"))


def budget(hardware: str | HostFacts) -> Budget:
    facts = parse(hardware) if isinstance(hardware, str) else hardware
    return budgets.on_gpus(facts, judge(facts).cards, 0, images=False)


def test_the_drivers_part_and_the_margin_are_not_for_models() -> None:
    assert budget("rtx-4090, ram 64").usable == 24564 - KEPT_MIB - memory.MARGIN_MIB
    assert budget("h100-80gb-hbm3, ram 64").usable == 81559 - round(0.008 * 81559) - memory.MARGIN_MIB
    told = parse("rtx-4090, ram 64")
    gpu = replace(told.nvidia.gpus[0], memory_free_mib=24072, memory_used_mib=4)
    told = replace(told, nvidia=replace(told.nvidia, gpus=(gpu,)))
    assert budget(told).usable == 24564 - 488 - memory.MARGIN_MIB


def test_a_quantized_cache_needs_its_copy_on_cuda_alone() -> None:
    use = Use(32768, 4, "q8_0")
    by_nvidia, by_amd = budget("rtx-4090, ram 64"), budget("rx-7900-xtx, ram 64")
    load = by_nvidia.load(LLAMA, use)
    assert load.copies == pytest.approx(240, abs=1)
    assert by_nvidia.kind.held(load) == load.gpu + load.copies
    assert by_amd.kind.held(by_amd.load(LLAMA, use)) == load.gpu
    f16 = by_nvidia.load(LLAMA, Use(32768, 4))
    assert by_nvidia.kind.held(f16) == f16.gpu


def test_each_model_has_a_program_of_its_own_on_each_gpu() -> None:
    one, two = budget("h100-80gb-hbm3, ram 256"), budget("h100-80gb-hbm3 x2, ram 256")
    use = Use(8192)
    for here, gpus in ((one, 1), (two, 2)):
        load = here.load(LLAMA, use)
        assert here.needed(load) == load.gpu + gpus * CONTEXT_AT_MOST_MIB
        assert here.kind.whole(load).gpu == load.gpu  # what it takes; the program's own part is not the model's
    small, amd = budget("rtx-3060, ram 64"), budget("rx-7900-xtx, ram 64")
    assert small.needed(small.load(LLAMA, use)) == small.load(LLAMA, use).gpu + 0.02 * 12288
    assert amd.needed(amd.load(LLAMA, use)) == amd.load(LLAMA, use).gpu


def test_the_plan_counts_the_copy_on_cuda_alone() -> None:
    wanted = {"models": ("llama3.1:8b",), "context_length": 32768, "parallel": 4, "kv_cache_type": "q8_0"}
    (by_nvidia,) = plan_for("rtx-4090, ram 64", **wanted).models
    (by_amd,) = plan_for("rx-7900-xtx, ram 64", **wanted).models
    assert by_nvidia.gpu_mib - by_amd.gpu_mib == by_nvidia.compute_mib - by_amd.compute_mib == 240


def test_what_ollama_finds_free_is_less_by_the_program_it_looks_with() -> None:
    here = budget("rtx-3090 x2, ram 64")
    room, context = 24576 - KEPT_MIB, 0.02 * 24576
    assert here.free == pytest.approx(2 * (room - context))
    share = memory.SINGLE_GPU_SHARE
    between = Use(context_where(LLAMA, lambda load: load.predicted > share * (room - context)))
    assert share * (room - context) < here.load(LLAMA, between).predicted < share * room
    assert not here.alone(LLAMA, between)
    assert layout([[(LLAMA, 0.0)]], between, here) == Layout(spread=False, alone=frozenset())


def test_a_model_on_one_gpu_of_two_must_leave_room_for_its_program() -> None:
    here, most = budget("rtx-3090 x2, ram 64"), 24576 - KEPT_MIB - memory.MARGIN_MIB
    use = Use(context_where(QWEN, lambda load: load.gpu + 0.02 * 24576 > most))
    one = loads(use, 1).of(QWEN)
    assert one.gpu < most
    assert here.alone(QWEN, use)
    assert layout([[(QWEN, 0.0)]], use, here).spread


def context_where(model: Model, holds: Callable[[Load], bool]) -> int:
    """The least context, in steps of 256 tokens, at which that holds for a model on one GPU."""
    contexts = range(4096, model.context_trained, 256)
    return next(context for context in contexts if holds(loads(Use(context), 1).of(model)))


def test_a_processor_with_amx_takes_more() -> None:
    facts = parse("ram 64")
    with_amx = replace(facts, cpu=replace(facts.cpu, flags=facts.cpu.flags | {"amx_int8"}))
    tied = next(model for model in models() if model.tag == "llama3.2:3b")
    plain, more = budgets.on_cpu(facts, 0), budgets.on_cpu(with_amx, 0)
    load = plain.load(tied, Use(4096))
    assert plain.needed(load) == load.cpu
    assert more.needed(load) - load.cpu == pytest.approx(308 + 0.02 * 1610, abs=3)
