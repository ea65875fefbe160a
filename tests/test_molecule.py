"""Scenarios: on lab hosts alone, told of in the docs, run one after another whatever comes of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from rich.console import Console

from inhouse.errors import LabError
from inhouse.lab import controller, profiles, vm_lab

ROOT = Path(__file__).resolve().parents[1]
MOLECULE = ROOT / "molecule"
NAMES = sorted(file.parent.name for file in MOLECULE.glob("*/molecule.yml"))
OURS = "${MOLECULE_EPHEMERAL_DIRECTORY}/"
"""What lies below it, the scenario has made itself."""


def module(path: Path) -> ModuleType:
    """A program beside the scenarios, loaded: their folder is no package, since Molecule itself has that name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


scenarios = module(MOLECULE / "scenarios.py")
previous = module(MOLECULE / "upgrade" / "previous.py")


def configuration(name: str) -> dict[str, Any]:
    """What Molecule is told of a scenario."""
    loaded: dict[str, Any] = yaml.safe_load((MOLECULE / name / "molecule.yml").read_text())
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_platforms_are_lab_hosts(name: str) -> None:
    platforms = configuration(name)["platforms"]
    assert platforms
    for platform in platforms:
        assert set(platform) <= {"name", "profile", "mirror", "settings", "groups", "machine"}
        assert profiles.load(platform["profile"])
        assert vm_lab.Wanted(platform["profile"], **platform.get("machine", {}))


@pytest.mark.parametrize("name", NAMES)
def test_no_inventory_but_the_labs_is_used(name: str) -> None:
    told = configuration(name)
    assert set(told) <= {"platforms", "provisioner", "scenario", "verifier"}  # who makes hosts, base.yml alone says
    provisioner = told.get("provisioner", {})
    assert set(provisioner.get("inventory", {})) <= {"host_vars", "group_vars"}  # no hosts, no links to others
    assert {"create", "destroy"}.isdisjoint(provisioner.get("playbooks", {}))
    arguments = provisioner.get("ansible_args", [])
    named = [arguments[at + 1] for at, one in enumerate(arguments) if one in ("-i", "--inventory")]
    assert [one for one in named if not one.startswith(OURS)] == []
    assert [one for one in arguments if one.startswith(("-i=", "--inventory="))] == []
    variables = [given for kind in provisioner.get("inventory", {}).values() for given in kind.values()]
    assert [given for given in variables if not given.get("services_inventory", OURS).startswith(OURS)] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_and_ends_with_nothing(name: str) -> None:
    base = yaml.safe_load((MOLECULE / "base.yml").read_text())
    sequence = configuration(name).get("scenario", base["scenario"]).get("test_sequence", [])
    assert (sequence[0], sequence[-1]) == ("destroy", "destroy")
    assert {"create", "converge", "idempotence", "verify"} <= {step.split()[0] for step in sequence}


@pytest.mark.parametrize("name", NAMES)
def test_the_docs_tell_of_it(name: str) -> None:
    kind = "quick" if name in scenarios.quick_ones() else "heavy"
    (row,) = (line for line in (ROOT / "docs" / "roles.md").read_text().splitlines() if line.startswith(f"| {name} | "))
    assert row.endswith((f"| {kind} |", f"| {kind}"))


def test_quick_ones_come_first_and_each_comes_once() -> None:
    quick, every = scenarios.quick_ones(), scenarios.scenarios()
    assert every[: len(quick)] == quick != ()
    assert sorted(every) == NAMES


@pytest.mark.parametrize("arguments", [[], ["upgrad"], ["upgrade", "--quick"]])
def test_a_name_that_is_none_is_told_with_those_that_are(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match=r"There are: .*upgrade.* make molecule-all"):
        scenarios.chosen(arguments)


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """In Molecule's place: fails for the scenario `bad`, and keeps what it was called with."""
    program = tmp_path / "molecule"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n[ "$1 $2" != "bad test" ]\n')
    program.chmod(0o755)
    return program


def test_one_that_fails_stops_no_other_and_the_end_tells_of_all(command: Path, tmp_path: Path) -> None:
    results = scenarios.run(["good", "bad", "better"], command)
    assert (tmp_path / "calls").read_text().splitlines() == ["good test", "bad test", "better test"]
    console = Console(record=True, width=80, file=(tmp_path / "shown").open("w"))
    console.print(scenarios.table(results))
    shown = [line.split() for line in console.export_text().splitlines()]
    rows = [[word for word in line if word != "│"] for line in shown]
    assert [row[:2] for row in rows if row[-1:] == ["s"]] == [
        ["good", "passed"],
        ["bad", "failed"],
        ["better", "passed"],
    ]
    assert scenarios.exit_code(results) == 1
    assert scenarios.exit_code(scenarios.run(["good"], command)) == 0


def test_interrupted_its_hosts_go_and_the_rest_is_left_out(
    command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def interrupted(called: list[Any], **options: Any) -> Any:
        if called[1:] == ["long", "test"]:
            raise KeyboardInterrupt
        return run(called, **options)

    monkeypatch.setattr(subprocess, "run", interrupted)
    results = scenarios.run(["long", "good"], command)
    assert [(one.scenario, one.said) for one in results] == [("long", "interrupted")]
    assert (tmp_path / "calls").read_text().splitlines() == ["long destroy"]
    assert scenarios.exit_code(results) == 130


@pytest.mark.parametrize("ours", [True, False])
def test_a_container_engine_that_ran_before_runs_after(ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    monkeypatch.setattr(controller, "start_where_allowed", lambda: ours)
    monkeypatch.setattr(controller, "stop_unless_used", lambda: ended.append(True))
    monkeypatch.setattr(scenarios, "run", lambda names: (scenarios.Result(names[0], "failed", 61.0),))
    assert scenarios.main(["upgrade"]) == 1
    assert ended == [True] * ours


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.internal", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_clone_without_the_previous_release_says_how_to_get_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "only the newest")
    with pytest.raises(LabError, match=rf"{previous.revision()}.* Run: git fetch --unshallow"):
        previous.ready(tmp_path / "cache", tmp_path)
    assert not (tmp_path / "cache").exists()
