import re
from dataclasses import replace

import pytest

from inhouse.catalogue.models import Purpose, find, models
from inhouse.catalogue.version import version
from inhouse.facts.model import DisplayDevice, GpuProcess, HostFacts
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.planner.selection import Candidate, Needs, candidates
from inhouse.planner.speed import COMFORTABLE
from inhouse.planner.worth import FURTHER_MODEL, TURNS, liked
from inhouse.settings import HostSettings
from inhouse.speeds import Speeds
from tests.hosts_to_plan import card, host, lab_facts


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
    (warning,) = plan.warnings
    numbers, _, advice = problem.partition(" Pin a smaller model")
    assert advice.endswith("set force_models: true.")
    assert warning == f"{numbers} It is planned all the same (force_models: true)."
    (model,) = plan.models
    assert model.loaded
    assert 0 < model.gpu_share < 1
    assert model.ram_mib > 1024
    assert model.gpu_mib + 1024 <= 12288


def test_a_person_waits_less_for_a_model_that_thinks_first() -> None:
    plain, thinking = find("llama3.1:8b"), find("qwen3:8b")
    assert plain is not None
    assert thinking is not None
    unasked, asked = (Needs(s, True, 0).wants for s in (HostSettings(), HostSettings.of(min_tokens_per_second=20.0)))
    assert (liked(plain, unasked), liked(thinking, unasked)) == (8, 16)
    assert (liked(plain, asked), liked(thinking, asked)) == (20, 40)


def test_ram_that_lacks_beside_a_gpu_is_not_called_the_gpus() -> None:
    (problem,) = plan_for("t4, ram 2", context_length=2048, models=("gpt-oss:20b",)).problems
    found = re.match(r"models: gpt-oss:20b needs (\d+) MiB in RAM .*, (\d+) MiB can be used: (\d+) MiB", problem)
    assert found
    needed, usable, missing = map(int, found.groups())
    assert needed == pytest.approx(usable + missing, abs=1)
    (vision,) = plan_for("a100-80gb-pcie, ram 2", context_length=262144, purposes=("vision",)).problems
    assert re.search(r"may take \d+ MiB in RAM; the smallest, [\w.:-]+, needs \d+ MiB there", vision)


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


@pytest.mark.parametrize("memory_mib", [12000, 14000, 16000, 20000])
def test_no_model_gets_a_cache_and_slots_that_end_its_engine(memory_mib: int) -> None:
    plan = make_plan(host(models=("phi4:14b",), people=4), card(memory_mib))
    assert plan.models
    assert plan.ollama_kv_cache_type == "f16" or plan.ollama_num_parallel == 1
    asked = make_plan(host(models=("phi4:14b",), parallel=4, kv_cache_type="q8_0"), card(memory_mib))
    assert asked.problems
    assert "phi4:14b" in {m.tag for m in make_plan(host(models=("phi4:14b",)), card(memory_mib)).models}


def test_a_smaller_cache_type_is_taken_where_it_buys_context() -> None:
    plan = plan_for("l4, ram 64", models=("qwen3:14b", "qwen3:4b"))
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
    (other,) = plan_for(hardware, purposes=("chat",), min_tokens_per_second=120.0).models
    assert other.gpu_share == 1.0
    assert other.tokens_per_second is not None
    assert other.tokens_per_second >= 120


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


# Needs


def test_slots_are_as_many_as_people_and_fewer_where_that_is_too_dear() -> None:
    several = plan_for("rtx-4090, ram 64", people=5)
    assert several.ollama_num_parallel == several.models[0].parallel == 5
    assert several.models[0].gpu_share == 1.0
    crowd = plan_for("rtx-4090, ram 64", people=500)
    assert 1 <= crowd.ollama_num_parallel < 64
    assert crowd.problems == ()
    assert plan_for("rtx-4090, ram 64", people=5, parallel=2, models=("gemma4:26b",)).ollama_num_parallel == 2


