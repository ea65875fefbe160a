import subprocess
import sys

import pytest

from inhouse.errors import PlanError
from inhouse.facts.model import DriverState
from inhouse.planner.hardware import parse


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
    assert parse("gb10, ram 128").nvidia.gpus[0].memory_total_mib is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rtx-4900", "RTX 4090"),
        ("a100", "NVIDIA A100 80GB PCIe"),
        ("banana", "is no GPU of the catalogue"),
        ("rtx-4090 x99", "1 to 16 can be planned"),
        ("ram 0", "above 0"),
        ("ram lots", '"ram lots" is no GPU'),
    ],
)
def test_what_is_not_understood_names_the_nearest(text: str, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert says in str(caught.value)


def test_planning_loads_neither_ansible_nor_pyinfra() -> None:
    program = (
        "import sys; from inhouse.planner.choose import make_plan; from inhouse.planner.hardware import *; "
        "make_plan(imagined_host(), parse('rtx-4090, ram 64')); "
        "print([m for m in sys.modules if m.partition('.')[0] in {'ansible', 'pyinfra', 'docker', 'rich'}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
