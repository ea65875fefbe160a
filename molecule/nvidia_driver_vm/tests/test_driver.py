"""On the host that was rebooted into its driver, upgraded carelessly, and mended."""

import json

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://open"]

NEWER = "580.178.04"


def test_nouveau_is_gone_since_a_real_reboot(host: Host) -> None:
    assert host.service("card.service").is_enabled
    assert not host.file("/usr/lib/modprobe.d/nvidia.conf").exists
    assert not host.file("/sys/module/nouveau").exists
    before = host.file("/srv/boot-before").content_string
    assert before != host.file("/proc/sys/kernel/random/boot_id").content_string


def test_the_kernel_that_runs_is_the_newest(host: Host) -> None:
    kernels = host.check_output("ls -v /lib/modules").split()
    assert len(kernels) == 2
    assert host.check_output("uname -r") == kernels[-1]


def test_it_has_loaded_the_module_that_dkms_built(host: Host) -> None:
    assert host.file("/sys/module/nvidia/version").content_string.strip() == NEWER
    with host.sudo():
        status = host.check_output("dkms status")
    assert f"nvidia/{NEWER}, {host.check_output('uname -r')}, x86_64: installed" in status


def test_module_library_and_tool_are_of_one_version(host: Host) -> None:
    assert host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader") == NEWER


def test_the_packages_are_held(host: Host) -> None:
    held = host.check_output("apt-mark showhold").split()
    assert {"libcuda1", "nvidia-kernel-open-dkms", "nvidia-driver-cuda"} <= set(held)


@pytest.mark.parametrize("unit", ["ollama.service", "nvidia-persistenced.service"])
def test_what_uses_the_driver_runs(host: Host, unit: str) -> None:
    assert host.service(unit).is_running


def test_no_reboot_is_pending(host: Host) -> None:
    record = json.loads(host.file("/var/lib/inhouse/roles/nvidia_driver.json").content_string)
    assert record["reboot_needed"] is False
