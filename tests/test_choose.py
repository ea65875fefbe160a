import re
from dataclasses import replace

import pytest

from inhouse.catalogue.models import Purpose, find, models
from inhouse.catalogue.version import version
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.planner.selection import Candidate, candidates
from inhouse.planner.speed import COMFORTABLE
from tests.hosts_to_plan import card, host


def quality(tag: str, purpose: Purpose) -> int:
    model = find(tag)
    assert model is not None
    return model.quality_for(purpose)


def judged(hardware: str, purpose: Purpose, **changes: object) -> tuple[Candidate, ...]:
    needs, budget, _ = decided(host(**changes), parse(hardware))
    return candidates(needs, budget, purpose)


def plan_for(hardware: str, **changes: object) -> Plan:
    return make_plan(host(**changes), parse(hardware))


def test_the_same_input_gives_the_same_plan() -> None:
    assert plan_for("rtx-4090, ram 64") == plan_for("rtx-4090, ram 64")


def test_a_gpu_host_gets_the_best_model_wholly_on_the_gpu() -> None:
    plan = plan_for("rtx-4090, ram 64")
    chat, embedding = plan.models
    assert (chat.purposes, chat.gpu_share, chat.loaded) == (("chat",), 1.0, True)
    assert (embedding.purposes, embedding.gpu_share, embedding.loaded) == (("embedding",), 1.0, True)
    assert quality(chat.tag, "chat") == max(
        c.model.quality_for("chat") for c in judged("rtx-4090, ram 64", "chat") if c.why_not is None
    )
    assert plan.accelerator == "cuda"
    assert plan.ollama_nvidia
    assert plan.ollama_without == ()
    assert plan.ollama_max_loaded_models == 2
    assert plan.problems == plan.warnings == ()


def test_a_cpu_host_gets_what_a_person_would_wait_for() -> None:
    plan = plan_for("ram 64, cpu 8")
    assert plan.accelerator == "cpu"
    chat = plan.models[0]
    assert (chat.gpu_mib, chat.gpu_share, plan.ollama_fit_target_mib) == (0, 0.0, None)
    assert chat.tokens_per_second is not None
    assert chat.tokens_per_second >= COMFORTABLE
    slow = [c for c in judged("ram 64, cpu 8", "chat") if c.why_not and "slow" in c.why_not]
    assert slow
    assert all(c.model.quality_for("chat") > quality(chat.tag, "chat") for c in slow[:1])
    assert plan.ollama_without == ("lib/ollama/cuda_v12", "lib/ollama/cuda_v13", "lib/ollama/vulkan")
    assert not plan.ollama_nvidia


def test_a_host_that_can_run_nothing_says_so() -> None:
    plan = plan_for("ram 1, cpu 2")
    assert plan.models == ()
    assert "No chat model fits: 1024 MiB of RAM found" in plan.problems[0]
    assert "smollm2:135m" in plan.problems[0]


def test_a_small_gpu_leaves_the_models_to_the_cpu() -> None:
    plan = plan_for("gt-1030, ram 64")
    assert plan.accelerator == "cpu"
    assert "lib/ollama/cuda_v12" in plan.ollama_without
    assert any(r.startswith("GT 1030 (2.0 GiB) would hold less than what the CPU runs") for r in plan.reasons)


def test_pins_are_taken_as_they_are() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:8b", "nomic-embed-text:latest"))
    assert [m.tag for m in plan.models] == ["qwen3:8b", "nomic-embed-text"]
    assert all(m.reason.startswith("Pinned in the inventory") for m in plan.models)
    assert plan.problems == ()
    assert plan.open_webui_default_model == "qwen3:8b"
    assert plan.open_webui_embedding_model == "nomic-embed-text"


def test_a_pin_that_does_not_fit_says_how_much_is_missing() -> None:
    plan = plan_for("rtx-3060, ram 64", models=("qwen3:32b",))
    (problem,) = plan.problems
    numbers = re.match(
        r"models: qwen3:32b needs (\d+) MiB on the GPU at \d+ tokens, (\d+) MiB can be used: (\d+) ", problem
    )
    assert numbers
    needed, usable, missing = map(int, numbers.groups())
    assert needed - usable == pytest.approx(missing, abs=1)


