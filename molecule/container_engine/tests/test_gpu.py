"""On the host with a GPU and Docker's own packages, which was opened on TCP and robbed of its GPU."""

import json

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]

LIST_GPUS = "docker run --rm --pull never {} outlives:local /usr/bin/nvidia-smi -L"


def test_the_engine_is_dockers(host: Host) -> None:
    assert host.package("docker-ce").is_installed
    assert not host.package("docker.io").is_installed


def test_of_the_sockets_in_daemon_json_only_the_local_one_is_left(host: Host) -> None:
    configuration = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert configuration["hosts"] == ["unix:///var/run/docker.sock"]
    assert configuration["features"] == {"cdi": True}


def test_a_container_gets_the_gpu(host: Host) -> None:
    with host.sudo():
        assert host.check_output(LIST_GPUS.format("--device nvidia.com/gpu=all")).startswith("GPU 0: ")


def test_a_container_that_does_not_ask_for_it_does_not(host: Host) -> None:
    with host.sudo():
        assert host.run(LIST_GPUS.format("")).rc != 0


@pytest.mark.parametrize("device", ["/dev/nvidia0", "/dev/nvidiactl"])
def test_systemd_finds_the_devices_of_the_gpu(host: Host, device: str) -> None:
    link = host.file(host.check_output("stat --format /dev/char/%%Hr:%%Lr %s", device))
    assert link.linked_to == device


def test_it_finds_them_after_a_boot_too(host: Host) -> None:
    rule = host.file("/etc/udev/rules.d/71-nvidia-dev-char.rules")
    assert "nvidia-ctk system create-dev-char-symlinks --create-all" in rule.content_string
    assert host.service("nvidia-cdi-refresh.path").is_enabled
