"""What must hold on the hosts with a card once the role was applied: after upgrades, faults and all it refused."""

import json

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://pascal", "ansible://ada"]

VERSIONS = {"pascal": "580.178.04", "ada": "610.57.04"}
"""Pascal is moved within its branch, ada to a newer one at last."""
PACKAGES = ("libcuda1", "libnvidia-ml1", "nvidia-driver-cuda", "nvidia-modprobe", "nvidia-persistenced")


@pytest.fixture
def version(host: Host) -> str:
    return VERSIONS[host.check_output("hostname")]


def test_every_card_answers_with_the_version_that_is_installed(host: Host, version: str) -> None:
    asked = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
    assert host.check_output(asked) == version
    assert host.file("/sys/module/nvidia/version").content_string.strip() == version


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_of_one_version_and_held(host: Host, version: str, package: str) -> None:
    assert host.package(package).version == f"{version}-1"
    assert package in host.check_output("apt-mark showhold").split()


def test_the_module_is_the_kind_that_the_card_needs(host: Host) -> None:
    with host.sudo():
        kind = host.check_output("/usr/sbin/modinfo -k $(uname -r) -F license nvidia")
    assert kind == {"pascal": "NVIDIA", "ada": "Dual MIT/GPL"}[host.check_output("hostname")]


def test_dkms_has_built_that_version_and_no_other(host: Host, version: str) -> None:
    with host.sudo():
        lines = host.check_output("dkms status").splitlines()
        kernel = host.check_output("uname -r")
    assert [line.split(" (")[0] for line in lines] == [f"nvidia/{version}, {kernel}, x86_64: installed"]


def test_headers_come_with_the_next_kernel_too(host: Host) -> None:
    assert host.package("linux-headers-lab").is_installed


def test_nouveau_is_kept_out(host: Host) -> None:
    with host.sudo():
        assert "blacklist nouveau" in host.file("/etc/modprobe.d/nvidia-driver-nouveau.conf").content_string


def test_upgrades_by_themselves_leave_the_driver_alone(host: Host) -> None:
    settings = host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert "nvidia" in settings
    assert "libcuda" in settings


def test_the_branch_is_pinned(host: Host, version: str) -> None:
    branch = version.split(".")[0]
    pins = host.check_output("dpkg-query --show --showformat '${Package} ' 'nvidia-driver-pinning-*'").split()
    assert pins == [f"nvidia-driver-pinning-{branch}"]
    assert f"Candidate: {version}-1" in host.check_output("apt-cache policy libcuda1")


def test_the_cards_stay_initialised(host: Host) -> None:
    assert host.service("nvidia-persistenced").is_running
    assert host.service("nvidia-persistenced").is_enabled


def test_the_service_that_uses_the_gpu_was_stopped_for_each_reload_and_runs_again(host: Host) -> None:
    assert host.service("ollama").is_running
    assert host.file("/srv/drained").exists


def test_the_record_names_what_the_role_brought(host: Host) -> None:
    record = json.loads(host.file("/var/lib/inhouse/roles/nvidia_driver.json").content_string)
    assert {"nvidia-driver-cuda"} <= set(record["packages"])
    assert record["earlier"] == []
    assert record["reboot_needed"] is False


def test_half_done_packages_are_not_left(host: Host) -> None:
    assert host.check_output("dpkg --audit") == ""