def test_a_model_that_ollama_gives_one_slot_is_planned_with_one() -> None:
    one_slot = next(m.tag for m in models() if m.architecture.name == "qwen35")
    pinned = plan_for("rtx-4090, ram 64", people=5, models=(one_slot,))
    assert (pinned.models[0].parallel, pinned.ollama_num_parallel) == (1, 1)


def test_licences_and_languages_are_kept() -> None:
    plan = plan_for("rtx-4090, ram 64", licences=("MIT",), languages=("en",), purposes=("chat", "code"))
    rows = [model for m in plan.models if (model := find(m.tag))]
    assert rows
    assert {row.licence for row in rows} == {"MIT"}
    assert all("en" in row.languages for row in rows)


def test_a_disk_budget_is_kept() -> None:
    plan = plan_for("rtx-4090, ram 64", models_disk_gib=6)
    assert plan.problems == ()
    assert sum(m.download_mib for m in plan.models) <= 6 * 1024
    (problem,) = plan_for("rtx-4090, ram 64", models_disk_gib=6, models=("qwen3:32b",)).problems
    assert problem.startswith("19264 MiB of models are planned, 6144 MiB are allowed (models_disk_gib)") or (
        "6144 MiB are allowed (models_disk_gib)" in problem
    )


@pytest.mark.parametrize(
    ("hardware", "asked", "said"),
    [
        (
            "ram 64, cpu 8",
            {"purposes": ("vision",), "context_length": 131072, "min_tokens_per_second": 40.0},
            r"No vision model answers at 40 tokens/s \(min_tokens_per_second\) at 131072 tokens\. Nearest: vision at "
            r"131072 tokens runs [\w.:-]+ at about [\d.]+ tokens/s, at 8192 tokens [\w.:-]+ at about [\d.]+\. "
            r"40 tokens/s need a GPU; or lower min_tokens_per_second\.",
        ),
        (
            "ram 4, cpu 2",
            {"purposes": ("code",), "context_length": 262144, "open_webui": False},
            r"No code model fits: 4096 MiB of RAM .* at 262144 tokens\. Nearest: code at \d+ tokens runs [\w.:-]+ at "
            r"about [\d.]+ tokens/s\. Add memory.*",
        ),
        (
            "rtx-4090, ram 64",
            {"purposes": ("chat",), "licences": ("MIT",), "languages": ("de",)},
            r"No chat model with the licence MIT \(licences\) names de among its languages \(languages\)\.",
        ),
        (
            "rtx-4090, ram 64",
            {"purposes": ("vision",), "licences": ("MIT",)},
            r"No vision model has the licence MIT \(licences\)\. Those of vision models are: .*Apache-2\.0.*",
        ),
        (
            "rtx-4090, ram 64, disk 8",
            {"purposes": ("chat",)},
            r"No chat model fits on the disk: the smallest, [\w.:-]+, takes \d+ MiB, 0 MiB can be used\. .*"
            r"lower disk_reserve_mib\.",
        ),
        (
            "rtx-4090, ram 64",
            {"purposes": ("embedding",), "licences": ("MIT",), "models_disk_gib": 1},
            r"No embedding model fits on the disk.*, or raise models_disk_gib\.",
        ),
        (
            "rtx-4090, ram 64",
            {"min_tokens_per_second": 5000.0, "purposes": ("chat",)},
            r"No chat model answers at 5000 tokens/s .* need a GPU with memory of more bandwidth; .*",
        ),
        (
            "rtx-4090, ram 64",
            {"models": ("qwen3:32b",), "min_tokens_per_second": 300.0},
            r"models: qwen3:32b would answer at [\d.]+ tokens/s, 300 are the least .*force_models: true\.",
        ),
    ],
)
def test_a_need_that_cannot_be_met_is_named_with_the_nearest_that_can(
    hardware: str, asked: dict[str, object], said: str
) -> None:
    plan = plan_for(hardware, **asked)
    assert re.fullmatch(said, plan.problems[0]), plan.problems[0]


