"""The whole way with bad input: `inhouse up` as a person calls it, many hosts at once, each with another thing wrong.

One story, in the order of the file. Bare hosts are broken in two rounds; the good one among them serves all the time,
the broken ones stay as they were, and in the end all are mended and serve. Open-WebUI is left out: its own tests have
it. Files before and after this one do not matter to it, and it leaves hosts that serve.
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
from pathlib import Path

import pytest
import yaml

from inhouse import layout
from inhouse.init import init
from inhouse.lab import controller, mirror_host
from inhouse.lab import hosts as lab_hosts
from inhouse.lab import lab as labs
from inhouse.lab.trust import CA_FOLDER
from tests.lab.conftest import LabHandle

pytestmark = [pytest.mark.lab, pytest.mark.pretence]

GOOD = "cpu-small"
BROKEN = ("rtx-4090", "dual-a100-80g", "old-driver", "broken-driver", "software-gpu")
MODEL, SECOND_MODEL, THIRD_MODEL = "smollm2:135m", "all-minilm", "qwen3:0.6b"
COMMAND = Path(sys.executable).with_name("inhouse")
YEAR_S = 365 * 24 * 3600
REFUSED_S = 60
"""Nothing is deployed in such a run; asking six hosts takes some 3 s."""


@dataclass(frozen=True)
class Said:
    """What a run of the command left."""

    code: int
    output: str
    seconds: float

    def of(self, host: str) -> str:
        """What the last part, after the table, says of one host."""
        last = self.output[self.output.rindex("Host  ") :]
        names = "|".join((GOOD, *BROKEN))
        end = rf"^(?:{names}): |^\d+ of \d+ hosts serve"
        return "".join(re.findall(rf"^{host}: (.*?)(?={end})", last, re.MULTILINE | re.DOTALL))

    @property
    def last_line(self) -> str:
        """The sentence that says it all."""
        return self.output.rstrip().splitlines()[-1]


@dataclass(frozen=True)
class Site:
    """A person's inventory of the lab's hosts."""

    lab: LabHandle
    folder: Path

    def up(self, *arguments: str) -> Said:
        """Run `inhouse up --yes` in a process of its own, without a terminal."""
        began = time.monotonic()
        done = subprocess.run(
            [COMMAND, "up", self.folder, "--yes", *arguments],
            env=os.environ | {"COLUMNS": "2000"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        sys.stdout.write(done.stdout)  # pytest shows it when a test fails
        return Said(done.returncode, done.stdout, time.monotonic() - began)

    def set(self, host: str, **variables: object) -> None:
        """Have exactly these variables for the host."""
        file = self.folder / "host_vars" / host / "bad_input.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(variables))

    def run(self, host: str, command: str) -> str:
        """Run a shell command as root on the host, past SSH."""
        return self.lab.run(host, command)

    def is_bare(self, host: str) -> bool:
        """Whether inhouse left nothing at all on the host."""
        return self.run(host, f"ls -d {layout.ETC} {layout.OPT} 2>/dev/null || true") == ""


@pytest.fixture(scope="module")
def site(lab: LabHandle, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The lab's inventory, copied: six of its hosts, each with one small model."""
    folder = tmp_path_factory.mktemp("site") / "shop"
    shutil.copytree(lab.folder, folder, ignore=shutil.ignore_patterns(".inhouse", ".lab", "host_vars"))
    keep_hosts(folder, (GOOD, *BROKEN))
    # A short context: the smoke tests fill it, on processors that play GPUs.
    common = {"open_webui": False, "models": [MODEL], "context_length": 2048}
    (folder / "group_vars" / "all" / "shop.yml").write_text(yaml.safe_dump(common))
    return Site(lab, folder)


def keep_hosts(folder: Path, names: tuple[str, ...], **more: dict[str, object]) -> None:
    """Leave only some hosts in hosts.yml, and add others."""
    file = folder / "hosts.yml"
    hosts = yaml.safe_load(file.read_text())["all"]["hosts"]
    file.write_text(yaml.safe_dump({"all": {"hosts": {name: hosts[name] for name in names} | more}}))


def test_an_unknown_setting_stops_everything_before_any_host_is_asked(site: Site) -> None:
    site.set(GOOD, context_lenght=4096)
    said = site.up()
    site.set(GOOD)
    assert said.code == 1
    assert "bad_input.yml:1: context_lenght is not a setting. Did you mean context_length?" in said.output
    assert "Facts of hosts" not in said.output


def test_two_names_for_one_machine_stop_everything_before_any_host_is_asked(site: Site, tmp_path: Path) -> None:
    twice = Site(site.lab, tmp_path / "twice")
    shutil.copytree(site.folder, twice.folder)
    keep_hosts(twice.folder, (GOOD,), again={"ansible_host": site.lab.address(GOOD)})
    said = twice.up()
    assert said.code == 1
    assert re.search(rf"again and {GOOD} are one machine \({site.lab.address(GOOD)} port \d+\)\. Remove", said.output)
    assert "Facts of hosts" not in said.output


