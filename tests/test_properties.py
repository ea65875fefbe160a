"""What must hold of every plan, whatever the hardware and the needs: tried on imagined hosts."""

from dataclasses import replace
from math import log2
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from inhouse.catalogue.models import Model, find, models
from inhouse.facts.model import Disk, DisplayDevice, DriverState, HostFacts, NvidiaDriver, NvidiaGpu
from inhouse.planner import memory, speed, worth
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.memory import Use
from inhouse.planner.needs import FLOOR, LADDER
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.planner.preflight import CLOCK_LIMIT_S
from tests.bench import different, mixed, seconds
from tests.hosts_to_plan import host

quick = settings(max_examples=10)

SOLD = {"10de:2684": ("RTX 4090", "8.9"), "10de:2204": ("RTX 3090", "8.6"), "10de:1b38": ("Tesla P40", "6.1")}
UNKNOWN = ("Some Card", "8.9")
OLD = ("Some Old Card", "5.2")

sizes = st.integers(512, 200_000)
cards = st.lists(sizes, max_size=4)
purposes = st.lists(
    st.sampled_from(["chat", "code", "vision", "embedding", "reasoning", "tools"]), min_size=1, max_size=4, unique=True
)
needs = st.fixed_dictionaries(
    {
        "purposes": purposes.map(tuple),
        "people": st.sampled_from([1, 1, 2, 5, 40]),
        "context_length": st.sampled_from([None, None, 2048, 16384, 131072]),
        "kv_cache_type": st.sampled_from([None, None, "f16", "q8_0", "q4_0"]),
        "parallel": st.sampled_from([None, None, 1, 3]),
    },
    optional={
        "min_tokens_per_second": st.sampled_from([1.0, 10.0, 40.0]),
        "models_disk_gib": st.sampled_from([5, 40, 500]),
        "licences": st.just(("Apache-2.0",)),
        "models": st.sampled_from([("qwen3:8b",), ("gemma3:12b", "nomic-embed-text"), ("qwen3:32b",)]),
    },
)


def gpus(memory_mib: list[int], kind: tuple[str, str] = UNKNOWN, device: str = "10de:ffff") -> HostFacts:
    """A host with working GPUs of these sizes."""
    name, compute = kind
    driver = "595.91.07"
    found = tuple(
        NvidiaGpu(n, f"NVIDIA {name}", f"GPU-{n}", f"0000:{n:02x}:00.0", mib, mib, compute, driver)
        for n, mib in enumerate(memory_mib)
    )
    devices = tuple(DisplayDevice(g.pci_slot, device[:4], device[5:], "030000", "nvidia") for g in found)
    state = DriverState.WORKING if found else DriverState.NO_DEVICE
    nvidia = NvidiaDriver(state, driver if found else None, driver if found else None, "", found)
    return replace(parse("ram 64, disk 2000, cpu 16"), nvidia=nvidia, display_devices=devices)


def sized(facts: HostFacts, ram_gib: int, cores: int, disk_gib: int = 2000) -> HostFacts:
    cpu = replace(facts.cpu, cores=cores, threads=2 * cores)
    disk = Disk("/var/lib/ollama/models", disk_gib * 1024, disk_gib * 1024)
    return replace(facts, memory_total_mib=ram_gib * 1024, cpu=cpu, models_disk=disk)


def row(planned: PlannedModel) -> Model:
    found = find(planned.tag)
    assert found is not None
    return found


def worth_of(facts: HostFacts, asked: dict[str, Any]) -> float:
    """What the choice is worth: the order by which the planner compares choices, without ties."""
    return decided(host(**asked), facts)[2].key[0]


def loaded_together(plan: Plan) -> list[list[PlannedModel]]:
    """Models that are in memory at the same time: those that stay, with each of those that take turns."""
    staying = [m for m in plan.models if m.loaded]
    return [[*staying, m] for m in plan.models if not m.loaded] or [staying]


# More is never worse


