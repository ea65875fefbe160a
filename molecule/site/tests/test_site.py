"""What must hold on the host once site.yml was applied, as the project's own smoke tests and as the host itself see it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

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