UNSUPPORTED, CLOCK, PORT, FOREIGN, SUDO = BROKEN


@pytest.fixture(scope="module")
def first_round(site: Site) -> Said:
    """`up` of bare hosts: four cannot take their plan, one does not let us become root. Then they are mended."""
    other_system = 'ID=fedora\nVERSION_ID=42\nPRETTY_NAME="Fedora Linux 42"\n'
    site.run(UNSUPPORTED, f"mv /etc/os-release /root/kept && cat >/etc/os-release <<'end'\n{other_system}end\n")
    # All hosts of the lab share the kernel's clock. A `date` that comes before the real one on root's path is what the
    # probe runs, as it would on a host whose clock is wrong.
    wrong = f'#!/bin/sh\nexec /usr/bin/date --date="@$(($(/usr/bin/date +%s) - {YEAR_S}))" "$@"\n'
    site.run(CLOCK, f"cat >/usr/local/bin/date <<'end'\n{wrong}end\nchmod 755 /usr/local/bin/date")
    site.run(PORT, "systemd-run --unit lab-taker python3 -m http.server 443")
    site.run(FOREIGN, FOREIGN_OLLAMA)
    key = "/home/admin/.ssh/authorized_keys"
    site.run(
        SUDO,
        "useradd --create-home --groups sudo careful && install -d -m 700 -o careful -g careful /home/careful/.ssh && "
        f"install -m 600 -o careful -g careful {key} /home/careful/.ssh/",
    )
    site.set(SUDO, ansible_user="careful")
    said = site.up()
    site.run(UNSUPPORTED, "mv -fT /root/kept /etc/os-release")
    site.run(CLOCK, "rm /usr/local/bin/date")
    site.run(PORT, "systemctl stop lab-taker")
    site.set(SUDO)
    return said


FOREIGN_OLLAMA = """
useradd -r -s /bin/false -U -m -d /usr/share/ollama ollama
printf '#!/bin/sh\\nexec sleep infinity\\n' >/usr/local/bin/ollama
chmod 755 /usr/local/bin/ollama
cat >/etc/systemd/system/ollama.service <<'end'
[Unit]
Description=Ollama, as its maker's script leaves it
After=network-online.target
[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Group=ollama
Restart=always
[Install]
WantedBy=default.target
end
systemctl daemon-reload
systemctl enable --now ollama
"""


def test_hosts_that_cannot_take_their_plan_stop_no_other_and_are_not_changed(site: Site, first_round: Said) -> None:
    assert first_round.code == 1
    assert first_round.last_line == "1 of 6 hosts serve as planned and passed every smoke test."
    assert site.run(GOOD, "systemctl is-active ollama caddy").split() == ["active", "active"]
    assert {host: site.is_bare(host) for host in BROKEN} == dict.fromkeys(BROKEN, True)
    assert site.run(FOREIGN, "systemctl is-active ollama").strip() == "active"


def test_an_unsupported_system(first_round: Said) -> None:
    said = first_round.of(UNSUPPORTED)
    assert "Fedora Linux 42 found; supported are Debian 12 or newer and Ubuntu 22.04 or newer. Reinstall" in said


def test_a_clock_that_is_wrong_by_a_year(first_round: Said) -> None:
    said = first_round.of(CLOCK)
    off = re.search(r"The host's clock is (\d+) s behind this machine's", said)
    assert off, said
    assert abs(int(off[1]) - YEAR_S) < 60
    assert "sudo timedatectl set-ntp true" in said


def test_port_443_taken_by_another_program(first_round: Said) -> None:
    said = first_round.of(PORT)
    assert "Port 443 is taken by python3. Stop it, or set https_port to a free port." in said
    assert "sudo ss -ltnp 'sport = :443'" in said


def test_an_ollama_that_its_makers_script_installed(first_round: Said) -> None:
    said = first_round.of(FOREIGN)
    assert "An Ollama that inhouse did not install is there (/etc/systemd/system/ollama.service)" in said
    assert "replace_existing_ollama: true" in said
    assert "sudo systemctl disable --now ollama" in said


def test_a_sudo_that_wants_a_password(first_round: Said) -> None:
    assert "sudo needs a password of careful. Set ansible_become_password" in first_round.of(SUDO)


UNREACHABLE, DISK, KEY, CHECKSUM, MIRROR = BROKEN


