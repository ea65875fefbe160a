"""Roles on real hosts: `inhouse up` runs those that are due, and a playbook alone does it all; here container_engine.

One story, in the order of the file, on the two hosts for tests that begin with a bare host; they serve at its end, and
have Docker.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from inhouse import ansible_run, paths, vault
from inhouse.console import Progress
from inhouse.errors import LabError
from inhouse.inventory import load
from inhouse.survey import survey
from inhouse.up import apply
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

FIRST, SECOND = "bookworm", "trixie"
"""Debian 12 and 13."""
BIN = Path(sys.executable).parent
LOCK = "/var/lib/dpkg/lock-frontend"


@dataclass(frozen=True)
class Site:
    """An inventory of two hosts that are to have Docker."""

    lab: LabHandle
    folder: Path

    def start(self, *command: str | Path) -> "subprocess.Popen[str]":
        """Start a program of our environment, without a terminal."""
        password = {vault.PASSWORD_VARIABLE: str(self.folder / vault.PASSWORD_FILE)}
        return subprocess.Popen(
            [BIN / command[0], *command[1:]],
            env=os.environ | password | {"COLUMNS": "2000", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def inhouse(self, command: str, *arguments: str) -> tuple[int, str]:
        """Run a command on the inventory; return its exit status and all it said."""
        return self._finished(self.start("inhouse", command, self.folder, *arguments))

    def ansible(self, *arguments: str) -> tuple[int, str]:
        """Run the site's playbook as a person does who knows Ansible only."""
        playbook = paths.roles_folder() / "site.yml"
        return self._finished(self.start("ansible-playbook", "-i", self.folder, playbook, *arguments))

    def set(self, host: str, **variables: object) -> None:
        """Have exactly these variables for the host."""
        file = self.folder / "host_vars" / host / "machine_layer.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(variables))

    def has_docker(self, host: str) -> bool:
        """Whether the engine is installed and answers."""
        try:
            return self.lab.run(host, "docker version --format '{{.Server.Version}}'").strip() != ""
        except LabError:
            return False

    @contextmanager
    def locked(self, host: str) -> Iterator[None]:
        """Another program holds apt's lock."""
        hold = f"import fcntl, signal; file = open('{LOCK}', 'w'); fcntl.lockf(file, fcntl.LOCK_EX); signal.pause()"
        self.lab.run(host, f'systemd-run --unit lab-lock python3 -c "{hold}"')
        refused = "apt-get -qq -o DPkg::Lock::Timeout=0 check 2>&1 | grep -q 'Could not get lock'"
        self.lab.run(host, f'timeout 60 sh -c "until {refused}; do sleep 0.2; done"')
        try:
            yield
        finally:
            self.lab.run(host, "systemctl stop lab-lock")

    @staticmethod
    def _finished(process: "subprocess.Popen[str]") -> tuple[int, str]:
        output, _ = process.communicate(timeout=900)
        sys.stdout.write(output)  # pytest shows it when a test fails
        return process.returncode, output


def recap(output: str) -> dict[str, dict[str, int]]:
    """What Ansible counts at its end, by host."""
    lines = re.findall(r"^(\S+) +: (ok=.*)$", output, re.MULTILINE)
    return {host: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}


@pytest.fixture(scope="module")
def site(lab: LabHandle, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("machine-layer") / "site"
    shutil.copytree(lab.folder, folder, ignore=shutil.ignore_patterns(".inhouse", ".lab", "host_vars"))
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())["all"]["hosts"]
    (folder / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": {name: hosts[name] for name in (FIRST, SECOND)}}})
    )
    # NVIDIA's repository cannot be reached: containers get no GPU here. A short context: the smoke tests fill it.
    common = {"container_engine": True, "container_engine_gpu": False, "open_webui": False}
    small = {"models": ["smollm2:135m"], "context_length": 2048, "container_engine_apt_lock_timeout": 5}
    (folder / "group_vars" / "all" / "site.yml").write_text(yaml.safe_dump(common | small))
    # A lab host's /proc/sys is read-only, where Docker 26 would switch IPv6 off.
    drop_in, setting = "/etc/systemd/system/docker.service.d", "Environment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1"
    lab.run(SECOND, f"mkdir -p {drop_in} && printf '[Service]\\n{setting}\\n' >{drop_in}/lab.conf")
    return Site(lab, folder)


