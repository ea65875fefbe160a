"""What must hold once the role was taken back, and then refused a bare host, and then left a rootless engine alone."""

from pathlib import Path

import pytest
from testinfra.host import Host

OWNERS = Path(__file__).parent.parent / "daemon.json"


def test_daemon_json_is_what_it_was(host: Host) -> None:
    file = host.file("/etc/docker/daemon.json")
    if host.system_info.codename == "trixie":
        assert not file.exists
    else:
        assert file.content == OWNERS.read_bytes()


@pytest.mark.parametrize(
    "package", ["docker.io", "docker-ce", "docker-ce-cli", "containerd.io", "containerd", "nvidia-container-toolkit"]
)
def test_packages_of_the_role_are_gone(host: Host, package: str) -> None:
    assert not host.package(package).is_installed


@pytest.mark.parametrize(
    "path",
    [
        "/etc/apt/sources.list.d/docker.sources",
        "/etc/apt/sources.list.d/nvidia-container-toolkit.sources",
        "/etc/apt/keyrings/docker.asc",
        "/etc/udev/rules.d/71-nvidia-dev-char.rules",
        "/var/lib/inhouse/container_engine.json",
    ],
)
def test_files_of_the_role_are_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_packages_of_others_are_still_there(host: Host) -> None:
    assert host.package("pciutils").is_installed
