"""Plans as a whole: what forbids them, what stands in them, and the reviewed plans of the lab's hosts."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from inhouse.errors import FactsError
from inhouse.facts.model import Disk, HostFacts, ListeningPort, OperatingSystem
from inhouse.facts.parse import parse as parse_probe
from inhouse.lab import profiles
from inhouse.planner.choose import make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.planner.show import plan_view
from tests.hosts_to_plan import host, lab_facts

GOLDEN = Path(__file__).parent / "plans"
RECORDINGS = Path(__file__).parent / "facts"
PROFILES = (
    *profiles.names(),
    # Real machines, on which roles work.
    *("rtx-4090-bare", "p40-bare", "old-driver-machine", "broken-driver-machine", "rtx-4090-passthrough"),
)
OURS = {"ollama": "0.34.4", "open_webui": "0.12.4", "caddy": "2.6.2"}


def facts(**changes: Any) -> HostFacts:
    return replace(parse("rtx-4090, ram 64, disk 500"), **changes)


def installed(**changes: Any) -> HostFacts:
    base = facts()
    return replace(base, installed=replace(base.installed, **changes))


def problems(found: HostFacts, fleet: str | None = None, **settings: Any) -> tuple[str, ...]:
    return make_plan(host(**settings), found, fleet).problems


def system(id_: str, version: str, architecture: str = "x86_64") -> OperatingSystem:
    return OperatingSystem(id_, version, f"{id_} {version}", "6.1", architecture)


def golden(profile: str) -> Plan:
    return make_plan(host(), lab_facts(profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_plans_of_the_labs_hosts_are_as_reviewed(profile: str) -> None:
    expected = yaml.safe_load((GOLDEN / f"{profile}.yml").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(asdict(golden(profile)))) == expected, (
        "reviewed and right? Run: python -m tests.test_plan"
    )


@pytest.mark.parametrize("name", sorted(f.stem for f in RECORDINGS.glob("*.txt")))
def test_every_recorded_host_gets_a_plan_or_a_reason(name: str) -> None:
    try:
        found = parse_probe(name, (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8"), 1795620082.0)
    except FactsError:
        assert name.startswith("error-")
        return
    plan = make_plan(host(), found)
    assert plan.models or plan.problems
    assert plan.reasons


@pytest.mark.parametrize(
    ("os_", "fine"),
    [
        (system("debian", "12"), True),
        (system("debian", "13"), True),
        (system("ubuntu", "22.04"), True),
        (system("ubuntu", "26.04"), True),
        (system("debian", "11"), False),
        (system("debian", ""), False),
        (system("ubuntu", "20.04"), False),
        (system("alpine", "3.20"), False),
    ],
)
def test_supported_systems(os_: OperatingSystem, fine: bool) -> None:
    found = [p for p in problems(facts(os=os_)) if "supported are Debian 12" in p]
    assert (found == []) is fine


def test_no_systemd() -> None:
    assert any("systemd is not the first process" in p for p in problems(facts(systemd=False)))


@pytest.mark.parametrize(("offset", "fine"), [(0.0, True), (299.0, True), (-301.0, False), (31_536_000.0, False)])
def test_clock(offset: float, fine: bool) -> None:
    found = [p for p in problems(facts(clock_offset_s=offset)) if "timedatectl" in p]
    assert (found == []) is fine


def test_architecture_without_a_release() -> None:
    (problem,) = problems(facts(os=system("debian", "12", "riscv64")))
    assert "riscv64" in problem
    plan = make_plan(host(), facts(os=system("debian", "12", "aarch64")))
    assert plan.ollama_archive_url.endswith("/v0.34.4/ollama-linux-arm64.tar.zst")
    assert plan.ollama_archive_sha256.startswith("96f50a11")


def test_a_release_nobody_knows_the_sum_of() -> None:
    (problem,) = problems(facts(), ollama_version="0.99.0")
    assert "No SHA-256 is known for Ollama 0.99.0" in problem
    assert problems(facts(), ollama_version="0.99.0", ollama_archive_sha256="b" * 64) == ()


@pytest.mark.parametrize(("release", "says"), [("0.17.0", "too old to be safe"), ("0.32.14", "must not be deployed")])
def test_releases_that_must_not_be(release: str, says: str) -> None:
    assert any(says in p for p in problems(facts(), ollama_version=release, ollama_archive_sha256="b" * 64))


def test_another_fleet() -> None:
    managed = facts(fleet="aa" * 32)
    assert problems(managed, "aa" * 32) == ()
    assert problems(managed) == ()
    (problem,) = problems(managed, "bb" * 32)
    assert "sudo rm /etc/inhouse/fleet" in problem


def test_a_foreign_ollama() -> None:
    found = installed(foreign_ollama="/usr/local/bin/ollama")
    (problem,) = problems(found)
    assert "/usr/local/bin/ollama" in problem
    assert "replace_existing_ollama: true" in problem
    assert problems(found, replace_existing_ollama=True) == ()
    serving = replace(found, listening=(ListeningPort("127.0.0.1", 11434, "ollama"),))
    assert problems(serving, replace_existing_ollama=True) == ()


@pytest.mark.parametrize(
    ("address", "port", "process", "fine"),
    [
        ("0.0.0.0", 443, "nginx", False),
        ("127.0.0.1", 80, "apache2", False),
        ("::", 80, "caddy", False),
        ("127.0.0.1", 11434, "ollama", False),
        ("0.0.0.0", 11434, "python3", False),
        ("::1", 8080, "java", False),
        ("192.0.2.7", 8080, "java", True),
        ("0.0.0.0", 22, "sshd", True),
        ("127.0.0.1", 443, None, False),
    ],
)
def test_ports_of_a_bare_host(address: str, port: int, process: str | None, fine: bool) -> None:
    found = problems(facts(listening=(ListeningPort(address, port, process),)))
    assert (found == ()) is fine
    if not fine:
        assert f"Port {port} is taken by {process or 'a program that does not show its name'}" in found[0]


@pytest.mark.parametrize(
    ("port", "process", "fine"),
    [
        (443, "caddy", True),
        (80, None, True),
        (11434, "ollama", True),
        (8080, "python3.11", True),
        (443, "nginx", False),
    ],
)
def test_our_own_services_are_not_in_the_way(port: int, process: str | None, fine: bool) -> None:
    ours = replace(installed(**OURS), fleet="aa" * 32, listening=(ListeningPort("0.0.0.0", port, process),))
    assert (problems(ours, "aa" * 32) == ()) is fine


def test_a_port_that_was_moved_away_is_free() -> None:
    taken = facts(listening=(ListeningPort("0.0.0.0", 443, "nginx"),))
    assert problems(taken, https_port=8443) == ()
    assert make_plan(host(https_port=8443), taken).url == "https://gpu1:8443/"


def test_a_full_disk_forbids_the_first_run_and_not_the_second() -> None:
    full = Disk("/var/lib/ollama/models", 500_000, 5_000)
    (problem,) = problems(facts(models_disk=full))
    assert "has 5000 MiB free" in problem
    assert problems(replace(installed(**OURS), models_disk=full)) == ()


def test_a_small_disk_gets_small_models() -> None:
    small = Disk("/", 20_000, 20_000)
    plan = make_plan(host(), facts(models_disk=small))
    assert plan.problems == ()
    assert sum(m.download_mib for m in plan.models) < 12_000


def test_pins_larger_than_the_disk() -> None:
    found = problems(facts(models_disk=Disk("/", 20_000, 20_000)), models=("qwen3.5:27b",))
    assert any("has 20000 MiB" in p and "ollama_models_dir" in p for p in found)


def test_open_webui_needs_a_python_it_accepts() -> None:
    newer = installed(python="3.13.5")
    left_out = make_plan(host(), newer)
    assert not left_out.open_webui
    assert left_out.problems == ()
    assert any(
        "Open-WebUI is left out: Open-WebUI needs Python 3.11 or newer below 3.13" in r for r in left_out.reasons
    )
    (problem,) = problems(newer, open_webui=True)
    assert "has 3.13.5" in problem
    assert make_plan(host(), installed(python=None)).open_webui
    assert not make_plan(host(), replace(installed(python=None), os=system("debian", "13"))).open_webui


def test_open_webui_is_left_out_where_memory_is_short() -> None:
    assert not make_plan(host(), parse("ram 3, cpu 4")).open_webui
    assert make_plan(host(open_webui=True), parse("ram 3, cpu 4")).open_webui
    refused = make_plan(host(open_webui=False), facts())
    assert not refused.open_webui
    assert refused.open_webui_default_model is None


def test_names_in_the_certificate() -> None:
    plan = make_plan(host(server_aliases=("ai.example.org", "192.0.2.7")), facts())
    assert plan.certificate_names == ("gpu1", "ai.example.org", "192.0.2.7")
    assert plan.address == "192.0.2.7"


def test_warnings_do_not_forbid() -> None:
    plan = golden("old-driver")
    assert plan.problems == ()
    assert "NVIDIA driver 535.309.01 found for RTX 3090, 550 or newer is needed" in plan.warnings[0]
    assert plan.accelerator == "cpu"
    assert plan.ollama_without == ()


def shown(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(plan_view(plan), crop=False)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_a_plan_shows_models_reasons_warnings_and_problems() -> None:
    text = shown(golden("rtx-4090"))
    for part in ("RTX 4090 24 GiB", "qwen3.5:27b", "Q4_K_M", "32768", "GiB", "Best"):
        assert part in text
    assert "warning: NVIDIA driver 535" in shown(golden("old-driver"))
    assert "problem: No chat model fits" in shown(make_plan(host(), parse("ram 1")))


def test_a_note_and_brackets_are_shown_as_they_are() -> None:
    assert "(in [rack 3])" in shown(make_plan(host(note="in [rack 3]"), facts()))


def test_plans_are_json() -> None:
    record = asdict(golden("rtx-4090"))
    assert Plan.of(json.loads(json.dumps(record))) == golden("rtx-4090")


def write_golden() -> None:
    """Write the lab's plans anew, to be reviewed in the difference."""
    for profile in PROFILES:
        record = asdict(golden(profile))
        text = yaml.dump(record, Dumper=Indented, sort_keys=False, width=90, explicit_start=True)
        head = "# A command has words that cannot be broken.\n# yamllint disable rule:line-length\n"
        (GOLDEN / f"{profile}.yml").write_text(head + text, encoding="utf-8")


class Indented(yaml.SafeDumper):
    """Writes lists indented, as everywhere else in this project."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


if __name__ == "__main__":
    write_golden()
