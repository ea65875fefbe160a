"""Machines side by side: the same plans as one by one, and what each lacks for what another runs."""

import io
import json

import pytest
from rich.console import Console

from inhouse.catalogue.models import find
from inhouse.errors import PlanError
from inhouse.planner import apple
from inhouse.planner.choose import make_plan
from inhouse.planner.compare import Compared, compare
from inhouse.planner.hardware import imagined_host, parse, read
from inhouse.planner.show_compare import NO_PRICE, NOT_DEPLOYED, comparison_record, comparison_view
from inhouse.settings import HostSettings

MACHINES = ("rtx-3060, ram 64", "rtx-4090, ram 64", "ram 32, cpu 8")


@pytest.fixture(scope="module")
def machines() -> tuple[Compared, ...]:
    return compare(MACHINES, HostSettings.of(purposes=("chat", "vision")))


def shown(machines: tuple[Compared, ...], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(comparison_view(machines), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_machine_is_planned_as_if_it_were_alone(machines: tuple[Compared, ...]) -> None:
    host = imagined_host(HostSettings.of(purposes=("chat", "vision")))
    plans = [make_plan(host, parse(text)) for text in MACHINES]
    assert [m.models for m in machines] == [plan.models for plan in plans]
    assert [m.hardware for m in machines] == [plan.hardware for plan in plans]
    assert all(m.deployable for m in machines)


def test_what_a_better_machine_runs_and_another_cannot_is_told_with_what_is_missing(
    machines: tuple[Compared, ...],
) -> None:
    best = machines[1].models[0].tag
    assert any(text.startswith(f"{best} for chat: ") for text in machines[0].cannot)
    assert any("GiB more" in text for text in machines[0].cannot)
    assert machines[1].cannot == ()


def test_a_better_model_that_would_fit_is_not_among_what_a_machine_cannot() -> None:
    """One machine runs a model that another could run too, where something else is worth more."""
    texts = ("rtx-4060-ti 16gb, ram 64", "rtx-3090 x4, ram 256", "rtx-4090, ram 64", "ram 192, cpu 32")
    machines = compare(texts, HostSettings.of(purposes=("chat", "code", "vision", "embedding", "tools")))
    assert not [text for m in machines for text in m.cannot if "fits" in text]
    run = {(m.tag, purpose) for one in machines for m in one.models for purpose in m.purposes}
    passed_over = [
        (tag, purpose)
        for one in machines
        for tag, purpose in run
        if quality(tag, purpose)
        > max((quality(m.tag, purpose) for m in one.models if purpose in m.purposes), default=0)
        and not any(text.startswith(f"{tag} for {purpose}:") for text in one.cannot)
    ]
    assert passed_over


def quality(tag: str, purpose: str) -> int:
    model = find(tag)
    assert model is not None
    return model.quality[purpose]  # type: ignore[index]


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


def test_memory_that_gpu_and_processor_share_is_called_so() -> None:
    pages = {text: shown(compare((text,), HostSettings()), 100) for text in ("dgx-spark", "rtx-4090")}
    assert "119.6 GiB unified" in pages["dgx-spark"]
    assert "24.0 GiB GPU memory" in pages["rtx-4090"]


def test_what_a_processor_reads_is_as_planned_with() -> None:
    """Strix Halo's has AVX-512, which tells of faster RAM."""
    halo, plain = compare(("strix-halo 128", "ram 128, cpu 16"), HostSettings())
    assert halo.bandwidth_gbs is not None
    assert plain.bandwidth_gbs is not None
    assert halo.bandwidth_gbs > 2 * plain.bandwidth_gbs


def test_a_machine_that_holds_nothing_says_why() -> None:
    (tiny,) = compare(("ram 1",), HostSettings())
    assert "nothing" in shown(compare(("ram 1", "ram 16"), HostSettings()), 100)
    assert any(note.startswith("No chat model") for note in tiny.notes)
    assert tiny.notes[0].split()[0] in shown((tiny,), 100)


def test_the_record_is_json_with_all_numbers(machines: tuple[Compared, ...]) -> None:
    record = json.loads(json.dumps(comparison_record(machines)))
    assert [one["machine"] for one in record] == list(MACHINES)
    assert record[1]["bandwidth_gbs"] == 1008
    assert record[0]["models"][0]["tag"] == machines[0].models[0].tag


def test_the_same_machine_twice_is_one_column() -> None:
    assert len(compare(("ram 16", "ram 16"), HostSettings())) == 1


def test_a_machine_that_is_not_understood_is_named() -> None:
    with pytest.raises(PlanError, match="rtx-9999"):
        compare(("rtx-4090", "rtx-9999"), HostSettings())


def test_apples_machines_are_compared_and_said_not_to_be_deployed() -> None:
    pc, mac = compare(("rtx-4090, ram 64", "mac-studio-m3-ultra 256"), HostSettings())
    assert (mac.accelerator, mac.deployable, mac.bandwidth_gbs) == ("metal", False, 819)
    assert mac.hardware == "Apple M3 Ultra, 256 GiB unified memory"
    assert NOT_DEPLOYED in " ".join(shown((pc, mac), 120).split())
    assert NOT_DEPLOYED not in " ".join(shown((pc,), 120).split())
    talking = mac.models[0]
    assert talking.gpu_mib > pc.memory_mib
    assert talking.tokens_per_second is not None
    assert talking.tokens_per_second < 100
    assert any(talking.tag in text for text in pc.cannot)


def test_the_disk_that_models_may_take_binds_apples_machines_too() -> None:
    (mac,) = compare(("mac-studio-m3-ultra 256",), HostSettings.of(models_disk_gib=10))
    assert 5 * 1024 < sum(m.download_mib for m in mac.models) <= 10 * 1024


@pytest.mark.parametrize(("gib", "share"), [(16, 2 / 3), (36, 2 / 3), (64, 3 / 4), (256, 3 / 4)])
def test_the_gpu_of_a_mac_gets_a_part_of_the_memory(gib: int, share: float) -> None:
    name = {16: "m4 16", 36: "m3-max-30-core 36", 64: "m4-pro 64", 256: "m3-ultra 256"}[gib]
    wanted = read(name)
    decision = apple.decide(wanted.cards[0], wanted, HostSettings())
    assert decision.budget.usable == pytest.approx(gib * 1024 * share)
    taken = sum(c.placement.gpu for c in decision.selection.chosen if c.stays)
    assert 0 < taken <= gib * 1024 * share


def test_a_jetsons_old_driver_is_a_note() -> None:
    (orin,) = compare(("jetson-agx-orin 64",), HostSettings())
    assert orin.accelerator == "cpu"
    assert any("540" in note for note in orin.notes)


def test_why_a_gpu_is_not_used_is_a_note() -> None:
    (halo,) = compare(("strix-halo 128",), HostSettings())
    assert halo.accelerator == "cpu"
    assert any("Strix Halo" in note for note in halo.notes)
    assert compare(("ram 128",), HostSettings())[0].notes == ()