def test_the_plan_shows_what_a_role_would_change_and_changes_nothing(site: Site) -> None:
    code, said = site.inhouse("plan", "--limit", FIRST)
    assert code == 2
    assert "  ~ container_engine: Would be installed: docker.io\n" in said
    assert not site.has_docker(FIRST)


def test_up_runs_roles_and_one_that_fails_names_the_cause_and_leaves_the_other_host_serving(site: Site) -> None:
    with site.locked(SECOND):
        code, said = site.inhouse("up", "--yes")
    assert code == 1
    assert f"Roles: {FIRST} (container_engine), {SECOND} (container_engine)" in said
    assert f"  {FIRST}: Packages are installed … changed\n" in said
    assert f"{SECOND}: packages cannot be installed. apt says: E: Could not get lock {LOCK}." in said
    assert "(python3)" in said
    assert "1 of 2 hosts serve as planned and passed every smoke test." in said
    assert site.has_docker(FIRST)
    assert not site.has_docker(SECOND)
    assert [file.name for file in (site.folder / ".inhouse").iterdir() if file.is_dir()] == []


def test_ctrl_c_ends_ansible_and_leaves_nothing_behind(site: Site) -> None:
    site.set(SECOND, container_engine_apt_lock_timeout=600)
    with site.locked(SECOND):
        process = site.start("inhouse", "up", site.folder, "--yes", "--limit", SECOND)
        assert process.stdout is not None
        waits = "container_engine: Lock of apt is free, and its database whole\n"
        said = list(takewhile(lambda line: line != waits, process.stdout))
        assert process.poll() is None, "".join(said)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"{SECOND}: Interrupted. What was finished is kept" in output
    assert time.monotonic() - began < 60
    assert str(site.folder) not in subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    assert [file.name for file in (site.folder / ".inhouse").iterdir() if file.is_dir()] == []
    site.set(SECOND)


def test_a_run_without_changes_starts_no_ansible(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("Ansible is started")

    monkeypatch.setattr(ansible_run, "init_runner", start)
    quiet = Progress(Console(quiet=True))
    outcome = apply(survey(load(site.folder).limited_to([FIRST]), quiet), quiet)
    assert outcome.ok, outcome.why(FIRST)
    assert not outcome.changed


def test_the_playbook_alone_yields_the_whole_result(site: Site) -> None:
    code, said = site.ansible()
    assert code == 0
    counts = recap(said)
    assert counts[FIRST]["changed"] == 0
    assert counts[SECOND]["changed"] > 2
    assert "smollm2:135m at https://trixie/" in said
    assert site.has_docker(SECOND)
    assert "smollm2:135m" in site.lab.run(SECOND, "curl -s http://127.0.0.1:11434/api/tags")


def test_a_second_run_of_the_playbook_changes_nothing(site: Site) -> None:
    code, said = site.ansible()
    assert code == 0
    assert {host: counts["changed"] for host, counts in recap(said).items()} == {FIRST: 0, SECOND: 0}
    assert said.count("Nothing had to be changed") == 2


def test_in_check_mode_the_playbook_shows_the_plan(site: Site) -> None:
    site.set(SECOND, keep_alive="20m")
    code, said = site.ansible("--check", "--diff")
    assert code == 0
    assert {host: counts["changed"] for host, counts in recap(said).items()} == {FIRST: 0, SECOND: 1}
    assert "Nothing would be changed" in said
    assert "~ Ollama's settings are in place" in said
    site.set(SECOND)


def test_a_host_that_fails_in_inhouse_fails_in_ansible_alone(site: Site) -> None:
    site.lab.run(FIRST, "systemd-run --unit lab-taker python3 -m http.server 8443")
    site.set(FIRST, https_port=8443)
    code, said = site.ansible("--tags", "services")
    site.lab.run(FIRST, "systemctl stop lab-taker")
    site.set(FIRST)
    assert code == 2
    counts = recap(said)
    assert (counts[FIRST]["failed"], counts[SECOND]["failed"]) == (1, 0)
    assert "8443" in re.findall(rf'"msg": "{FIRST}: (.*)"', said)[-1]


def test_results_for_programs_are_json_and_nothing_else(site: Site) -> None:
    process = subprocess.run(
        [BIN / "inhouse", "up", site.folder, "--json", "--limit", SECOND],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    host = json.loads(process.stdout)["hosts"][SECOND]
    assert (host["ok"], host["why"], host["changes"]) == (True, "", [])
    assert host["tests_passed"] > 0
