"""What must hold on every host once the role was applied: after faults were planted, and after all it refused."""

import json

from testinfra.host import Host

IMAGE = "outlives:local"
"""Made by faults.yml of the host's own files."""


def test_the_engine_runs_now_and_after_a_boot(host: Host) -> None:
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_logs_of_a_new_container_are_rotated(host: Host) -> None:
    with host.sudo():
        made = host.check_output("docker create %s /bin/sh", IMAGE)
        options = json.loads(host.check_output("docker inspect --format '{{json .HostConfig.LogConfig}}' %s", made))
        host.check_output("docker rm %s", made)
    assert options["Type"] == "json-file"
    assert options["Config"]["max-size"] == "10m"
    assert options["Config"]["max-file"] == "3"


def test_live_restore_is_in_force(host: Host) -> None:
    with host.sudo():
        assert host.check_output("docker info --format '{{.LiveRestoreEnabled}}'") == "true"


def test_a_container_has_outlived_every_restart(host: Host) -> None:
    with host.sudo():
        started = host.file("/root/outlives").content_string.strip()
        state = host.check_output("docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' outlives")
    assert state == f"{started} true"


def test_docker_listens_on_no_tcp_port(host: Host) -> None:
    with host.sudo():
        listening = host.check_output("ss --no-header --listening --tcp --processes")
    assert "sshd" in listening
    assert "dockerd" not in listening


def test_nothing_of_the_proof_is_left(host: Host) -> None:
    with host.sudo():
        assert "proof" not in host.check_output("docker image ls") + host.check_output("docker ps --all")


def test_the_record_of_the_last_run_can_be_compared_with_a_plan_without_root(host: Host) -> None:
    record = json.loads(host.file("/var/lib/inhouse/container_engine.json").content_string)
    assert record["finished"] is True
    assert record["variables"]["container_engine_live_restore"] is True
    assert record["variables"]["container_engine_log_max_size"] == "10m"
