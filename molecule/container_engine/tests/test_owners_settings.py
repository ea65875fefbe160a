"""On the host whose owner had a daemon.json, and which has no GPU."""

import json

from testinfra.host import Host

testinfra_hosts = ["ansible://bookworm"]


def test_what_the_owner_had_in_daemon_json_is_still_there(host: Host) -> None:
    assert json.loads(host.file("/etc/docker/daemon.json").content_string) == {
        "log-level": "warn",
        "insecure-registries": ["first.internal:5000", "second.internal:5000"],
        "log-driver": "json-file",
        "log-opts": {"labels": "owner", "max-size": "10m", "max-file": "3"},
        "live-restore": True,
    }


def test_the_engine_is_the_distributions(host: Host) -> None:
    assert host.package("docker.io").is_installed
    assert not host.file("/etc/apt/sources.list.d/docker.sources").exists


def test_nothing_of_nvidia_is_installed(host: Host) -> None:
    assert not host.package("nvidia-container-toolkit").is_installed
    assert not host.file("/etc/apt/sources.list.d/nvidia-container-toolkit.sources").exists