def test_an_unknown_pin_names_the_nearest() -> None:
    (problem,) = plan_for("rtx-3060, ram 64", models=("qwen3:8",)).problems
    assert '"qwen3:8" is not in the catalogue' in problem
    assert "qwen3:8b" in problem


def test_pins_that_only_fit_in_turn_are_swapped() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:32b", "gpt-oss:20b", "nomic-embed-text"))
    assert plan.problems == ()
    assert [m.loaded for m in plan.models] == [False, False, True]
    assert plan.ollama_max_loaded_models == 2
    assert any("turn" in r for r in plan.reasons)


def test_a_pin_is_kept_and_what_it_does_not_serve_is_added() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:14b",), purposes=("chat", "vision", "embedding"))
    assert plan.problems == ()
    pin, vision, embedding = plan.models
    assert (pin.tag, vision.purposes, embedding.purposes) == ("qwen3:14b", ("vision",), ("embedding",))
    assert pin.reason.startswith("Pinned in the inventory")
    assert not vision.reason.startswith("Pinned")


def test_a_forced_pin_is_planned_and_its_numbers_are_a_warning() -> None:
    (problem,) = plan_for("rtx-3060, ram 64", models=("qwen3:32b",)).problems
    plan = plan_for("rtx-3060, ram 64", models=("qwen3:32b",), force_models=True)
    assert plan.problems == ()
    assert plan.warnings == (problem,)
    assert problem.endswith("set force_models: true.")
    (model,) = plan.models
    assert 0 < model.gpu_share < 1
    assert model.ram_mib > 1024
    assert model.gpu_mib + 1024 <= 12288


def test_one_model_serves_several_purposes() -> None:
    plan = plan_for("rtx-4090, ram 64", purposes=("chat", "vision"))
    assert [m.purposes for m in plan.models] == [("chat", "vision")]


def test_each_purpose_is_served() -> None:
    plan = plan_for("rtx-4090, ram 64", purposes=("chat", "code", "vision", "embedding"))
    assert {p for m in plan.models for p in m.purposes} == {"chat", "code", "vision", "embedding"}


def test_a_wanted_context_is_kept_or_the_models_get_smaller() -> None:
    wide = plan_for("rtx-4090, ram 64", context_length=131072)
    assert wide.ollama_context_length == 131072
    assert quality(wide.models[0].tag, "chat") <= quality(plan_for("rtx-4090, ram 64").models[0].tag, "chat")
    assert wide.problems == ()


def test_context_is_cut_to_what_was_trained() -> None:
    plan = plan_for("rtx-4090, ram 64", models=("qwen3:8b", "nomic-embed-text"), context_length=65536)
    assert plan.ollama_context_length == 40960
    assert plan.models[0].context_length == 40960
    assert plan.models[1].context_length == 2048
    assert any("instead of 65536" in r for r in plan.reasons)


def test_a_context_nothing_was_trained_for_is_cut() -> None:
    plan = plan_for("rtx-4090, ram 64", context_length=100_000_000)
    assert plan.problems == ()
    model = find(plan.models[0].tag)
    assert model is not None
    assert plan.ollama_context_length == plan.models[0].context_length == model.context_trained
    assert any("no model here was trained for more" in r for r in plan.reasons)


def test_slots_cost_memory() -> None:
    pinned = {"models": ("qwen3:8b",), "kv_cache_type": "f16"}
    one, four = (plan_for("rtx-3090, ram 64", parallel=n, **pinned).models[0] for n in (1, 4))
    assert four.kv_cache_mib / four.context_length == pytest.approx(4 * one.kv_cache_mib / one.context_length)
    assert four.parallel == 4


def test_a_smaller_cache_type_needs_flash_attention() -> None:
    plan = make_plan(host(kv_cache_type="q8_0"), card(8192, compute="5.2"))
    assert not plan.ollama_flash_attention
    assert any("kv_cache_type q8_0 needs flash attention" in p for p in plan.problems)
    assert make_plan(host(kv_cache_type="q8_0"), card(8192, compute="6.1")).problems == ()


