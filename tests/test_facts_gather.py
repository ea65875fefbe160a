"""Reaching hosts: what is asked of ssh and sudo, and what a person is told when they refuse."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from inhouse.errors import FactsError, UnreachableError
from inhouse.facts import ssh
from inhouse.facts.gather import gather
from inhouse.facts.model import HostFacts
from inhouse.inventory import Connection, Host
from inhouse.settings import HostSettings

GPU1 = Connection("ssh", "192.0.2.7", port=2222, user="ada", private_key_file="/keys/lab", become=True)
LOCAL = Connection("local", "localhost")

# What OpenSSH 9.2 and 10.0, sudo 1.9 and sudo-rs wrote to standard error, and what must be said about it.
REFUSALS = {
    "name": (
        "ssh: Could not resolve hostname gpu1.lan: Name or service not known\r\n",
        ["the name 192.0.2.7 does not resolve", "ansible_host", "getent hosts 192.0.2.7"],
    ),
    "refused": (
        "ssh: connect to host 192.0.2.7 port 2222: Connection refused\r\n",
        ["nothing listens on port 2222", "systemctl start ssh", "ansible_port"],
    ),
    "time-out": (
        "ssh: connect to host 192.0.2.7 port 2222: Connection timed out\r\n",
        ["no answer from 192.0.2.7, port 2222, within 10 s", "ping -c 3 192.0.2.7"],
    ),
    "died": ("Timeout, server 192.0.2.7 not responding.\r\n", ["no answer from 192.0.2.7"]),
    "route": ("ssh: connect to host 192.0.2.7 port 2222: No route to host\r\n", ["no way from here to 192.0.2.7"]),
    "host key unknown": (
        "Host key verification failed.\r\n",
        [
            "host key of 192.0.2.7 is not known",
            "ssh -o StrictHostKeyChecking=ask -o IdentitiesOnly=yes -i /keys/lab -p 2222 ada@192.0.2.7",
        ],
    ),
    "host key unknown, checked strictly": (
        "No ED25519 host key is known for [192.0.2.7]:2222 and you have requested strict checking.\r\n"
        "Host key verification failed.\r\n",
        ["is not known here yet"],
    ),
    "host key changed": (
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n"
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n"
        "Offending ED25519 key in /home/ada/lab known_hosts:3\r\n"
        "Host key for [192.0.2.7]:2222 has changed and you have requested strict checking.\r\n"
        "Host key verification failed.\r\n",
        ["has changed", "listening in", "ssh-keygen -f '/home/ada/lab known_hosts' -R '[192.0.2.7]:2222'"],
    ),
    "wrong key": (
        "ada@192.0.2.7: Permission denied (publickey,password).\r\n",
        ["login as ada refused", "/keys/lab", "ssh-copy-id -f -i /keys/lab -p 2222 ada@192.0.2.7", "ssh-add"],
    ),
    "no such key": (
        "Warning: Identity file /keys/lab not accessible: No such file or directory.\n"
        "ada@192.0.2.7: Permission denied (publickey).\r\n",
        ["key file /keys/lab cannot be read", "ansible_ssh_private_key_file"],
    ),
    "key open to all": (
        "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\r\n"
        "Permissions 0644 for '/keys/lab' are too open.\r\n"
        "ada@192.0.2.7: Permission denied (publickey).\r\n",
        ["chmod 600 /keys/lab"],
    ),
    "hung up": (
        "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 192.0.2.7 port 2222\r\n",
        ["closed the connection before the login", "journalctl -u ssh"],
    ),
    "no common method": (
        "Unable to negotiate with 192.0.2.7 port 2222: no matching host key type found. Their offer: ssh-rsa\r\n",
        ["no method in common", "Their offer: ssh-rsa"],
    ),
    "sudo wants a password": (
        "sudo: a password is required\n",
        ["sudo needs a password of ada", "ansible_become_password", "NOPASSWD"],
    ),
    "sudo-rs wants a password": ("sudo: interactive authentication is required\n", ["sudo needs a password of ada"]),
    "sudo password wrong": (
        "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n",
        ["sudo refused the password of ada", "ansible_become_password"],
    ),
    "not a sudoer": ("ada is not in the sudoers file.\n", ["ada may not use sudo", "usermod -aG sudo ada"]),
    "no sudo": ("sudo: command not found\n", ["sudo is not installed", "apt-get install sudo"]),
    "no sh": ("bash: line 1: sh: command not found\n", ["no `sh`"]),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_says_what_was_found_and_what_to_do(refusal: str) -> None:
    stderr, expected = REFUSALS[refusal]
    said = ssh.explain(GPU1, stderr)
    assert said is not None
    assert [part for part in expected if part not in said] == [], said


def test_a_text_nobody_foresaw_is_not_explained() -> None:
    assert ssh.explain(GPU1, "ssh: the moon is full\n") is None


def test_host_keys_are_left_to_the_configuration_and_nothing_is_asked() -> None:
    command = ssh.command(GPU1, ["sh", "-c", "echo 'a b'"])
    assert command[:4] == ["ssh", "-T", "-o", "BatchMode=yes"]
    assert "StrictHostKeyChecking" not in " ".join(command)
    assert command[-1] == """sh -c 'echo '"'"'a b'"'"''"""


def test_the_configuration_of_the_inventory_is_used() -> None:
    command = ssh.command(Connection("ssh", "gpu1", ssh_config_file="/inv/ssh_config"), ["true"])
    assert command[-5:] == ["-F", "/inv/ssh_config", "gpu1", "--", "true"]


def test_this_machine_answers_without_ssh() -> None:
    answer = gather([host("here", LOCAL)])["here"]
    assert isinstance(answer, HostFacts)
    assert abs(answer.clock_offset_s) < 5


def test_hosts_are_answered_in_order_and_one_failure_leaves_the_others(standins: Path) -> None:
    program(standins / "ssh", "echo 'ssh: connect to host gpu1 port 22: Connection refused' >&2; exit 255")
    done: list[str] = []
    answers = gather([host("gpu1", GPU1), host("here", LOCAL)], on_done=done.append)
    assert list(answers) == ["gpu1", "here"]
    assert sorted(done) == ["gpu1", "here"]
    assert isinstance(answers["gpu1"], UnreachableError)
    assert isinstance(answers["here"], HostFacts)


@pytest.mark.usefixtures("sudo_log")
def test_the_probe_survives_the_login_shell_and_the_password_stays_out_of_sight(standins: Path, tmp_path: Path) -> None:
    program(standins / "ssh", f'echo "$@" >{tmp_path}/arguments; while [ $# -gt 1 ]; do shift; done; exec sh -c "$1"')
    connection = Connection("ssh", "gpu1", become=True, become_password=SecretStr("open sesame"))
    answer = gather([Host("gpu1", (), connection, HostSettings(ollama_models_dir="/srv/models"))])["gpu1"]
    assert isinstance(answer, HostFacts)
    arguments = (tmp_path / "arguments").read_text(encoding="utf-8")
    assert " /srv/models /opt/inhouse " in arguments
    assert "sesame" not in arguments


@pytest.mark.parametrize(
    ("login_shell", "kind", "text"),
    [
        (
            "echo 'ssh: the moon is full.' >&2; exit 255",
            UnreachableError,
            "ssh failed: ssh: the moon is full. Run: ssh ",
        ),
        ("echo 'This account is currently not available.'; exit 1", FactsError, "'This account is currently not"),
        ("echo @inhouse-probe 1; echo @system; exit 255", FactsError, "stops in section 'system'"),
    ],
)
def test_what_ssh_leaves_behind(standins: Path, login_shell: str, kind: type[Exception], text: str) -> None:
    program(standins / "ssh", login_shell)
    answer = gather([host("gpu1", GPU1)])["gpu1"]
    assert type(answer) is kind
    assert text in str(answer)


# A stand-in for sudo: its options, its password from standard input byte by byte, three attempts, its texts.
SUDO = """
echo "sudo $*" >>"$LOG"
ask=yes
while :; do case $1 in -n) ask=no ;; -k | -S) ;; -p) shift ;; *) break ;; esac; shift; done
[ -z "${PASSWORD:-}" ] && exec "$@"
[ $ask = no ] && { echo 'sudo: a password is required' >&2; exit 1; }
for attempt in 1 2 3; do
    IFS= read -r line || { echo 'sudo: no password was provided' >&2; break; }
    [ "$line" = "$PASSWORD" ] && exec "$@"
    echo "attempt: $line" >>"$LOG"