@pytest.fixture(scope="module")
def second_round(site: Site, first_round: Said, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """`up` again, the same hosts broken in other ways; another Ollama may be replaced now. Then mended."""
    client = controller.client()
    off = labs.container_of(client, site.lab.name, UNREACHABLE)
    off.kill()  # its power is gone
    site.run(DISK, f"mkdir {layout.OLLAMA_HOME} && mount -t tmpfs -o size=512m small {layout.OLLAMA_HOME}")
    key = tmp_path_factory.mktemp("keys") / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    # The lab's own ssh configuration names the right key as well, and ssh would try both.
    config = key.with_name("ssh_config")
    known = f"Host *\n  UserKnownHostsFile {site.lab.folder}/.lab/known_hosts\n"
    config.write_text(known)
    site.set(KEY, ansible_ssh_private_key_file=str(key), ansible_ssh_common_args=f"-F {config}")
    site.set(CHECKSUM, replace_existing_ollama=True, ollama_archive_sha256="b" * 64)
    site.set(MIRROR, ollama_mirror="https://127.0.0.1:1", ollama_archive_sha256="c" * 64)
    said = site.up()
    lab_hosts.start(off)
    site.run(DISK, f"umount {layout.OLLAMA_HOME} && rmdir {layout.OLLAMA_HOME}")
    site.set(KEY)
    site.set(CHECKSUM, replace_existing_ollama=True)
    site.set(MIRROR)
    return said


def test_the_host_that_serves_is_not_changed_by_a_run_in_which_all_others_fail(second_round: Said) -> None:
    assert second_round.code == 1
    assert second_round.last_line.startswith("1 of 6 hosts serve as planned and passed every smoke test.")


def test_a_host_that_is_switched_off(second_round: Said) -> None:
    said = second_round.of(UNREACHABLE)
    assert re.search(r"nothing listens on port \d+\. Start its SSH server|no answer from|no way from here", said), said


def test_a_disk_too_small_for_the_model(site: Site, second_round: Said) -> None:
    said = second_round.of(DISK)
    assert re.search(rf"The disk of {layout.OLLAMA_HOME}\S* has 512 MiB, \d+ MiB are needed", said), said
    assert "Set ollama_models_dir to a larger disk, or pin smaller models." in said


def test_a_wrong_ssh_key(site: Site, second_round: Said) -> None:
    said = second_round.of(KEY)
    assert "login as admin refused: the host does not accept" in said
    assert "ssh-copy-id" in said
    assert site.is_bare(KEY)


def test_a_wrong_checksum_replaces_nothing_not_even_an_ollama_of_others(site: Site, second_round: Said) -> None:
    said = second_round.of(CHECKSUM)
    assert "Wrong checksum" in said
    assert f"Expected: {'b' * 64}" in said
    assert site.run(CHECKSUM, f"ls -A {layout.OLLAMA_PREFIX}; ls {layout.STAGING}/*.zst 2>/dev/null || true") == ""
    assert site.run(CHECKSUM, "systemctl is-active ollama").strip() == "active"


def test_a_mirror_that_is_gone(site: Site, second_round: Said) -> None:
    said = second_round.of(MIRROR)
    assert "https://127.0.0.1:1/" in said
    assert "cannot be fetched" in said
    assert "Run again to go on from there" in said
    assert site.run(MIRROR, f"ls -A {layout.OLLAMA_PREFIX}") == ""


RELEASE_FAULTS = {
    "503": ("503", "is refused. Needed: a release archive at that address"),
    "corrupt": ("Wrong checksum: the file from https://", "do not trust this mirror"),
    "cut": ("cannot be fetched;", "Run again to go on from there"),
}
MODEL_FAULTS = {
    "503": (f"{SECOND_MODEL}: not pulled: max retries", "curl -sSI https://registry", "Run again to go on from there"),
    "corrupt": (f"{SECOND_MODEL}: not pulled:", "digest mismatch", "Run again"),
}


@pytest.fixture
def misbehaving(lab: LabHandle, request: pytest.FixtureRequest) -> Iterator[str]:
    """The registry and the mirror with a fault."""
    fault: str = request.param
    lab.fault("registry", fault)
    yield fault
    lab.fault("registry", "none")


@contextmanager
def registry_told(lab: LabHandle, fault: str, **how: int) -> Iterator[None]:
    """The registry with a fault that has numbers to it."""
    mirror = labs.mirror_of(controller.client(), lab.name)
    lab_hosts.run(mirror, f"echo '{json.dumps({'fault': fault, **how})}' >{mirror_host.FAULT_FILE}")
    try:
        yield
    finally:
        lab.fault("registry", "none")


@pytest.mark.parametrize("misbehaving", RELEASE_FAULTS, indirect=True)
def test_a_mirror_that_fails_half_way(site: Site, second_round: Said, misbehaving: str) -> None:
    said = site.up("--limit", MIRROR)
    assert said.code == 1
    for text in RELEASE_FAULTS[misbehaving]:
        assert text in said.of(MIRROR)
    assert said.seconds < 2 * REFUSED_S


def test_mended_hosts_are_brought_to_green_by_the_next_run(site: Site, second_round: Said) -> None:
    # The last one alone: a processor that plays a GPU needs all of this machine.
    said = site.up("--batch", str(len(BROKEN)))
    assert said.code == 0, said.output
    assert said.last_line == "6 of 6 hosts serve as planned and passed every smoke test."
    assert "ExecStart=/usr/local/bin/ollama serve" in site.run(FOREIGN, f"cat {layout.ETC}/replaced/ollama.service")


def test_another_inventory_with_the_same_host_is_refused(site: Site, second_round: Said, tmp_path: Path) -> None:
    other = Site(site.lab, tmp_path / "other")
    secrets = shutil.ignore_patterns(".inhouse", ".vault-password", "secrets.yml", "fleet-ca.crt")
    shutil.copytree(site.folder, other.folder, ignore=secrets)
    init(other.folder)
    before = site.run(GOOD, f"cat {layout.FLEET_MARKER}")
    said = other.up("--limit", GOOD)
    assert said.code == 1
    assert "Another fleet manages this host" in said.of(GOOD)
    assert f"sudo rm {layout.FLEET_MARKER}" in said.of(GOOD)
    assert site.run(GOOD, f"cat {layout.FLEET_MARKER}") == before


@pytest.mark.parametrize("misbehaving", MODEL_FAULTS, indirect=True)
def test_a_registry_that_fails_half_way(site: Site, second_round: Said, misbehaving: str) -> None:
    site.set(GOOD, models=[MODEL, SECOND_MODEL])
    said = site.up("--limit", GOOD)
    assert said.code == 1
    for text in MODEL_FAULTS[misbehaving]:
        assert text in said.of(GOOD)
    assert said.seconds < 2 * REFUSED_S


def test_a_registry_behind_a_proxy_whose_ca_is_unknown(site: Site, second_round: Said) -> None:
    """Without the lab's CA a host sees what it sees of every proxy that looks into TLS."""
    ca = CA_FOLDER / "inhouse-lab.crt"
    trust = "update-ca-certificates --fresh >/dev/null && systemctl restart ollama"
    site.run(GOOD, f"mv {ca} /root/kept.crt && {trust}")
    said = site.up("--limit", GOOD)
    site.run(GOOD, f"mv /root/kept.crt {ca} && {trust}")
    assert said.code == 1
    assert "The registry's certificate is signed by a CA this host does not know" in said.of(GOOD)
    assert "update-ca-certificates && systemctl restart ollama" in said.of(GOOD)


def test_a_registry_that_cuts_is_asked_again_until_all_is_here(site: Site, second_round: Said) -> None:
    """Also finishes what the runs before left half done."""
    with registry_told(site.lab, "cut", bytes=20_000_000):
        said = site.up("--limit", GOOD)
    assert said.code == 0, said.output
    assert SECOND_MODEL in site.run(GOOD, "curl -s http://127.0.0.1:11434/api/tags")


def test_ctrl_c_in_the_middle_of_a_pull(site: Site, second_round: Said) -> None:
    site.set(GOOD, models=[MODEL, SECOND_MODEL, THIRD_MODEL])
    # Slow enough to be interrupted in the middle.
    with registry_told(site.lab, "none", bytes_per_second=4_000_000):
        code, rest, seconds = interrupted_up(site)
    assert code == 130, rest
    assert seconds < 30
    assert "Interrupted. Nothing is lost: run the same command again, it goes on where it stopped." in rest
    assert "-partial" in site.run(GOOD, f"ls {layout.OLLAMA_HOME}/models/blobs")


def interrupted_up(site: Site) -> tuple[int, str, float]:
    """Interrupt `up` in the middle of a pull; return its status, what it said after that, and how long that took."""
    with subprocess.Popen(
        [COMMAND, "up", site.folder, "--yes", "--limit", GOOD],
        env=os.environ | {"COLUMNS": "2000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # what a terminal's Ctrl-C reaches
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.search(rf"{THIRD_MODEL}: \d+ %", line):
                break
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        rest = process.communicate(timeout=REFUSED_S)[0]
    return process.returncode, rest, time.monotonic() - began


def test_the_interrupted_pull_is_finished_by_the_next_run(site: Site, second_round: Said) -> None:
    said = site.up("--limit", GOOD)
    assert said.code == 0, said.output
    assert "-partial" not in site.run(GOOD, f"ls {layout.OLLAMA_HOME}/models/blobs")
    assert site.up("--limit", GOOD).last_line.endswith("Nothing had to be changed.")
