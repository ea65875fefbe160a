"""What must hold on the host once site.yml was applied: by the project's own smoke tests, and by the host itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

from inhouse.inventory import load
from inhouse.state import applied_plans

LAB = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "lab"


def test_the_smoke_tests_of_this_project_pass() -> None:
    verify = [sys.executable, "-m", "inhouse.cli", "verify", str(LAB), "--json"]
    said = subprocess.run(verify, capture_output=True, text=True, check=False)
    (result,) = json.loads(said.stdout).values()
    assert [test for test in result["tests"] if test["outcome"] != "passed"] == []
    assert len(result["tests"]) > 30
    assert said.returncode == 0


@pytest.mark.parametrize("unit", ["ollama", "open-webui", "caddy"])
def test_it_serves_now_and_after_a_boot(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_the_driver_works_and_an_upgrade_of_everything_leaves_it_alone(host: Host) -> None:
    assert host.check_output("nvidia-smi -L").startswith("GPU 0: ")
    module = host.file("/sys/module/nvidia/version").content_string.strip()
    assert host.check_output("nvidia-smi --query-gpu=driver_version --format=csv,noheader") == module
    held = host.check_output("apt-mark showhold").split()
    assert any(package.startswith("nvidia-kernel") for package in held)


def test_models_are_planned_on_the_gpu() -> None:
    """That they lie there as planned, the smoke tests say."""
    (plan,) = applied_plans(load(LAB)).values()
    assert [model.gpu_share for model in plan.models] == [1.0, 1.0]