def test_one_model_is_preferred_to_two_that_are_hardly_better() -> None:
    plan = plan_for("rtx-4090, ram 64", purposes=("chat", "code", "tools", "reasoning"))
    (model,) = plan.models
    assert model.purposes == ("chat", "code", "tools", "reasoning")
    for purpose in model.purposes:
        best = max(c.model.quality_for(purpose) for c in judged("rtx-4090, ram 64", purpose) if not c.why_not)
        assert quality(model.tag, purpose) >= best - 4 * (FURTHER_MODEL + TURNS)


# GPUs


def gpu_host(*cards: tuple[str, int, str], ram: int = 64) -> HostFacts:
    """A host with GPUs: name, MiB, compute capability."""
    base = parse(f"ram {ram}, cpu 16, disk 2000")
    gpus = tuple(
        replace(card(mib, compute, name=name).nvidia.gpus[0], index=n, uuid=f"GPU-{n}", pci_slot=f"0000:0{n}:00.0")
        for n, (name, mib, compute) in enumerate(cards)
    )
    devices = tuple(DisplayDevice(g.pci_slot, "10de", "ffff", "030000", "nvidia") for g in gpus)
    return replace(base, nvidia=replace(card(1024).nvidia, gpus=gpus), display_devices=devices)


def test_a_small_card_beside_a_large_one_is_left_alone_if_that_is_better() -> None:
    plan = make_plan(host(kv_cache_type="f16"), gpu_host(("Large", 24576, "8.9"), ("Old", 1100, "5.2")))
    alone = make_plan(host(kv_cache_type="f16"), gpu_host(("Large", 24576, "8.9")))
    assert [m.tag for m in plan.models] == [m.tag for m in alone.models]
    assert plan.ollama_flash_attention
    assert plan.ollama_visible_devices == "GPU-0"
    assert (plan.ollama_vulkan, alone.ollama_vulkan) == (False, True)
    assert any(r.startswith("Old (1.1 GiB) left alone") for r in plan.reasons)


def test_different_cards_share_a_model_by_their_memory() -> None:
    mixed = gpu_host(("A", 16384, "8.9"), ("B", 12288, "8.6"))
    plan = make_plan(host(), mixed)
    assert plan.ollama_visible_devices == ""
    one = make_plan(host(), gpu_host(("A", 16384, "8.9")))
    assert plan.models[0].gpu_mib > 16384 - 1024 or plan.models[0].gpu_mib >= one.models[0].gpu_mib
    assert quality(plan.models[0].tag, "chat") > quality(one.models[0].tag, "chat")


def test_ollama_is_told_to_spread_where_it_would_cut_a_model_to_fit_one_card() -> None:
    """Its prediction leaves out what attention takes without flash attention, so that it takes one card for enough."""
    pinned = host(models=("llama3.1:8b",), context_length=32768)
    plans = [make_plan(pinned, gpu_host(("A", mib, "5.2"), ("A", mib, "5.2"))) for mib in range(8192, 24577, 1024)]
    spread = [plan for plan in plans if plan.ollama_sched_spread]
    assert spread
    assert spread != plans
    assert all(m.gpu_share == 1.0 and m.gpu_mib > 12288 for plan in spread for m in plan.models)
    assert not plans[-1].ollama_sched_spread


def test_memory_that_others_hold_is_not_planned_with_and_that_is_said() -> None:
    facts = parse("rtx-4090, ram 64")
    (gpu,) = facts.nvidia.gpus
    other = GpuProcess(1234, "/usr/bin/blender", 9000, False)
    shared = replace(gpu, memory_used_mib=9000, memory_free_mib=15564, processes=(other,))
    plan = make_plan(host(), replace(facts, nvidia=replace(facts.nvidia, gpus=(shared,))))
    assert sum(m.gpu_mib for m in plan.models) + 9000 + 1024 <= 24564
    assert [r for r in plan.reasons if "held by others" in r] == [
        "9216 of 24564 MiB of RTX 4090 are held by others (blender) and are left to them."
    ]
    assert quality(plan.models[0].tag, "chat") < quality(plan_for("rtx-4090, ram 64").models[0].tag, "chat")