@quick
@given(cards, cards, st.sampled_from([UNKNOWN, OLD]), st.sampled_from(list(SOLD)), st.booleans(), needs)
@example([24576], [24576, 2048], UNKNOWN, "10de:2684", False, {"purposes": ("chat", "embedding")})
@example([], [2048], UNKNOWN, "10de:2684", False, {"purposes": ("chat", "embedding")})
@example([11000, 11000], [11000, 11500], UNKNOWN, "10de:2684", True, {"purposes": ("chat", "code", "vision")})
def test_more_gpu_memory_is_never_worth_less(
    some: list[int],
    others: list[int],
    unknown: tuple[str, str],
    sold: str,
    known: bool,
    asked: dict[str, Any],
) -> None:
    """Larger cards, and more of them: each of the first is at least matched by one of the second."""
    fewer = sorted(some, reverse=True)
    more = sorted((*others, *some), reverse=True)
    more = [max(size, least) for size, least in zip(more, fewer + [0] * len(others), strict=True)]
    kind = (SOLD[sold], sold) if known else (unknown, "10de:ffff")
    assert worth_of(gpus(more, *kind), asked) >= worth_of(gpus(fewer, *kind), asked) - 1e-6


@quick
@given(st.lists(sizes, min_size=1, max_size=4), st.integers(0, 100_000), needs)
def test_growing_one_card_is_never_worth_less(cards_: list[int], by: int, asked: dict[str, Any]) -> None:
    grown = [cards_[0] + by, *cards_[1:]]
    assert worth_of(gpus(grown), asked) >= worth_of(gpus(cards_), asked) - 1e-6


@quick
@given(cards, st.integers(4, 256), st.integers(0, 256), needs)
def test_more_ram_is_never_worth_less(cards_: list[int], ram: int, more: int, asked: dict[str, Any]) -> None:
    asked = {**asked, "open_webui": False}
    less, roomy = (sized(gpus(cards_), size, 16) for size in (ram, ram + more))
    assert worth_of(roomy, asked) >= worth_of(less, asked) - 1e-6


@quick
@example(512, 3635, 21)
@given(sizes, sizes, st.integers(8, 256))
def test_with_more_gpu_memory_no_purpose_gets_a_worse_model(one: int, other: int, ram: int) -> None:
    """For a single purpose worth is quality less a few points, and less what slow answers take.

    So quality itself falls by no more than those: a smaller model on a GPU may follow a larger one on the CPU.
    """
    less, more = sorted((one, other))
    small, large = (make_plan(host(purposes=("chat",)), sized(gpus([size]), ram, 8)) for size in (less, more))
    if small.models:
        quality = [row(plan.models[0]).quality_for("chat") for plan in (small, large)]
        few = worth.SMALLER_CACHE + 2 * worth.DOUBLING + worth.FROM_RAM + worth.BELOW_GOAL
        assert quality[1] >= quality[0] - few - slowness(small.models[0])
        assert large.problems == () or small.problems


def slowness(model: PlannedModel) -> float:
    """Points that its speed takes from a model that thinks, which is liked to be the fastest."""
    liked = speed.COMFORTABLE * speed.THINKING_FACTOR
    return worth.SLOW * log2(max(liked / (model.tokens_per_second or liked), 1.0))


# A plan keeps to what there is


@quick
@given(cards, st.integers(1, 512), st.integers(1, 64), st.integers(8, 2000), st.sampled_from([UNKNOWN, OLD]), needs)
def test_a_plan_stays_within_memory_disk_and_training(
    cards_: list[int], ram: int, cores: int, disk: int, kind: tuple[str, str], asked: dict[str, Any]
) -> None:
    facts = sized(gpus(cards_, kind), ram, cores, disk)
    plan = make_plan(host(**asked), facts)
    fitting = plan.problems == ()
    if plan.accelerator == "cpu":
        assert all(m.gpu_mib == 0 and m.gpu_share == 0 for m in plan.models)
    if fitting:
        for together in loaded_together(plan):
            assert sum(m.gpu_mib for m in together) <= max(sum(cards_) - memory.MARGIN_MIB, 0)
            assert sum(m.ram_mib for m in together) <= ram * 1024
        assert sum(m.download_mib for m in plan.models) <= asked.get("models_disk_gib", 10**6) * 1024
        assert sum(m.download_mib for m in plan.models) + plan.disk_reserve_mib <= disk * 1024
    for m in plan.models:
        assert m.context_length <= min(plan.ollama_context_length, row(m).context_trained)
        assert m.parallel <= plan.ollama_num_parallel
        assert m.weights_mib > 0
        assert 0 <= m.gpu_share <= 1


@quick
@given(cards, st.integers(1, 512), st.integers(1, 64), needs)
def test_every_purpose_is_served_or_a_problem_says_why_not(
    cards_: list[int], ram: int, cores: int, asked: dict[str, Any]
) -> None:
    plan = make_plan(host(**asked), sized(gpus(cards_), ram, cores))
    served = {p for m in plan.models for p in m.purposes}
    for purpose in set(asked["purposes"]) - served:
        assert any(purpose in problem for problem in plan.problems) or "models" in plan.problems[0]


