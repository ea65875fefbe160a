"""What must hold where the driver was compiled for a kernel that does not run yet."""

import json

import pytest
from testinfra.host import Host

MODULES = (
    "nvidia-current-open",
    "nvidia-current-open-modeset",
    "nvidia-current-open-drm",
    "nvidia-current-open-uvm",
    "nvidia-current-open-peermem",
)


@pytest.fixture
def kernel(host: Host) -> str:
    """The one that boots next."""
    with host.sudo():
        return str(host.check_output("ls /boot/vmlinuz-*-cloud-amd64")).removeprefix("/boot/vmlinuz-")


@pytest.fixture
def version(host: Host) -> str:
    """Of the driver that is installed: 535.261.03 of 535.261.03-1."""
    return str(host.package("libcuda1").version).rpartition("-")[0]


@pytest.mark.parametrize("module", MODULES)
def test_the_module_is_there_for_the_kernel_that_boots_next(host: Host, kernel: str, version: str, module: str) -> None:
    with host.sudo():
        assert host.check_output("/usr/sbin/modinfo -k %s -F version %s", kernel, module) == version
        # The proprietary ones say NVIDIA; the one for screens has a licence of its own.
        assert host.check_output("/usr/sbin/modinfo -k %s -F license %s", kernel, module).endswith("/GPL")
        assert kernel in host.check_output("/usr/sbin/modinfo -k %s -F vermagic %s", kernel, module)


def test_dkms_has_installed_it_for_that_kernel_and_no_other(host: Host, kernel: str, version: str) -> None:
    with host.sudo():
        lines = host.check_output("dkms status").splitlines()
    assert lines == [f"nvidia-current-open/{version}, {kernel}, x86_64: installed"]


def test_headers_come_with_the_next_kernel_too(host: Host) -> None:
    assert host.package("linux-headers-cloud-amd64").is_installed


def test_no_module_is_loaded_and_nobody_says_so(host: Host) -> None:
    assert not host.file("/sys/module/nvidia").exists
    assert "couldn't communicate with the NVIDIA driver" in host.run("nvidia-smi").stdout


def test_the_record_says_that_a_reboot_is_needed(host: Host) -> None:
    record = json.loads(host.file("/var/lib/inhouse/roles/nvidia_driver.json").content_string)
    assert record["reboot_needed"] is True


def test_the_packages_are_held(host: Host) -> None:
    held = host.check_output("apt-mark showhold").split()
    assert {"nvidia-open-kernel-dkms", "libcuda1", "nvidia-smi"} <= set(held)