def test_an_old_ollama_gets_no_newer_models() -> None:
    plan = plan_for("rtx-4090, ram 64", ollama_version="0.20.0", ollama_archive_sha256="a" * 64)
    assert plan.problems == ()
    needed = [version(model.min_ollama) for m in plan.models if (model := find(m.tag))]
    assert len(needed) == 2
    assert all(oldest <= (0, 20, 0) for oldest in needed)


def test_an_unknown_card_is_planned_by_what_its_driver_says() -> None:
    plan = make_plan(host(), card(24564, name="NVIDIA GeForce RTX 9999"))
    assert plan.hardware.startswith("RTX 9999 24 GiB")
    assert plan.models[0].tag == plan_for("rtx-4090, ram 64").models[0].tag
    assert "tokens/s" not in plan.models[0].reason


def test_unified_memory_is_the_rams() -> None:
    plan = plan_for("gb10, ram 128")
    assert plan.hardware.startswith("GB10 unified memory")
    assert plan.models[0].gpu_mib > 40 * 1024
    assert sum(m.gpu_mib + m.ram_mib for m in plan.models) < 128 * 1024


def test_memory_that_is_free_now_does_not_matter() -> None:
    facts = parse("rtx-4090, ram 64")
    busy = replace(facts.nvidia.gpus[0], memory_free_mib=512)
    loaded = replace(facts, nvidia=replace(facts.nvidia, gpus=(busy,)), memory_available_mib=1024)
    assert make_plan(host(), loaded) == make_plan(host(), facts)


def test_context_does_not_grow_at_the_cost_of_swapping() -> None:
    both = ("qwen3:14b", "qwen3:8b")
    plan = plan_for("rtx-3090, ram 64", models=both, kv_cache_type="f16")
    assert plan.ollama_max_loaded_models == 2
    assert plan.ollama_context_length == 16384
    assert sum(m.gpu_mib for m in plan.models) < 24576 - 1024
    alone = plan_for("rtx-3090, ram 64", models=("qwen3:14b",), kv_cache_type="f16")
    assert alone.ollama_context_length == 32768


def test_a_smaller_cache_type_is_taken_where_it_buys_context() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:14b", "qwen3:8b"))
    assert (plan.ollama_kv_cache_type, plan.ollama_context_length) == ("q8_0", 32768)
    roomy = plan_for("a100 80gb, ram 64", models=("qwen3:14b", "qwen3:8b"))
    assert (roomy.ollama_kv_cache_type, roomy.ollama_context_length) == ("f16", 32768)
    without = make_plan(host(models=("qwen3:14b", "qwen3:8b")), card(24576, compute="5.2"))
    assert (without.ollama_kv_cache_type, without.ollama_flash_attention) == ("f16", False)


def test_what_the_gpu_does_not_hold_may_lie_in_ram_if_it_is_fast_enough() -> None:
    hardware = "gtx 1650, ram 64, cpu 16"
    partly = plan_for(hardware, purposes=("chat",))
    (chat,) = partly.models
    assert 0.25 <= chat.gpu_share < 1
    assert chat.tokens_per_second is not None
    assert chat.tokens_per_second >= COMFORTABLE
    assert chat.gpu_mib <= 4096 - 1024
    (other,) = plan_for(hardware, purposes=("chat",), min_tokens_per_second=50.0).models
    assert other.gpu_share == 1.0
    assert other.tokens_per_second is not None
    assert other.tokens_per_second >= 50


def test_candidates_say_what_each_model_lacks() -> None:
    needs, budget, selection = decided(host(), parse("rtx-3060, ram 64"))
    all_ = {c.model.tag: c for c in candidates(needs, budget, "chat")}
    tags = list(all_)
    assert set(tags) == {m.tag for m in models() if "chat" in m.purposes}
    assert [quality(tag, "chat") for tag in tags] == sorted((quality(tag, "chat") for tag in tags), reverse=True)
    assert all_[selection.chosen[0].model.tag].why_not is None
    large = all_["qwen3:32b"]
    assert large.missing_mib > 0
    assert large.missing_mib == pytest.approx(large.need_mib - large.room_mib)
    assert large.why_not == f"needs {large.missing_mib:.0f} MiB more at 8192 tokens"
