import resource
import subprocess
import sys
from pathlib import Path

import pytest

from inhouse.errors import PlanError
from inhouse.facts.model import DriverState
from inhouse.planner.choose import make_plan
from inhouse.planner.hardware import imagined_host, parse, read


def test_everything_given() -> None:
    facts = parse("rtx-4090 x2, ram 64, disk 500, cpu 16")
    assert [g.name for g in facts.nvidia.gpus] == ["NVIDIA GeForce RTX 4090"] * 2
    assert [d.device_id for d in facts.nvidia_devices] == ["2684", "2684"]
    assert facts.memory_total_mib == 64 * 1024
    assert facts.models_disk.total_mib == 500 * 1024
    assert facts.cpu.cores == 16


@pytest.mark.parametrize(
    "text",
    ["2x RTX 4090", "NVIDIA GeForce RTX 4090 x 2", "rtx4090x2", "rtx 4090, rtx_4090", "2 x rtx-4090", "rtx-4090 x2"],
)
def test_two_cards_however_written(text: str) -> None:
    assert [g.name for g in parse(text).nvidia.gpus] == ["NVIDIA GeForce RTX 4090"] * 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a100-80gb-pcie", "NVIDIA A100 80GB PCIe"),
        ("tesla t4", "Tesla T4"),
        ("t4", "Tesla T4"),
        ("RTX 4060 Ti", "NVIDIA GeForce RTX 4060 Ti"),
        ("h200", "NVIDIA H200"),
        ("p40", "Tesla P40"),
        ("l4", "NVIDIA L4"),
        ("rtx 4090 24gb", "NVIDIA GeForce RTX 4090"),
        ("RTX 5060 Ti 16 GB", "NVIDIA GeForce RTX 5060 Ti"),
    ],
)
def test_a_name_or_the_only_one_that_has_it_in_it(text: str, name: str) -> None:
    assert parse(text).nvidia.gpus[0].name == name


def test_units_are_taken() -> None:
    facts = parse("ram 8 GiB, disk=100gb, cpu 4 cores")
    assert (facts.memory_total_mib, facts.models_disk.free_mib, facts.cpu.cores) == (8192, 102400, 4)
    assert facts.nvidia.state is DriverState.NO_DEVICE


def test_old_cards_get_a_driver_that_knows_them() -> None:
    assert parse("p40").nvidia.gpus[0].driver_version.startswith("580")


def test_unified_memory_is_the_hosts() -> None:
    facts = parse("gb10, ram 128")
    assert facts.nvidia.gpus[0].memory_total_mib is None
    assert facts.memory_total_mib == 122502
    assert (facts.os.id, facts.os.architecture) == ("ubuntu", "aarch64")
    assert (facts.cpu.cores, facts.cpu.threads) == (20, 20)
    assert parse("gb10, cpu 10").cpu.cores == 10


@pytest.mark.parametrize(
    ("text", "name", "ram_gib"),
    [
        ("dgx-spark", "NVIDIA GB10", 120),
        ("gb10 128", "NVIDIA GB10", 120),
        ("jetson-agx-orin 64", "NVIDIA Jetson AGX Orin 64GB", 64),
        ("jetson agx orin 32gb", "NVIDIA Jetson AGX Orin 32GB", 32),
        ("jetson-orin-nano", "NVIDIA Jetson Orin Nano 8GB", 8),
        ("mac-studio-m3-ultra 256", "Apple M3 Ultra", 256),
        ("mac studio m3 ultra, ram 512", "Apple M3 Ultra", 512),
        ("MacBook Pro M4 Pro 48 GB, disk 1000", "Apple M4 Pro", 48),
        ("m3-ultra", "Apple M3 Ultra", 96),
        ("strix-halo 128", "AMD Radeon 8060S", 128),
        ("rtx-4060 laptop, ram 16", "NVIDIA GeForce RTX 4060 Laptop GPU", 16),
    ],
)
def test_machines_are_named_as_people_call_them(text: str, name: str, ram_gib: int) -> None:
    wanted = read(text)
    assert [card.name for card in wanted.cards] == [name]
    assert round(wanted.ram_mib / 1024) == ram_gib


def test_amd_cards_come_with_their_kernel_driver() -> None:
    facts = parse("rx-7900-xtx x2, ram 64")
    assert [(d.vendor_id, d.kernel_driver) for d in facts.display_devices] == [("1002", "amdgpu")] * 2
    assert [(g.memory_total_mib, g.gfx, g.integrated) for g in facts.amd] == [(24560, "gfx1100", False)] * 2
    assert len({g.render_node for g in facts.amd}) == 2
    assert facts.nvidia.state is DriverState.NO_DEVICE


def test_graphics_of_a_processor_have_little_memory_of_their_own() -> None:
    facts = parse("strix-halo 128")
    assert facts.amd[0].integrated
    assert (facts.amd[0].memory_total_mib or 0) < 1024
    assert facts.memory_total_mib == 131072
    assert (facts.cpu.cores, facts.cpu.threads) == (16, 32)


