from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.catalogue.models import find, models
from inhouse.facts.model import Disk, HostFacts
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.planner.selection import FLOOR, GOAL, LADDER, candidates
from tests.hosts_to_plan import card, host

quick = settings(max_examples=25, deadline=None)


def rank(plan: Plan) -> tuple[bool, int]:
    """How good the worst generating model is; a full context counts first."""
    ranks = [model.rank for m in plan.chat_models if (model := find(m.tag))]
    return bool(ranks) and plan.ollama_context_length >= GOAL, min(ranks, default=0)


def plan_for(hardware: str, **changes: object) -> Plan:
    return make_plan(host(**changes), parse(hardware))


def test_the_same_input_gives_the_same_plan() -> None:
    assert plan_for("rtx-4090, ram 64") == plan_for("rtx-4090, ram 64")


def test_a_gpu_host_gets_the_best_model_wholly_on_the_gpu() -> None:
    plan = plan_for("rtx-4090, ram 64")
    chat, embedding = plan.models
    assert (chat.tag, chat.purposes, chat.gpu_share) == ("qwen3.5:27b", ("chat",), 1.0)
    assert (embedding.tag, embedding.purposes) == ("bge-m3", ("embedding",))
    assert plan.accelerator == "cuda"
    assert plan.ollama_nvidia
    assert plan.ollama_without == ()
    assert plan.ollama_max_loaded_models == 2
    assert plan.problems == plan.warnings == ()


def test_a_cpu_host_gets_what_a_person_would_wait_for() -> None:
    plan = plan_for("ram 64, cpu 8")
    assert plan.accelerator == "cpu"
    assert plan.models[0].tag == "llama3.1:8b"
    assert plan.models[0].gpu_mib == 0
    assert "would be too slow at" in plan.models[0].reason
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
    assert any("GT 1030 has 2048 MiB" in r for r in plan.reasons)


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
    assert "qwen3:32b needs" in problem
    assert "MiB are missing" in problem
    needed, usable, missing = (int(w) for w in problem.replace(":", " ").split() if w.isdigit() and int(w) > 4096)
    assert needed - usable == pytest.approx(missing, abs=1)


def test_an_unknown_pin_names_the_nearest() -> None:
    (problem,) = plan_for("rtx-3060, ram 64", models=("qwen3:8",)).problems
    assert '"qwen3:8" is not in the catalogue' in problem
    assert "qwen3:8b" in problem


def test_pins_that_only_fit_in_turn_are_swapped() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:32b", "gpt-oss:20b", "nomic-embed-text"))
    assert plan.problems == ()
    assert plan.ollama_max_loaded_models == 1
    assert any("loaded in turn" in r for r in plan.reasons)


def test_one_model_serves_several_purposes() -> None:
    plan = plan_for("rtx-4090, ram 64", purposes=("chat", "vision"))
    assert [(m.tag, m.purposes) for m in plan.models] == [("qwen3.5:27b", ("chat", "vision"))]


def test_each_purpose_is_served() -> None:
    plan = plan_for("rtx-4090, ram 64", purposes=("chat", "code", "vision", "embedding"))
    assert {p for m in plan.models for p in m.purposes} == {"chat", "code", "vision", "embedding"}


def test_a_wanted_context_is_kept_or_the_models_get_smaller() -> None:
    wide = plan_for("rtx-4090, ram 64", context_length=131072)
    assert wide.ollama_context_length == 131072
    assert wide.models[0].tag == "gemma4:26b" or rank(wide) <= rank(plan_for("rtx-4090, ram 64"))
    assert wide.problems == ()


def test_context_is_cut_to_what_was_trained() -> None:
    plan = plan_for("rtx-4090, ram 64", models=("qwen3:8b", "nomic-embed-text"), context_length=65536)
    assert plan.ollama_context_length == 40960
    assert plan.models[0].context_length == 40960
    assert plan.models[1].context_length == 2048
    assert any("instead of 65536" in r for r in plan.reasons)


def test_a_context_nothing_was_trained_for_is_cut() -> None:
    plan = plan_for("rtx-4090, ram 64", context_length=1_000_000)
    assert plan.problems == ()
    model = find(plan.models[0].tag)
    assert model is not None
    assert plan.ollama_context_length == plan.models[0].context_length == model.context_trained
    assert any("no model here was trained for more" in r for r in plan.reasons)


def test_slots_cost_memory() -> None:
    one, four = (plan_for("rtx-3090, ram 64", parallel=n, models=("qwen3:8b",)).models[0] for n in (1, 4))
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
    assert all(model.min_ollama <= "0.20.0" for m in plan.models if (model := find(m.tag)))
    assert not plan.models[0].tag.startswith("qwen3.5")


def test_an_unknown_card_is_planned_by_what_its_driver_says() -> None:
    plan = make_plan(host(), card(24564, name="NVIDIA GeForce RTX 9999"))
    assert plan.hardware.startswith("RTX 9999 24 GiB")
    assert plan.models[0].tag == plan_for("rtx-4090, ram 64").models[0].tag
    assert "tokens/s" not in plan.models[0].reason


