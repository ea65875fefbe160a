from dataclasses import replace

import pytest

from inhouse.facts.model import DisplayDevice, DriverState, OperatingSystem, Virtualization
from inhouse.planner.hardware import parse
from inhouse.planner.machine import judge, names
from tests.hosts_to_plan import broken, card

DEBIAN_13 = OperatingSystem("debian", "13", "Debian GNU/Linux 13 (trixie)", "6.12.0", "x86_64")
UBUNTU = OperatingSystem("ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "6.8.0", "x86_64")
ROCKY = OperatingSystem("rocky", "9.6", "Rocky Linux 9.6", "5.14.0", "x86_64")


@pytest.mark.parametrize(
    ("compute", "driver", "usable"),
    [
        ("8.9", "550.54.14", True),
        ("8.9", "549.99", False),
        ("8.6", "535.309.01", False),
        ("7.0", "550.163.01", True),
        ("6.1", "550.163.01", False),
        ("6.1", "569.99", False),
        ("6.1", "570.00", True),
        ("5.0", "580.126.09", True),
        ("12.0", "610.57.04", True),
    ],
)
def test_ollamas_floors(compute: str, driver: str, usable: bool) -> None:
    machine = judge(card(24576, compute, driver))
    assert bool(machine.cards) is usable
    if usable:
        assert machine.warnings == ()
    else:
        (warning,) = machine.warnings
        assert f"NVIDIA driver {driver} found" in warning
        assert ("570 or newer" if compute < "7" else "550 or newer") in warning
        assert "models run on the CPU" in warning
        assert "Run: curl" in warning


def test_a_card_below_every_driver_cannot_be_mended() -> None:
    (warning,) = judge(card(4096, "3.5", "470.1")).warnings
    assert "5.0 or newer" in warning
    assert "no driver changes that" in warning
    assert "apt-get" not in warning


def test_no_driver_on_debian_12_names_nvidias_own_packages() -> None:
    machine = judge(broken(DriverState.NO_DRIVER))
    (warning,) = machine.warnings
    assert machine.cards == ()
    assert machine.has_nvidia
    for part in (
        "RTX 3090",
        "repos/debian12/x86_64/cuda-keyring",
        "sha256sum -c",
        "pinning-595",
        "nvidia-open",
        "reboot",
    ):
        assert part in warning


def test_pascal_gets_the_last_branch_that_knows_it() -> None:
    facts = replace(parse("gtx-1080, ram 32"), nvidia=broken(DriverState.NO_DRIVER).nvidia)
    (warning,) = judge(facts).warnings
    assert "nvidia-driver-pinning-580" in warning
    assert "cuda-drivers" in warning
    assert "nvidia-open" not in warning
    (on_13,) = judge(replace(facts, os=DEBIAN_13)).warnings
    assert "Reinstall the host with Debian 12, Ubuntu 22.04, Ubuntu 24.04 or Ubuntu 26.04" in on_13
    assert "Debian 13 has no driver of branch 570 to 580" in on_13
    assert "apt-get" not in on_13


def test_cards_that_no_driver_knows_together_are_named() -> None:
    facts = replace(parse("gtx-1080, rtx-5090, ram 64"), nvidia=broken(DriverState.NO_DRIVER).nvidia)
    (warning,) = judge(facts).warnings
    assert "No driver knows all of them" in warning
    assert "apt-get" not in warning


@pytest.mark.parametrize(
    ("system", "part"),
    [
        (DEBIAN_13, "repos/debian13/x86_64/cuda-keyring"),
        (UBUNTU, "linux-modules-nvidia-595-server-open-generic"),
        (ROCKY, "as the makers of Rocky Linux 9.6 describe"),
    ],
)
def test_the_command_is_the_distributions(system: OperatingSystem, part: str) -> None:
    (warning,) = judge(replace(broken(DriverState.NO_DRIVER), os=system)).warnings
    assert part in warning


def test_module_and_library_that_differ_need_a_reboot() -> None:
    facts = broken(DriverState.CANNOT_TALK, module_version="580.173.02", library_version="580.178.04")
    (warning,) = judge(facts).warnings
    assert "580.173.02" in warning
    assert "580.178.04" in warning
    assert warning.endswith("Run: sudo systemctl reboot")


def test_a_module_that_was_never_built_is_built() -> None:
    facts = broken(DriverState.CANNOT_TALK, library_version="580.1", message="couldn't communicate\nwith the driver")
    (warning,) = judge(facts).warnings
    assert "dkms autoinstall && sudo modprobe -a nvidia nvidia-uvm" in warning
    assert "couldn't communicate with the driver" in warning


def test_a_driver_that_finds_no_device_points_to_the_kernels_log() -> None:
    facts = broken(
        DriverState.CANNOT_TALK, module_version="580.1", library_version="580.1", message="No devices were found"
    )
    (warning,) = judge(facts).warnings
    assert "dmesg | grep NVRM" in warning


def test_nouveau_is_named() -> None:
    device = DisplayDevice("0000:01:00.0", "10de", "2204", "030000", "nouveau")
    (warning,) = judge(replace(broken(DriverState.NO_DRIVER), display_devices=(device,))).warnings
    assert "nouveau" in warning


def test_a_card_given_to_a_guest_is_left_alone() -> None:
    device = DisplayDevice("0000:01:00.0", "10de", "2204", "030000", "vfio-pci")
    for state in (DriverState.NO_DRIVER, DriverState.NO_DEVICE):
        machine = judge(replace(broken(state), display_devices=(device,)))
        assert machine.warnings == ()
        assert not machine.has_nvidia
        assert "RTX 3090 is handed to a virtual machine" in machine.reasons[0]


def test_kepler_without_driver_cannot_be_mended() -> None:
    device = DisplayDevice("0000:01:00.0", "10de", "0fc6", "030000", None)
    (warning,) = judge(replace(broken(DriverState.NO_DRIVER), display_devices=(device,))).warnings
    assert "older than any card Ollama supports" in warning
    assert "apt-get" not in warning


def test_in_a_container_the_driver_belongs_to_the_machine_below() -> None:
    facts = replace(broken(DriverState.NO_DRIVER), virtualization=Virtualization.CONTAINER, virtualization_name="lxc")
    (warning,) = judge(facts).warnings
    assert "a container (lxc)" in warning
    assert "Run there: curl" in warning


def test_in_wsl_the_driver_is_windows() -> None:
    (warning,) = judge(replace(broken(DriverState.NO_DRIVER), virtualization=Virtualization.WSL)).warnings
    assert "wsl --shutdown" in warning
    assert "apt-get" not in warning


def test_a_working_driver_in_wsl_needs_no_pci_device() -> None:
    facts = replace(parse("rtx-4090, ram 64"), display_devices=(), virtualization=Virtualization.WSL)
    machine = judge(facts)
    assert machine.has_nvidia
    assert machine.cards[0].bandwidth_gbs == 1008


def test_intel_is_named_and_planned_on_the_cpu() -> None:
    device = DisplayDevice("0000:00:02.0", "8086", "46d1", "030000", "i915")
    machine = judge(replace(parse("ram 32"), display_devices=(device,)))
    assert machine.cards == ()
    assert "Intel display device found (8086:46d1)" in machine.reasons[0]
    assert "run on the CPU" in machine.reasons[0]


def test_a_lost_card_is_missed() -> None:
    facts = parse("rtx-3090 x2, ram 64")
    one = replace(facts, nvidia=replace(facts.nvidia, gpus=facts.nvidia.gpus[:1]))
    machine = judge(one)
    assert len(machine.cards) == 1
    assert "shows 1 of 2 NVIDIA cards" in machine.warnings[0]


def test_of_mixed_cards_only_the_unusable_one_is_dropped() -> None:
    facts = parse("rtx-3090, gtx-1080, ram 64")
    old = tuple(replace(g, driver_version="550.163.01") for g in facts.nvidia.gpus)
    machine = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=old)))
    assert [c.name for c in machine.cards] == ["RTX 3090"]
    assert "570 or newer" in machine.warnings[0]


@pytest.mark.parametrize(("compute", "can"), [("5.2", False), ("6.1", True), ("7.2", False), ("8.9", True)])
def test_flash_attention_by_compute_capability(compute: str, can: bool) -> None:
    assert judge(card(8192, compute)).flash_attention is can


def test_the_cpu_has_flash_attention() -> None:
    assert judge(parse("ram 32")).flash_attention


def test_names_without_a_driver_come_from_the_catalogue() -> None:
    assert names(broken(DriverState.NO_DRIVER)) == "RTX 3090"
    unknown = DisplayDevice("0000:01:00.0", "10de", "fffe", "030000", None)
    assert names(replace(broken(DriverState.NO_DRIVER), display_devices=(unknown,))) == "NVIDIA card 10de:fffe"
