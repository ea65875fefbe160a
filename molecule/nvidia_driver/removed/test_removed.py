"""What must hold once the role was taken back: the host as it was, but for what its owner had."""

from pathlib import PurePosixPath

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://pascal", "ansible://ada"]

FILES = (
    "/etc/modprobe.d/nvidia-driver-nouveau.conf",
    "/etc/apt/apt.conf.d/52nvidia-driver",
    "/etc/apt/preferences.d/nvidia-driver",
    "/etc/apt/sources.list.d/nvidia-cuda.sources",
    "/etc/apt/sources.list.d/nvidia-driver.sources",
    "/etc/apt/keyrings/nvidia-cuda.gpg",
    "/var/lib/inhouse/roles/nvidia_driver.json",
    "/usr/bin/nvidia-smi",
)


def test_the_packages_are_those_of_before(host: Host) -> None:
    before = set(host.file("/srv/packages-before").content_string.split())
    after = set(host.check_output("dpkg-query --show --showformat '${Package}\\n'").split())
    assert after == before


@pytest.mark.parametrize("path", FILES, ids=lambda path: PurePosixPath(path).name)
def test_files_of_the_role_and_of_the_driver_are_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_no_module_is_left_for_the_next_boot(host: Host) -> None:
    with host.sudo():
        assert host.run("/usr/sbin/modinfo nvidia").rc != 0
        assert "nvidia" not in host.run("find /var/lib/dkms").stdout


def test_nothing_is_held_any_more(host: Host) -> None:
    assert host.check_output("apt-mark showhold") == ""


def test_what_the_owner_had_is_still_there(host: Host) -> None:
    assert host.file("/etc/apt/apt.conf.d/51owner").exists
    assert host.package("unattended-upgrades").is_installed
    assert host.service("ollama").is_running
