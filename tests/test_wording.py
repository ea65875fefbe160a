"""Reasons of a plan: their numbers are the plan's own, and what they say holds."""

import pytest

from inhouse.facts.model import HostFacts
from inhouse.planner.choose import decided, make_plan
from inhouse.planner.explain import explain
from inhouse.planner.hardware import parse
from inhouse.planner.needs import MOST_SLOTS
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.units import gib, rate
from tests.hosts_to_plan import host

HARDWARE = (
    "rtx-4090",
    "rtx-3060, ram 64",
    "rtx-3090 x2, ram 128",
    "rtx-4060 laptop, ram 16",
    "rx-7900-xtx, ram 64",
    "dgx-spark",
    "ram 16, cpu 4",
    "ram 192, cpu 32",
)


def plan(text: str, **settings: object) -> Plan:
    return make_plan(host(**settings), parse(text))


def talking(made: Plan) -> list[PlannedModel]:
    return [m for m in made.models if m.purposes != ("embedding",)]


@pytest.mark.parametrize("text", HARDWARE)
def test_numbers_of_a_reason_are_those_of_the_plan(text: str) -> None:
    made = plan(text)
    assert talking(made)
    for model in made.models:
        assert f"at {model.context_length} tokens" in model.reason
        assert gib(model.gpu_mib if model.gpu_share > 0 else model.ram_mib) in model.reason
    for model in talking(made):
        low, high = model.tokens_per_second_low, model.tokens_per_second_high
        assert low is not None
        assert high is not None
        assert f"{rate(low)} to {rate(high)} tokens/s expected" in model.reason


@pytest.mark.parametrize("text", HARDWARE)
def test_a_reason_names_the_next_better_model_in_the_words_of_explain(text: str) -> None:
    found: HostFacts = parse(text)
    chat = next(one for one in explain(*decided(host(), found)) if one.purpose == "chat")
    reason = talking(plan(text))[0].reason
    named = [other for other in chat.better if f"; {other.model.tag} " in reason]
    assert len(named) <= 1
    assert all(other.lacks[0] in reason for other in named)
    if not chat.better:
        assert ";" not in reason


def test_a_model_partly_in_ram_says_where_its_parts_lie() -> None:
    made = plan("rtx-3060, ram 128", models=("qwen3:32b",), force_models=True)
    (model,) = made.models
    assert 0 < model.gpu_share < 1
    assert f"{model.gpu_share:.0%} of its layers on the GPU ({gib(model.gpu_mib)})" in model.reason
    assert f"the rest in RAM ({gib(model.ram_mib)})" in model.reason
    assert model.reason.startswith("Pinned in the inventory: ")


def test_models_that_take_turns_are_named() -> None:
    made = plan("rtx-3090, ram 64", models=("qwen3:32b", "gpt-oss:20b", "nomic-embed-text"))
    turning = [m.tag for m in made.models if not m.loaded]
    assert f"{' and '.join(turning)} are loaded in turn: not all models fit in memory together." in made.reasons
    assert "All models stay in memory together." not in made.reasons
    assert "All models stay in memory together." in plan("rtx-4090").reasons


def test_people_who_must_wait_are_told() -> None:
    made = plan("rtx-4090", people=40, purposes=("chat",), context_length=32768)
    assert 1 < made.ollama_num_parallel < 40
    says = f"{made.ollama_num_parallel} requests at a time of 40 wanted: more would not fit, the others wait."
    assert says in made.reasons


def test_more_people_than_a_model_gets_slots_are_told_too() -> None:
    made = plan("h200, ram 256", people=200, purposes=("chat",), context_length=4096)
    assert made.ollama_num_parallel == MOST_SLOTS
    assert "64 requests at a time of 200 wanted: no model gets more slots, the others wait." in made.reasons


def test_of_embedding_models_alone_no_context_is_explained() -> None:
    assert plan("rtx-4090", models=("nomic-embed-text",)).reasons == ()


def test_a_plan_without_models_says_why() -> None:
    made = plan("rtx-4090", models=())
    assert made.models == ()
    assert made.reasons == (
        "No model is planned: models is an empty list, and purposes does not say what others are for.",
    )


def test_a_smaller_cache_is_told_only_where_the_planner_took_it() -> None:
    def told(made: Plan) -> bool:
        return any(reason.startswith("KV cache in q8_0") for reason in made.reasons)

    chosen = plan("rtx-4090", people=40, purposes=("chat",), context_length=32768)
    assert (chosen.ollama_kv_cache_type, told(chosen)) == ("q8_0", True)
    assert not told(plan("rtx-4090", kv_cache_type="q8_0"))
    assert not told(plan("ram 1"))