@quick
@given(cards, st.integers(1, 512), needs)
def test_every_choice_has_a_reason(cards_: list[int], ram: int, asked: dict[str, Any]) -> None:
    plan = make_plan(host(**asked), sized(gpus(cards_), ram, 8))
    assert all(len(m.reason) > 20 and m.reason.endswith(".") for m in plan.models)
    assert all(text.strip() and "None" not in text for text in (*plan.reasons, *plan.warnings, *plan.problems))


@quick
@given(cards, st.integers(1, 512), needs)
def test_the_same_host_always_gets_the_same_plan(cards_: list[int], ram: int, asked: dict[str, Any]) -> None:
    facts = sized(gpus(cards_), ram, 8)
    busy = replace(facts, memory_available_mib=100, clock_offset_s=CLOCK_LIMIT_S / 2)
    plans = {make_plan(host(**asked), one) for one in (facts, facts, busy)}
    assert len(plans) == 1


@quick
@given(st.lists(sizes, min_size=1, max_size=4), needs)
def test_ollama_is_told_everything(cards_: list[int], asked: dict[str, Any]) -> None:
    plan = make_plan(host(**asked), gpus(cards_))
    assert plan.ollama_num_parallel >= 1
    assert 1 <= plan.ollama_max_loaded_models <= max(len(plan.models), 1)
    assert plan.ollama_flash_attention or plan.ollama_kv_cache_type == "f16" or plan.problems
    assert sum(m.loaded for m in plan.models) <= plan.ollama_max_loaded_models
    if asked["context_length"] is None:
        assert FLOOR <= plan.ollama_context_length <= LADDER[-1]
    if asked["kv_cache_type"]:
        assert plan.ollama_kv_cache_type == asked["kv_cache_type"]


# An unknown GPU


@quick
@given(sizes)
def test_an_unknown_gpu_is_planned_by_what_its_driver_reports_and_that_is_said(mib: int) -> None:
    plan = make_plan(host(purposes=("chat",)), gpus([mib]))
    assert sum("not in the catalogue" in text for text in (*plan.reasons, *plan.warnings)) == 1
    if plan.accelerator == "cuda":
        assert all(m.tokens_per_second is None for m in plan.models)
        assert sum(m.gpu_mib for m in plan.models) + memory.MARGIN_MIB <= mib
    known = make_plan(host(purposes=("chat",)), gpus([mib], SOLD["10de:2684"], "10de:2684"))
    assert not any("not in the catalogue" in text for text in (*known.reasons, *known.warnings))


# Estimates


@quick
@given(
    st.sampled_from(models()),
    st.integers(1, 300_000),
    st.integers(0, 300_000),
    st.integers(1, 8),
    st.sampled_from(["f16", "q8_0", "q4_0"]),
    st.booleans(),
    st.integers(1, 4),
)
def test_a_longer_context_is_never_estimated_lower(
    model: Model, context: int, more: int, slots: int, kind: str, flash_attention: bool, gpus_: int
) -> None:
    short, long = (
        memory.estimate(model, Use(size, slots, kind, flash_attention), gpus_) for size in (context, context + more)
    )
    assert long.gpu >= short.gpu
    assert long.cpu >= short.cpu
    assert memory.predicted(model, context + more, slots) >= memory.predicted(model, context, slots)


@quick
@given(cards, st.integers(8, 512), needs)
def test_estimates_add_up(cards_: list[int], ram: int, asked: dict[str, Any]) -> None:
    plan: Plan = make_plan(host(**asked), sized(gpus(cards_), ram, 16))
    for m in plan.models:
        parts = m.weights_mib + m.kv_cache_mib + m.compute_mib
        assert parts >= m.weights_mib > 0
        placed = m.gpu_mib + m.ram_mib
        copies = row(m).architecture.embedding_mib
        assert placed + 2 >= parts - m.compute_mib
        assert m.gpu_mib <= parts + copies + 2


# Scale


def test_plans_of_a_fleet_take_time_in_proportion() -> None:
    """`make bench` measures in full; the bounds here are generous, as a test's machine may be busy."""
    fleet = mixed(300, kinds=40)
    first = seconds(fleet)
    few, many = seconds(fleet), seconds(fleet * 4)
    assert first < 4.0
    assert many < 3.0
    assert many < max(few, 0.05) * 8
    assert seconds(different(30, seed=7)) < 4.0
