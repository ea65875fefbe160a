"""Reaching real hosts over SSH: what works, and what a person is told when sshd or sudo refuses."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from inhouse import layout
from inhouse.errors import HostError, UnreachableError
from inhouse.facts.gather import gather
from inhouse.facts.model import HostFacts
from inhouse.inventory import Connection, Host, load
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def host(lab: LabHandle) -> Host:
    """One host of the lab."""
    return next(host for host in load(lab.folder).hosts if host.name == "cpu-small")


@pytest.fixture(scope="module")
def careful(lab: LabHandle, host: Host) -> Iterator[Host]:
    """The same host, by way of a user whose sudo wants a password."""
    lab.run(
        host.name,
        f"useradd --create-home --shell /bin/bash --groups sudo careful && echo 'careful:{PASSWORD}' | chpasswd && "
        "install -d -m 700 -o careful -g careful /home/careful/.ssh && install -m 600 -o careful -g careful "
        f"/home/{host.connection.user}/.ssh/authorized_keys /home/careful/.ssh/",
    )
    yield replace(host, connection=replace(host.connection, user="careful", become=True))
    lab.run(host.name, "pkill -u careful || true; userdel --remove careful 2>/dev/null")


def test_every_host_answers_and_names_what_listens(lab: LabHandle) -> None:
    answers = gather(load(lab.folder).hosts)
    for name, facts in answers.items():
        assert isinstance(facts, HostFacts), facts
        assert ("sshd", 22) in {(port.process, port.port) for port in facts.listening}, name
        assert facts.systemd
        assert facts.virtualization_name == "docker"
        assert abs(facts.clock_offset_s) < 5


def test_what_only_root_may_read_is_read(lab: LabHandle, host: Host) -> None:
    lab.run(host.name, f"install -d -m 700 {layout.ETC} && echo SHA256:ab >{layout.FLEET_MARKER}")
    try:
        facts = gather([host])[host.name]
    finally:
        lab.run(host.name, f"rm {layout.FLEET_MARKER}")
    assert isinstance(facts, HostFacts)
    assert facts.fleet == "SHA256:ab"


def test_a_wrong_key(lab: LabHandle, host: Host, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    # The lab's own configuration names its key as well, and ssh would try both.
    host_key = lab.run(host.name, "cat /etc/ssh/ssh_host_ed25519_key.pub")
    connection = with_known_hosts(host, tmp_path, f"{host.connection.address} {host_key}")
    said = refused(host, replace(connection, private_key_file=str(tmp_path / "other")))
    assert f"login as {host.connection.user} refused: the host does not accept {tmp_path}/other" in said


def test_a_host_key_that_is_not_known(host: Host, tmp_path: Path) -> None:
    said = refused(host, with_known_hosts(host, tmp_path, ""))
    assert f"the host key of {host.connection.address} is not known here yet" in said


def test_a_host_key_that_has_changed(host: Host, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    other = (tmp_path / "other.pub").read_text(encoding="utf-8")
    said = refused(host, with_known_hosts(host, tmp_path, f"{host.connection.address} {other}"))
    assert f"the host key of {host.connection.address} has changed" in said
    assert f"ssh-keygen -f {tmp_path}/known_hosts -R {host.connection.address}" in said


def test_an_ssh_server_that_is_stopped(lab: LabHandle, host: Host) -> None:
    lab.run(host.name, "systemctl stop ssh")
    try:
        said = refused(host, host.connection)
    finally:
        lab.run(host.name, "systemctl start ssh")
    assert "closed the connection before the login" in said or "nothing listens on port" in said
    assert isinstance(gather([host])[host.name], HostFacts)


def test_a_port_where_nothing_listens(host: Host) -> None:
    assert "nothing listens on port 9" in refused(host, replace(host.connection, port=9))


def test_sudo_with_its_password(careful: Host) -> None:
    connection = replace(careful.connection, become_password=SecretStr(PASSWORD))
    facts = gather([replace(careful, connection=connection)])[careful.name]
    assert isinstance(facts, HostFacts), facts
    assert "sshd" in {port.process for port in facts.listening}


def test_sudo_with_a_wrong_password_tries_it_once(lab: LabHandle, careful: Host) -> None:
    said = refused(careful, replace(careful.connection, become_password=SecretStr("wrong")))
    assert "sudo refused the password of careful" in said
    journal = lab.run(careful.name, "journalctl -q -t sudo | grep 'careful.*incorrect password attempt' | tail -n 1")
    assert "1 incorrect password attempt " in journal


def test_sudo_without_the_password_it_wants(careful: Host) -> None:
    assert "sudo needs a password of careful. Set ansible_become_password" in refused(careful, careful.connection)


def refused(host: Host, connection: Connection) -> str:
    """Return what is said when the host is reached in a way that must fail."""
    answer = gather([replace(host, connection=connection)])[host.name]
    assert isinstance(answer, HostError)
    assert type(answer) is UnreachableError
    return answer.message


def with_known_hosts(host: Host, folder: Path, known_hosts: str) -> Connection:
    """Return the way to a host by a configuration with these known hosts only."""
    (folder / "known_hosts").write_text(known_hosts, encoding="utf-8")
    (folder / "ssh_config").write_text(
        f"Host *\n  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n", encoding="utf-8"
    )
    return replace(host.connection, ssh_config_file=str(folder / "ssh_config"))