def test_unified_memory_is_the_rams() -> None:
    plan = plan_for("gb10, ram 128")
    assert plan.hardware.startswith("GB10 unified memory")
    assert plan.models[0].tag == "gpt-oss:120b"
    assert sum(m.gpu_mib + m.ram_mib for m in plan.models) < 128 * 1024


def with_disk(facts: HostFacts, total: int, free: int) -> HostFacts:
    return replace(facts, models_disk=Disk("/var/lib/ollama/models", total, free))


def test_memory_that_is_free_now_does_not_matter() -> None:
    facts = parse("rtx-4090, ram 64")
    busy = replace(facts.nvidia.gpus[0], memory_free_mib=512)
    loaded = replace(facts, nvidia=replace(facts.nvidia, gpus=(busy,)), memory_available_mib=1024)
    assert make_plan(host(), loaded) == make_plan(host(), facts)


sizes = st.integers(256, 200_000)
any_settings = st.fixed_dictionaries(
    {
        "parallel": st.integers(1, 8),
        "kv_cache_type": st.sampled_from(["f16", "q8_0", "q4_0"]),
        "purposes": st.sampled_from(
            [("chat",), ("chat", "embedding"), ("chat", "code", "embedding"), ("vision", "chat")]
        ),
        "context_length": st.sampled_from([None, None, 2048, 16384, 131072]),
    }
)


@quick
@given(sizes, st.integers(1, 512), st.integers(1, 64), st.integers(8, 2000), st.booleans(), any_settings)
def test_a_plan_stays_within_memory_disk_and_training(
    vram: int, ram: int, cores: int, disk: int, gpu: bool, asked: dict[str, object]
) -> None:
    base = parse(f"ram {ram}, cpu {cores}, disk {disk}")
    facts = (
        replace(card(vram), memory_total_mib=ram * 1024, cpu=base.cpu, models_disk=base.models_disk) if gpu else base
    )
    plan = make_plan(host(**asked), facts)
    largest = sorted((m.gpu_mib if plan.accelerator == "cuda" else m.ram_mib for m in plan.models), reverse=True)
    assert sum(largest[: plan.ollama_max_loaded_models]) <= (vram if plan.accelerator == "cuda" else ram * 1024)
    assert sum(m.ram_mib for m in plan.models[: plan.ollama_max_loaded_models]) <= ram * 1024
    assert sum(m.download_mib for m in plan.models) + plan.disk_reserve_mib <= disk * 1024 or not plan.models
    for m in plan.models:
        model = find(m.tag)
        assert model is not None
        assert m.context_length == min(plan.ollama_context_length, model.context_trained)
        assert m.reason.endswith(".")
        assert m.weights_mib + m.kv_cache_mib + m.compute_mib >= m.weights_mib > 0
    assert plan.models or plan.problems
    served = {p for m in plan.models for p in m.purposes}
    assert served == set(asked["purposes"]) or plan.problems  # type: ignore[call-overload]


@quick
@given(sizes, sizes, st.integers(16, 512), any_settings)
def test_more_gpu_memory_never_gives_a_worse_model(one: int, other: int, ram: int, asked: dict[str, object]) -> None:
    asked = asked | {"purposes": ("chat", "embedding")}
    less, more = sorted((one, other))
    base = replace(card(less), memory_total_mib=ram * 1024)
    bigger = replace(base, nvidia=card(more).nvidia)
    small, large = make_plan(host(**asked), base), make_plan(host(**asked), bigger)
    if small.accelerator == large.accelerator:
        assert rank(large) >= rank(small)


@quick
@given(sizes, any_settings)
def test_unasked_contexts_come_from_the_ladder(vram: int, asked: dict[str, object]) -> None:
    plan = make_plan(host(**asked | {"context_length": None}), card(vram))
    assert FLOOR <= plan.ollama_context_length <= LADDER[-1]


def test_context_does_not_grow_at_the_cost_of_swapping() -> None:
    plan = plan_for("rtx-3090, ram 64", models=("qwen3:14b", "qwen3:8b"))
    assert plan.ollama_max_loaded_models == 2
    assert plan.ollama_context_length == 16384
    assert sum(m.gpu_mib for m in plan.models) < 24576 - 1024
    alone = plan_for("rtx-3090, ram 64", models=("qwen3:14b",))
    assert alone.ollama_context_length == 32768


def test_what_no_gpu_holds_may_run_on_the_cpu() -> None:
    plan = plan_for("rtx-3060, ram 192, cpu 32", context_length=262144)
    assert plan.accelerator == "cpu"
    assert plan.problems == ()
    assert plan.models[0].context_length == 262144


def test_candidates_say_what_each_model_lacks() -> None:
    needs, budget, selection = decided(host(), parse("rtx-3060, ram 64"))
    judged = {c.model.tag: c for c in candidates(needs, budget, "chat")}
    tags = list(judged)
    assert set(tags) == {m.tag for m in models() if "chat" in m.purposes}
    assert tags.index("qwen3:14b") < tags.index("qwen3:8b")
    assert judged[selection.chosen[0].model.tag].why_not is None
    large = judged["qwen3:32b"]
    assert large.missing_mib > 0
    assert large.missing_mib == pytest.approx(large.need_mib - large.room_mib)
    assert large.why_not == f"needs {large.missing_mib:.0f} MiB more at 8192 tokens"
