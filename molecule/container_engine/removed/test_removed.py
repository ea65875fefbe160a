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


def test_the_packages_are_those_of_before(host: Host) -> None:
    before = set(host.file("/srv/packages-before").content_string.split())
    listed = host.check_output("dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\\n'").splitlines()
    # Those that are not purged are listed with their configuration.
    assert {line[3:] for line in listed if line[1] not in "nc"} == before


def test_images_are_still_there(host: Host) -> None:
    with host.sudo():
        assert host.file("/var/lib/docker/image").is_directory


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
