"""What models may take on a host's GPUs, and what each needs there beside its buffers."""

from dataclasses import replace

import pytest

from inhouse.catalogue.models import models
from inhouse.facts.model import HostFacts
from inhouse.planner import budget as budgets
from inhouse.planner import memory
from inhouse.planner.budget import Budget
from inhouse.planner.card import CONTEXT_AT_MOST_MIB, KEPT_MIB
from inhouse.planner.hardware import parse
from inhouse.planner.machine import judge
from inhouse.planner.memory import Use

LLAMA = next(model for model in models() if model.tag == "llama3.1:8b")


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


def test_a_processor_with_amx_takes_more() -> None:
    facts = parse("ram 64")
    with_amx = replace(facts, cpu=replace(facts.cpu, flags=facts.cpu.flags | {"amx_int8"}))
    tied = next(model for model in models() if model.tag == "llama3.2:3b")
    plain, more = budgets.on_cpu(facts, 0), budgets.on_cpu(with_amx, 0)
    load = plain.load(tied, Use(4096))
    assert plain.needed(load) == load.cpu
    assert more.needed(load) - load.cpu == pytest.approx(308 + 0.02 * 1610, abs=3)