def test_a_slice_is_planned_as_the_only_gpu() -> None:
    plan = make_plan(host(), lab_facts("h100-mig"))
    assert plan.ollama_visible_devices.startswith("MIG-")
    assert "," not in plan.ollama_visible_devices
    assert sum(m.gpu_mib for m in plan.models) + 1024 <= 40448


def test_measured_speeds_replace_expected_ones() -> None:
    expected = plan_for("rtx-4090, ram 64").models[0]
    slow = Speeds({("RTX 4090", expected.tag): 5.0})
    plan = make_plan(host(), parse("rtx-4090, ram 64"), speeds=slow)
    assert plan.models[0].tag != expected.tag
    measured = make_plan(host(), parse("rtx-4090, ram 64"), speeds=Speeds({("RTX 4090", expected.tag): 99.0}))
    assert (measured.models[0].tag, measured.models[0].tokens_per_second) == (expected.tag, 99.0)
    assert measured.models[0].speed_measured


def test_another_makers_gpu_is_switched_off_where_it_is_not_planned_with() -> None:
    facts = parse("rtx-4090, ram 64")
    radeon = DisplayDevice("0000:09:00.0", "1002", "744c", "030000", "amdgpu")
    both = make_plan(host(), replace(facts, display_devices=(*facts.display_devices, radeon)))
    assert (both.accelerator, both.ollama_vulkan) == ("cuda", False)
    assert make_plan(host(), facts).ollama_vulkan


def test_the_margin_is_ollamas_own_where_its_release_reserves_the_vision_part() -> None:
    assert plan_for("rtx-4090, ram 64").ollama_fit_target_mib == 1024
    older = plan_for("rtx-4090, ram 64", ollama_version="0.31.1", ollama_archive_sha256="a" * 64)
    assert older.ollama_fit_target_mib is None
    needs, budget, _ = decided(host(purposes=("vision",)), parse("rtx-4090, ram 64"))
    plain_needs, plain, _ = decided(host(), parse("rtx-4090, ram 64"))
    model = next(c.model for c in candidates(needs, budget, "vision"))
    use = needs.use(8192)
    assert budget.needed_by(model, use) == pytest.approx(
        plain.needed_by(model, plain_needs.use(8192)) + model.projector_mib
    )


def test_models_stay_together_only_if_they_really_fit_not_only_by_ollamas_prediction() -> None:
    """Without flash attention they take much more than Ollama predicts."""
    pinned = host(models=("llama3.1:8b", "llama3.2:3b"), context_length=32768)
    plans = [(mib, make_plan(pinned, card(mib, compute="5.2"))) for mib in range(16384, 40960, 1024)]
    together = [(mib, plan) for mib, plan in plans if plan.ollama_max_loaded_models == 2]
    assert 0 < len(together) < len(plans)
    assert all(sum(m.gpu_mib for m in plan.models) <= mib - 1024 for mib, plan in together)
    assert all(not any(m.loaded for m in plan.models) for mib, plan in plans if plan.ollama_max_loaded_models == 1)


def test_a_stated_speed_is_what_a_person_likes_but_for_one_that_is_only_tolerated() -> None:
    hardware = "ram 64, cpu 16"
    unstated = plan_for(hardware, purposes=("chat",)).models[0]
    tolerated = plan_for(hardware, purposes=("chat",), min_tokens_per_second=1.0).models[0]
    patient = plan_for(hardware, purposes=("chat",), min_tokens_per_second=3.0).models[0]
    assert tolerated == unstated
    assert patient.tokens_per_second is not None
    assert unstated.tokens_per_second is not None
    assert 3 <= patient.tokens_per_second < unstated.tokens_per_second
    assert quality(patient.tag, "chat") > quality(unstated.tag, "chat")
