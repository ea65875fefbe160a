"""The stand-in for NVIDIA's repositories: apt finds in it all that its packages ask for, and the real one's traps."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "molecule" / "repositories" / "cuda"
FROM_DEBIAN = {"dkms", "python3"}


def _relations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("relations", FOLDER / "relations.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["relations"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


relations = _relations()


@pytest.mark.parametrize("distribution", ["debian12", "debian13"])
@pytest.mark.parametrize("earlier", [False, True])
def test_every_dependency_is_there_in_the_version_that_is_asked_for(distribution: str, earlier: bool) -> None:
    there = [p for p in relations.packages(distribution) if not earlier or relations.was_there_earlier(p)]
    known = {(p.name, p.version) for p in there} | {(p.name, "") for p in there}
    assert len({(p.name, p.version) for p in there}) == len(there)
    for package in there:
        for alternatives in package.depends:
            asked = [re.fullmatch(r"(\S+)(?: \(= (\S+)\)| \(>= \S+\))?", one) for one in alternatives.split(" | ")]
            names = [(one[1], one[2] or "") for one in asked if one]
            assert len(names) == len(asked)
            assert any(name in FROM_DEBIAN or (name, version) in known for name, version in names), package


def test_debian_13_has_no_580_and_the_newest_branch_no_proprietary_module() -> None:
    branches = {name: {relations.branch_of(v) for v in versions} for name, versions in relations.DRIVERS.items()}
    assert 580 in branches["debian12"]
    assert 580 not in branches["debian13"]
    newest = {p.name: p for p in relations.driver("615.71.09")}
    assert newest["cuda-drivers"].depends == ()
    assert "nvidia-kernel-dkms" not in newest
    assert (
        "nvidia-kernel-dkms (= 610.57.04-1)"
        in {p.name: p for p in relations.driver("610.57.04")}["cuda-drivers"].depends
    )


def test_packages_of_a_branch_that_ended_in_ubuntu_lead_to_the_next() -> None:
    leading = [p for p in relations.ubuntu_archive() if "570-server" in p.name and p.version.startswith("580.")]
    assert {p.name for p in leading} >= {"nvidia-headless-no-dkms-570-server", "nvidia-utils-570-server"}
    assert [p.depends for p in leading] == [(p.name.replace("570", "580"),) for p in leading]
