"""Many plans at a glance: what is alike, what is covered, and exactly those hosts that stand out."""

import io
import json
import time
from dataclasses import replace

import pytest
from rich.console import Console

from inhouse.planner.fleet import Member, summarize, totals
from inhouse.planner.plan import Plan
from inhouse.planner.show_fleet import SHOWN_KINDS, fleet_record, plans_view
from inhouse.units import FEW
from tests.samples import CHAT, EMBEDDING, a_plan

SMALL = replace(CHAT, tag="qwen3:4b")
CODER = replace(CHAT, tag="qwen3-coder:30b", purposes=("chat", "code"))


def at_speed(tokens_per_second: float) -> tuple[object, ...]:
    return (replace(CHAT, tokens_per_second=tokens_per_second), EMBEDDING)


def members(*plans: Plan, driver: str | None = "570.86", group: str = "gpus") -> list[Member]:
    return [Member(plan, ("site", group), driver) for plan in plans]


def twins(number: int, prefix: str = "gpu", **changes: object) -> list[Plan]:
    return [a_plan(f"{prefix}{n}", **changes) for n in range(1, number + 1)]


def remarks(found: list[Member]) -> dict[tuple[str, ...], str]:
    return {one.hosts: one.text for one in summarize(found).stand_out}


def shown(plans: list[Plan], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(plans_view(plans, summarize([Member(plan) for plan in plans])), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_purposes_count_hosts_and_not_models() -> None:
    both = a_plan("gpu9", models=(CHAT, CODER, EMBEDDING))
    assert summarize(members(*twins(3), both)).covered == {"chat": 4, "embedding": 4, "code": 1}


def test_totals_are_sums_of_the_plans() -> None:
    cpu = a_plan("cpu1", accelerator="cpu", memory_total_mib=8192, problems=("port 443 is taken",))
    fleet = summarize(members(*twins(2, memory_total_mib=24 * 1024), cpu))
    assert (fleet.hosts, fleet.gpu_memory_mib, fleet.blocked) == (3, 48 * 1024, 1)
    assert fleet.download_mib == 3 * (CHAT.download_mib + EMBEDDING.download_mib)
    assert totals(fleet) == (
        "3 hosts: 2 on GPUs (48 GiB of memory), 1 on the CPU; 1 with a problem; 29 GiB of models in all."
    )


def test_equal_twins_stand_out_in_nothing() -> None:
    assert remarks(members(*twins(20))) == {}


def test_the_only_host_without_gpu_of_its_group_stands_out() -> None:
    plans = [*twins(3), a_plan("odd", accelerator="cpu", hardware="16 threads, 64 GiB RAM")]
    assert remarks(members(*plans)) == {
        ("odd",): "the only one of 4 hosts in gpus whose models run on the CPU",
    }


def test_two_hosts_without_gpu_are_a_kind_and_not_an_outlier() -> None:
    plans = [*twins(3), *twins(2, "cpu", accelerator="cpu", hardware="16 threads, 64 GiB RAM")]
    assert remarks(members(*plans)) == {}


@pytest.mark.parametrize(("speed", "stands_out"), [(19.0, True), (21.0, False)])
def test_a_host_far_slower_than_its_group_stands_out(speed: float, stands_out: bool) -> None:
    plans = [*twins(3, models=at_speed(40.0)), a_plan("slow", models=at_speed(speed), hardware="GTX 1080 8 GiB")]
    says = {("slow",): "19 tokens/s, where the median of gpus is 40"} if stands_out else {}
    assert remarks(members(*plans)) == says


def test_groups_are_not_compared_with_each_other() -> None:
    fast = members(*twins(3, "a", models=at_speed(100.0), hardware="H100 80 GiB"), group="fast")
    slow = members(*twins(3, "b", models=at_speed(10.0)), group="slow")
    assert remarks(fast + slow) == {}


def test_an_older_driver_than_that_of_the_twins_stands_out() -> None:
    found = members(*twins(3)) + members(a_plan("old"), driver="550.163.01") + members(a_plan("older"), driver="570.9")
    hardware = a_plan().hardware
    assert remarks(found) == {("old",): f"driver 550.163.01, where others with {hardware} have up to 570.86"} | {
        ("older",): f"driver 570.9, where others with {hardware} have up to 570.86"
    }


def test_another_model_than_that_of_the_twins_stands_out() -> None:
    plans = [*twins(4), a_plan("odd", models=(SMALL, EMBEDDING))]
    usual = f"most hosts with {plans[0].hardware} run qwen3:8b, nomic-embed-text"
    assert remarks(members(*plans)) == {("odd",): f"qwen3:4b, nomic-embed-text, where {usual}"}


def test_no_majority_no_outlier() -> None:
    plans = [*twins(2), *twins(2, "other", models=(SMALL, EMBEDDING))]
    assert remarks(members(*plans)) == {}


def test_hosts_of_which_something_else_is_asked_do_not_stand_out() -> None:
    assert remarks(members(*twins(4), a_plan("coder", models=(CODER,)))) == {}


def test_equal_plans_are_shown_once_with_the_number_of_their_hosts() -> None:
    text = shown([*twins(238), *twins(2, "cpu", accelerator="cpu", hardware="8 threads, 16 GiB RAM")])
    assert "238 hosts (gpu1, gpu2, gpu3 and 235 more)" in text
    assert "2 hosts (cpu1, cpu2)" in text
    assert text.count("qwen3:8b") == 2
    assert "240 hosts: 238 on GPUs" in text
    assert "Covered: chat by 240, embedding by 240 of 240 hosts." in text


def test_a_few_hosts_are_shown_one_by_one() -> None:
    text = shown(twins(FEW))
    assert all(f"https://gpu{n}.example.internal/" in text for n in range(1, FEW + 1))
    assert "https://" not in shown(twins(FEW + 1))


def test_warnings_of_many_hosts_are_said_once_and_can_be_copied() -> None:
    long = "NVIDIA driver 535 found. Run: sudo apt-get install " + "-y " * 60 + "nvidia-driver"
    text = shown([*twins(10, warnings=(long,)), a_plan("bad", problems=("port 443 is taken by nginx",))], width=60)
    assert f"gpu1, gpu2, gpu3 and 7 more: warning: {long}\n" in text
    assert "bad: problem: port 443 is taken by nginx" in text


def test_many_kinds_are_cut_and_counted() -> None:
    text = shown([a_plan(f"h{n}", hardware=f"{n} threads, 8 GiB RAM", accelerator="cpu") for n in range(1, 101)])
    assert f"{100 - SHOWN_KINDS} more kinds of plans for {100 - SHOWN_KINDS} hosts" in text
    assert text.count("qwen3:8b") == SHOWN_KINDS


def test_ten_thousand_hosts_stay_readable_and_quick() -> None:
    kinds = [a_plan(hardware=f"RTX {n} 24 GiB, 16 threads, 64 GiB RAM") for n in range(12)]
    plans = [replace(kinds[n % 12], host=f"gpu{n:05}") for n in range(10_000)]
    begun = time.process_time()
    text = shown(plans)
    assert time.process_time() - begun < 2
    assert len(text.splitlines()) < 100


def test_the_record_is_json_and_names_every_host() -> None:
    fleet = summarize(members(*twins(3), a_plan("odd", accelerator="cpu")))
    record = json.loads(json.dumps(fleet_record(fleet)))
    assert sorted(name for hosts in record["alike"] for name in hosts) == ["gpu1", "gpu2", "gpu3", "odd"]
    assert record["stand_out"][0]["hosts"] == ["odd"]
    assert record["covered"] == {"chat": 4, "embedding": 4}
