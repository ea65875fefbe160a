"""Machines side by side: the same plans as one by one, and what each lacks for what another runs."""

import io
import json

import pytest
from rich.console import Console

from inhouse.errors import PlanError
from inhouse.planner.choose import make_plan
from inhouse.planner.compare import Compared, compare
from inhouse.planner.hardware import imagined_host, parse
from inhouse.planner.show_compare import NO_PRICE, comparison_record, comparison_view
from inhouse.settings import HostSettings

MACHINES = ("rtx-3060, ram 64", "rtx-4090, ram 64", "ram 32, cpu 8")


@pytest.fixture(scope="module")
def machines() -> tuple[Compared, ...]:
    return compare(MACHINES, HostSettings(purposes=("chat", "vision")))


def shown(machines: tuple[Compared, ...], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(comparison_view(machines), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_machine_is_planned_as_if_it_were_alone(machines: tuple[Compared, ...]) -> None:
    host = imagined_host(HostSettings(purposes=("chat", "vision")))
    assert [m.plan for m in machines] == [make_plan(host, parse(text)) for text in MACHINES]


def test_what_a_better_machine_runs_and_another_cannot_is_told_with_what_is_missing(
    machines: tuple[Compared, ...],
) -> None:
    best = machines[1].plan.models[0].tag
    assert any(text.startswith(f"{best} for chat: ") for text in machines[0].cannot)
    assert any("GiB more" in text for text in machines[0].cannot)
    assert machines[1].cannot == ()


def test_the_bandwidth_is_that_of_the_memory_models_are_read_from(machines: tuple[Compared, ...]) -> None:
    small, large, cpu = (m.bandwidth_gbs or 0 for m in machines)
    assert (small, large) == (360, 1008)
    assert cpu < 100


@pytest.mark.parametrize("width", [70, 100, 200])
def test_the_table_fits_the_terminal_and_names_everything(machines: tuple[Compared, ...], width: int) -> None:
    text = shown(machines, width)
    assert all(len(line) <= width for line in text.splitlines())
    for part in ("memory", "bandwidth", "1008 GB/s", "(assumed)", "chat", "vision", "cannot", NO_PRICE):
        assert part in text
    assert "€" not in text
    assert "$" not in text


def test_a_machine_that_holds_nothing_says_why() -> None:
    (tiny,) = compare(("ram 1",), HostSettings())
    assert "nothing" in shown(compare(("ram 1", "ram 16"), HostSettings()), 100)
    assert tiny.plan.problems[0] in comparison_record((tiny,))[0]["problems"]  # type: ignore[operator]


def test_the_record_is_json_with_all_numbers(machines: tuple[Compared, ...]) -> None:
    record = json.loads(json.dumps(comparison_record(machines)))
    assert [one["machine"] for one in record] == list(MACHINES)
    assert record[1]["bandwidth_gbs"] == 1008
    assert record[0]["models"][0]["tag"] == machines[0].plan.models[0].tag


def test_the_same_machine_twice_is_one_column() -> None:
    assert len(compare(("ram 16", "ram 16"), HostSettings())) == 1


def test_a_machine_that_is_not_understood_is_named() -> None:
    with pytest.raises(PlanError, match="rtx-9999"):
        compare(("rtx-4090", "rtx-9999"), HostSettings())
