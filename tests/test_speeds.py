"""Measured speeds: which are kept, and what becomes of them."""

import ast
import json
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import inhouse.smoke
from inhouse import speeds, survey, up
from inhouse.connection import Connection
from inhouse.console import Progress
from inhouse.facts.model import Cpu, HostFacts
from inhouse.inventory import Host, Inventory
from inhouse.planner.card import Card
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.results import SmokeResult, SmokeTest
from inhouse.settings import HostSettings
from inhouse.speeds import NONE, Speeds, device_name
from inhouse.speeds_file import SPEED_TEST, load, remember
from tests.samples import CHAT, EMBEDDING, a_plan

TAG = CHAT.tag
EPYC = Cpu("AMD EPYC 9554 64-Core Processor", cores=64, threads=128, flags=frozenset())
FACTS = replace(parse("ram 64"), cpu=EPYC)
GPU = "RTX 4090"


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return an_inventory(tmp_path)


def an_inventory(path: Path, **settings: Any) -> Inventory:
    hosts = tuple(
        Host(name, (), Connection("ssh", name), HostSettings.of(**settings)) for name in ("gpu1", "gpu2", "gpu3")
    )
    return Inventory(path, hosts, None)


def planned(host: str = "gpu1", **changes: object) -> Plan:
    return a_plan(host, **{"device": GPU, **changes})


def result_of(plan: Plan, rate: float, outcome: str = "passed") -> SmokeResult:
    tests = [
        SmokeTest(name=SPEED_TEST.format(model=m, plan=plan), outcome=outcome, seconds=1) for m in plan.chat_models
    ]
    measured = {m.tag: rate for m in plan.chat_models}
    return SmokeResult(host=plan.host, tests=tuple(tests), tokens_per_second=measured, memory_used_mib={})


def learn(inventory: Inventory, *pairs: tuple[Plan, SmokeResult]) -> None:
    results: Mapping[str, SmokeResult] = {plan.host: result for plan, result in pairs}
    remember(inventory, [plan for plan, _ in pairs], results)


def test_the_title_is_the_smoke_tests_own() -> None:
    """A title is its docstring; it runs only where the model lies as planned."""
    module = ast.parse((Path(inhouse.smoke.__file__).parent / "test_5_models.py").read_text())
    (the_test,) = (n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "test_speed")
    assert ast.get_docstring(the_test) == SPEED_TEST
    assert "'placed:{model.tag}'" in ast.unparse(the_test.decorator_list[1])


def test_nothing_is_known_at_first(inventory: Inventory) -> None:
    assert load(inventory) == NONE
    assert load(inventory).of(GPU, TAG) is None


def test_what_was_measured_is_known_afterwards(inventory: Inventory) -> None:
    plan = planned()
    learn(inventory, (plan, result_of(plan, 87.5)))
    assert load(inventory).of(GPU, TAG) == 87.5
    assert load(inventory).of("RTX 3090", TAG) is None
    assert load(inventory).of(GPU, "qwen3:14b") is None


def test_the_file_is_private_and_says_what_was_measured(inventory: Inventory) -> None:
    plan = planned()
    learn(inventory, (plan, result_of(plan, 87.5)))
    file = inventory.state_dir / "speeds.json"
    assert file.stat().st_mode & 0o777 == 0o600
    (record,) = json.loads(file.read_text())
    assert record["date"].startswith("20")
    del record["date"]
    assert record == {
        "device": GPU,
        "tag": TAG,
        "quantization": CHAT.quantization,
        "ollama": plan.ollama_version,
        "tokens_per_second": 87.5,
        "count": 1,
    }


def test_the_latest_replaces_what_was_before_and_is_counted(inventory: Inventory) -> None:
    plan = planned()
    for rate in (80.0, 90.0, 85.0):
        learn(inventory, (plan, result_of(plan, rate)))
    (record,) = json.loads((inventory.state_dir / "speeds.json").read_text())
    assert (record["tokens_per_second"], record["count"]) == (85.0, 3)


def test_of_hosts_that_are_alike_the_middle_one_counts(inventory: Inventory) -> None:
    plans = [planned(name) for name in ("gpu1", "gpu2", "gpu3")]
    learn(inventory, *((p, result_of(p, rate)) for p, rate in zip(plans, (80.0, 20.0, 84.0), strict=True)))
    assert load(inventory).of(GPU, TAG) == 80.0


