"""Many hosts side by side, in processes that may hang, crash or be refused: every host has a result."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import SecretStr

from inhouse import tls
from inhouse.errors import VerifyError
from inhouse.inventory import Connection, Host, Inventory
from inhouse.results import SmokeResult, SmokeTest
from inhouse.secret_settings import Secrets
from inhouse.settings import HostSettings
from inhouse.smoke.backend import _hostspec, connect
from inhouse.smoke.bounds import host_bound_s
from inhouse.smoke.run import Crew, keep_results, run, subject_of, write_junit
from tests.samples import CHAT, a_plan

SECRET = "sesame-sesame-sesame"
CLOSED_PORT = 9
"""Nothing listens at `discard` on loopback: a connection is refused at once."""

LOGIN = "The host lets the controller in"
TLS = "The proxy's certificate is this fleet's, names the host and is good for 14 days more"


@pytest.fixture(scope="module")
def ca() -> tuple[str, str]:
    """A fleet CA: certificate and key."""
    return tls.make_ca("Fleet of the test")


@pytest.fixture
def inventory(tmp_path: Path, ca: tuple[str, str]) -> Inventory:
    """Two hosts that nobody can reach."""
    connection = Connection("ssh", "127.0.0.1", port=CLOSED_PORT, become=True, become_password=SecretStr(SECRET))
    hosts = tuple(Host(name, (), connection, HostSettings()) for name in ("a", "b"))
    secret = SecretStr(SECRET)
    secrets = Secrets(
        open_webui_admin_password=secret, open_webui_secret_key=secret, api_token=secret, fleet_ca_key=SecretStr(ca[1])
    )
    inventory = Inventory(tmp_path, hosts, secrets)
    inventory.ca_certificate.parent.mkdir(parents=True, exist_ok=True)
    inventory.ca_certificate.write_text(ca[0])
    return inventory


def a_child(body: str) -> Crew:
    """A crew whose child runs `body`, with `say` to tell an event and `subject` as it was told."""
    start = (
        "import json, sys, time\nsubject = json.load(sys.stdin)\nsay = lambda **e: print(json.dumps(e), flush=True)\n"
    )
    return Crew([sys.executable, "-c", start + body])


def test_a_host_that_cannot_be_reached_fails_and_is_named_and_kept(inventory: Inventory) -> None:
    tests: list[tuple[str, SmokeTest]] = []
    plan = a_plan("a", address="127.0.0.1", https_port=CLOSED_PORT)
    results = run(inventory, [plan], on_test=lambda host, test: tests.append((host, test)))
    failed = {test.name: test.message for test in results["a"].tests if test.outcome == "failed"}
    assert set(failed) == {LOGIN, TLS}
    assert "port 9: Connection refused" in failed[LOGIN]
    assert "Connection refused" in failed[TLS]
    assert tests == [("a", test) for test in results["a"].tests]
    kept = json.loads((inventory.state_dir / "results.json").read_text())
    assert SmokeResult.model_validate(kept["a"]["result"]) == results["a"]
    assert SECRET not in (inventory.state_dir / "results.json").read_text()


def test_hosts_are_tested_side_by_side_and_told_as_they_come(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = "say(end={'tokens_per_second': {}, 'memory_used_mib': {}})"
    slow_first = f"time.sleep(0.6 if subject['plan']['host'] == 'a' else 0)\n{end}"
    monkeypatch.setattr("inhouse.smoke.run.Crew", lambda: a_child(slow_first))
    done: list[str] = []
    results = run(inventory, [a_plan("a"), a_plan("b")], lambda result: done.append(result.host))
    assert list(results) == ["a", "b"]
    assert done == ["b", "a"]


def test_a_host_that_hangs_is_stopped_and_the_test_it_hung_at_is_named(inventory: Inventory) -> None:
    passed = {"name": "It is there", "outcome": "passed", "seconds": 0.1}
    crew = a_child(f"say(test={passed})\nsay(begin='It answers')\ntime.sleep(60)")
    result = crew.test(subject_of(inventory, a_plan("a")), None, bound_s=0.5)
    assert [test.outcome for test in result.tests] == ["passed", "failed"]
    assert "stopped after 0 s, at: It answers" in result.tests[-1].message
    assert not result.ok


def test_a_crash_is_a_failure_that_keeps_secrets(inventory: Inventory) -> None:
    crew = a_child("sys.exit('lost ' + subject['api_token'])")
    result = crew.test(subject_of(inventory, a_plan("a")), None)
    assert "process ended early (lost •••)" in result.tests[0].message
    assert result.tests[0].outcome == "failed"


def test_measurements_come_back(inventory: Inventory) -> None:
    end = {"tokens_per_second": {"qwen3:8b": 81.5}, "memory_used_mib": {"qwen3:8b": 6100}}
    result = a_child(f"say(end={end})").test(subject_of(inventory, a_plan("a", note="spare")), None)
    assert (result.tokens_per_second, result.memory_used_mib, result.note) == (*end.values(), "spare")


def test_secrets_reach_the_child_by_pipe_only(inventory: Inventory) -> None:
    body = "text = open('/proc/self/cmdline').read() + open('/proc/self/environ').read()\n"
    body += "say(begin=str((subject['become_password'], subject['admin_password'], subject['api_token'] in text)))\n"
    result = a_child(body).test(subject_of(inventory, a_plan("a")), None)
    assert "at: ('•••', '•••', False)" in result.tests[0].message.replace(SECRET, "•••")


def test_without_secrets_or_with_a_stranger_nothing_is_run(inventory: Inventory) -> None:
    with pytest.raises(VerifyError, match="inhouse init"):
        run(replace(inventory, secrets=None), [a_plan("a")])
    with pytest.raises(VerifyError, match="A plan describes c"):
        run(inventory, [a_plan("c")])


def test_results_of_other_hosts_stay(inventory: Inventory) -> None:
    one = SmokeResult(host="a", tests=(), tokens_per_second={}, memory_used_mib={})
    keep_results(inventory, {"a": one}, datetime(2026, 1, 2, tzinfo=UTC))
    file = keep_results(inventory, {"b": one.model_copy(update={"host": "b"})})
    kept = json.loads(file.read_text())
    assert list(kept) == ["a", "b"]
    assert kept["a"]["date"] == "2026-01-02T00:00:00+00:00"


def test_junit_counts_and_explains(tmp_path: Path) -> None:
    tests = [
        SmokeTest(name="It is there", outcome="passed", seconds=0.5),
        SmokeTest(name="It answers", outcome="failed", seconds=1.0, message="Found: <nothing>"),
        SmokeTest(name="It is fast", outcome="skipped", seconds=0.0, message="Not tried"),
    ]
    result = SmokeResult(host="a", tests=tuple(tests), tokens_per_second={}, memory_used_mib={})
    write_junit({"a": result}, tmp_path / "reports" / "junit.xml")
    suite = ElementTree.parse(tmp_path / "reports" / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = suite.find("testcase[@name='It answers']/failure")
    assert failure is not None
    assert failure.get("message") == "Found: <nothing>"


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (Connection("ssh", "gpu1"), "gpu1"),
        (Connection("ssh", "fd00::1", user="root", port=2222), "root@[fd00::1]:2222"),
        (Connection("ssh", "gpu1", user="a@b"), "a%40b@gpu1"),
    ],
)
def test_ssh_addresses(inventory: Inventory, connection: Connection, expected: str) -> None:
    subject = subject_of(inventory, a_plan("a")).model_copy(update={"connection": connection})
    assert _hostspec(subject) == expected


def test_the_inventorys_key_is_the_only_one_tried_and_is_in_the_command_a_person_gets(
    inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "ssh-arguments"
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\necho "$*" >>{said}\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    connection = Connection("ssh", "192.0.2.7", port=2222, user="ops", private_key_file="/keys/fleet")
    subject = subject_of(inventory, a_plan("a")).model_copy(update={"connection": connection})
    with connect(subject) as host:
        host.run("true")
    arguments = said.read_text().splitlines()[0]
    assert "-o IdentitiesOnly=yes" in arguments
    assert "-i /keys/fleet" in arguments
    login = "ssh -o IdentitiesOnly=yes -i /keys/fleet -p 2222 ops@192.0.2.7"
    assert subject.on_host("id -u") == f"{login} id -u"
    sudo = subject.model_copy(update={"connection": replace(connection, become=True)})
    assert sudo.on_host("id -u") == f"{login} sudo id -u"


def test_a_large_model_has_time_to_load() -> None:
    large = replace(CHAT, weights_mib=65_000)
    assert host_bound_s(a_plan(models=(large,))) - host_bound_s(a_plan(models=(CHAT,))) > 1000