def test_cards_of_all_kinds_can_be_mixed() -> None:
    facts = parse("rtx-4090, rtx-3060, rx-7900-xtx")
    assert [g.name for g in facts.nvidia.gpus] == ["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3060"]
    assert len(facts.amd) == 1
    assert len({d.slot for d in facts.display_devices}) == 3


def test_a_jetson_runs_what_comes_with_it() -> None:
    orin, thor = parse("jetson-agx-orin 64"), parse("jetson-thor")
    assert (orin.jetson_linux, orin.board) == ("36.4.3", "NVIDIA Jetson AGX Orin 64GB")
    assert orin.display_devices == ()
    assert orin.nvidia.gpus[0].driver_version.startswith("540")
    assert (thor.nvidia.gpus[0].driver_version, thor.os.version_id) == ("580.0", "24.04")
    assert make_plan(imagined_host(), thor).accelerator == "cuda"


def test_apples_machines_are_compared_and_not_planned() -> None:
    with pytest.raises(PlanError, match="--compare 'mac-studio-m3-ultra 256'"):
        parse("mac-studio-m3-ultra 256")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rtx-4900", "RTX 4090"),
        ("a100", "of the catalogue: NVIDIA A100"),
        ("a100 x2", "Name one of them"),
        ("rtx 4090 48gb", "nearest: "),
        ("ram 64, ram 32", "gives ram more than once"),
        ("ram -3", '"ram -3" is not understood: ram takes one whole number above 0, of GiB.'),
        ("rtx-4090, disk 0.5", '"disk 0.5" is not understood: disk takes one whole number above 0, of GiB.'),
        ("cpu eight", '"cpu eight" is not understood: cpu takes one whole number above 0, of cores.'),
        ("64 GB RAM", '"64 GB RAM" is not understood: ram takes one whole number above 0, of GiB.'),
        ("banana", "is no GPU of the catalogue"),
        ("rtx-4090 x99", "1 to 16 can be planned"),
        ("ram 0", "above 0"),
        ("ram lots", '"ram lots" is not understood: ram takes'),
        ("mac-studio-m3-ultra 300", "Apple M3 Ultra is not sold with 300 GiB of memory; with: 96, 256, 512 GiB."),
        ("gb10, ram 64", "NVIDIA GB10 is not sold with 64 GiB"),
        ("m3-ultra x2", "Apple M3 Ultra is a machine of its own"),
        ("dgx-spark, rtx-4090", "NVIDIA GB10 is a machine of its own"),
        ("mac-studio-m9-ultra 256", "nearest: Apple M3 Ultra"),
        ("rx-7900-xyz", "AMD Radeon RX 7900"),
    ],
)
def test_what_is_not_understood_names_the_nearest(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert says in str(caught.value)


HEAVY = {"ansible", "pyinfra", "docker", "cryptography", "gevent", "httpx", "numpy", "jinja2", "pytest"}
PLANS = (
    ("--hardware", "rtx-3090 x2, ram 128, disk 500"),
    ("--hardware", "rtx-4060 laptop", "--explain", "--set", "purposes=chat,vision"),
    ("--compare", "rtx-4090", "ram 64"),
)


def child(*program: str) -> str:
    """What a program prints that runs by itself, as a person's command does."""
    done = subprocess.run([sys.executable, *program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_imagined_hardware_needs_nothing_that_is_for_hosts() -> None:
    program = (
        "import sys; from inhouse.cli import app; "
        f"[app(['plan', *arguments, '--json'], standalone_mode=False) for arguments in {PLANS!r}]; "
        "print('loaded:', *sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    said, _, loaded = child("-c", program).rpartition("loaded:")
    assert said.count('"tag"') > 3
    assert "inhouse" in loaded.split()
    assert HEAVY.isdisjoint(loaded.split())


def test_with_a_kept_catalogue_and_no_wishes_nothing_is_loaded_that_checks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = (
        "import sys; from inhouse.cli import app; "
        f"app({['plan', *PLANS[0], '--json']!r}, standalone_mode=False); "
        "print('loaded:', *{'pydantic', 'yaml', 'inhouse'} & set(sys.modules))"
    )
    first, second = (child("-c", program).rpartition("loaded:") for _ in range(2))
    assert set(first[2].split()) == {"inhouse", "pydantic", "yaml"}
    assert second[2].split() == ["inhouse"]
    assert first[0] == second[0]


def test_a_plan_of_imagined_hardware_answers_at_once_and_without_color() -> None:
    """Half a second is promised; three tries of twice that, in time of the processor, bear a busy machine."""
    for _ in range(3):
        begun = used()
        shown = child("-m", "inhouse.cli", "plan", *PLANS[0])
        if (took := used() - begun) < 1.0:
            break
    assert took < 1.0
    assert "RTX 3090" in shown
    assert "\x1b" not in shown


def used() -> float:
    """Seconds of the processor that child processes took so far."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@pytest.mark.parametrize("text", ["", "  ", ",", " , ,"])
def test_a_line_that_names_nothing_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PlanError, match="No hardware is named"):
        parse(text)