def test_another_release_is_kept_beside_and_the_newer_measurement_wins(inventory: Inventory) -> None:
    for release, rate in (("0.34.4", 80.0), ("0.35.0", 95.0)):
        plan = planned(ollama_version=release)
        learn(inventory, (plan, result_of(plan, rate)))
    file = inventory.state_dir / "speeds.json"
    records = json.loads(file.read_text())
    assert len(records) == 2
    for record, day in zip(records, ("2026-11-02", "2026-11-01"), strict=True):
        record["date"] = day
    file.write_text(json.dumps(records))
    assert load(inventory).of(GPU, TAG) == 80.0


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_model_that_is_too_slow_or_lies_elsewhere_teaches_nothing(inventory: Inventory, outcome: str) -> None:
    """Where a model fell back to the CPU, the speed test is not run: it is skipped."""
    plan = planned()
    learn(inventory, (plan, result_of(plan, 3.0, outcome)))
    assert load(inventory) == NONE


def test_a_model_that_lies_partly_in_ram_teaches_nothing(inventory: Inventory) -> None:
    plan = planned(models=(replace(CHAT, gpu_share=0.7),))
    learn(inventory, (plan, result_of(plan, 30.0)))
    assert load(inventory) == NONE


def test_a_host_that_is_not_to_be_learnt_from_is_left_out(tmp_path: Path) -> None:
    pretended = an_inventory(tmp_path, learn_speeds=False)
    plan = planned()
    learn(pretended, (plan, result_of(plan, 87.5)))
    assert load(pretended) == NONE


def test_a_plan_of_an_older_release_names_no_device(inventory: Inventory) -> None:
    plan = planned(device="")
    learn(inventory, (plan, result_of(plan, 87.5)))
    assert load(inventory) == NONE


def test_a_host_without_results_teaches_nothing(inventory: Inventory) -> None:
    remember(inventory, [planned()], {})
    assert not (inventory.state_dir / "speeds.json").exists()


def test_embedding_models_have_no_speed(inventory: Inventory) -> None:
    plan = planned(models=(EMBEDDING,))
    learn(inventory, (plan, result_of(plan, 500.0)))
    assert load(inventory) == NONE


@pytest.mark.parametrize("damage", ["", "{", '[{"device": 1}]', '{"speeds": []}', "\udcff", '[{"device": "x"}, null]'])
def test_a_damaged_file_is_ignored_and_said_to_be(inventory: Inventory, damage: str) -> None:
    file = inventory.state_dir / "speeds.json"
    file.parent.mkdir()
    file.write_bytes(damage.encode(errors="surrogateescape"))
    found = load(inventory)
    assert found.of(GPU, TAG) is None
    assert str(file) in found.warning
    assert "predicted" in found.warning
    plan = planned()
    learn(inventory, (plan, result_of(plan, 87.5)))
    assert load(inventory).of(GPU, TAG) == 87.5
    assert load(inventory).warning == ""


def test_a_file_that_cannot_be_opened_is_said_to_be(inventory: Inventory) -> None:
    (inventory.state_dir / "speeds.json").mkdir(parents=True)
    assert "speeds.json" in load(inventory).warning


def a_card(name: str) -> Card:
    return Card(name, 24564, 1008, "8.9")


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        (["RTX 4090"], "RTX 4090"),
        (["RTX 3090", "RTX 3090"], "2 x RTX 3090"),
        (["RTX 4090", "RTX 3090"], "RTX 3090 and RTX 4090"),
        ([], "AMD EPYC 9554 64-Core Processor, 64 cores"),
    ],
)
def test_devices_have_names(cards: list[str], name: str) -> None:
    assert device_name(FACTS, [a_card(c) for c in cards]) == name


def test_order_of_cards_does_not_matter() -> None:
    pair = [a_card("RTX 4090"), a_card("RTX 3090")]
    assert device_name(FACTS, pair) == device_name(FACTS, pair[::-1])


def test_the_module_can_be_loaded_without_an_inventory() -> None:
    """The planner imports it, and must answer at once."""
    assert not hasattr(speeds, "Inventory")


def test_verify_learns_and_the_next_survey_plans_with_it(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned()
    given: list[Speeds] = []

    def noted(host: Host, facts: HostFacts, fleet: str | None, known: Speeds) -> Plan:
        given.append(known)
        return plan

    monkeypatch.setattr(up, "run_smoke_tests", lambda *_, **__: {plan.host: result_of(plan, 87.5)})
    monkeypatch.setattr(survey, "gather", lambda hosts, on_done: {hosts[0].name: FACTS})
    monkeypatch.setattr(survey, "make_plan", noted)
    quiet = Progress(Console(quiet=True))
    up.verify(inventory, [plan], quiet)
    survey.survey(inventory, quiet)
    (known,) = given
    assert known.of(GPU, TAG) == 87.5


def test_a_damaged_file_is_named_while_hosts_are_surveyed(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "gather", lambda hosts, on_done: {})
    inventory.state_dir.mkdir()
    (inventory.state_dir / "speeds.json").write_text("{")
    shown = Console(record=True, width=300, quiet=False, file=StringIO())
    survey.survey(inventory, Progress(shown))
    assert "speeds.json cannot be read" in shown.export_text()