done
echo "sudo: $attempt incorrect password attempts" >&2
exit 1
"""


def test_sudo_gets_its_password_and_nobody_else_does(sudo_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "open sesame")
    answer = gather([host("here", with_password("open sesame"))])["here"]
    assert isinstance(answer, HostFacts)
    assert "sh -s --" in sudo_log.read_text(encoding="utf-8")
    assert "sesame" not in sudo_log.read_text(encoding="utf-8")


@pytest.mark.usefixtures("sudo_log")
def test_a_password_that_sudo_does_not_want_is_not_run_as_a_command(tmp_path: Path) -> None:
    answer = gather([host("here", with_password(f"touch {tmp_path}/ran"))])["here"]
    assert isinstance(answer, HostFacts)
    assert not (tmp_path / "ran").exists()


def test_a_wrong_password_costs_one_attempt(sudo_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "open sesame")
    answer = gather([host("here", with_password("wrong"))])["here"]
    assert isinstance(answer, UnreachableError)
    assert "sudo refused the password" in str(answer)
    assert "wrong" not in str(answer)
    assert sudo_log.read_text(encoding="utf-8").count("attempt: ") == 1


def test_a_sudo_that_wants_a_password_nobody_set_is_named(sudo_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "open sesame")
    answer = gather([host("here", Connection("local", "localhost", user="ada", become=True))])["here"]
    assert "sudo needs a password of ada. Set ansible_become_password" in str(answer)
    assert "attempt: " not in sudo_log.read_text(encoding="utf-8")


@pytest.fixture
def standins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that are found before the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def sudo_log(standins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in for sudo was called with; whoever runs the tests, `id -u` says that it is not root."""
    program(standins / "sudo", SUDO)
    program(standins / "id", "echo 1000")
    monkeypatch.setenv("LOG", str(tmp_path / "sudo.log"))
    return tmp_path / "sudo.log"


def program(path: Path, body: str) -> None:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def with_password(password: str) -> Connection:
    """Return this machine, with a password for sudo."""
    return Connection("local", "localhost", become=True, become_password=SecretStr(password))


def host(name: str, connection: Connection) -> Host:
    """Return a host with every setting at its default."""
    return Host(name, (), connection, HostSettings())
