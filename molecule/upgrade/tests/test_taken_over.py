"""What must hold once this release has taken over a host that the previous one deployed."""

import os
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
sys.path.append(str(SCENARIO))
from people import ANSWER, OpenWebUI  # noqa: E402  beside prepare.yml, which uses it too

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
testinfra_hosts = ["ansible://upgraded"]


def said(host: Host, script: str) -> list[str]:
    with host.sudo():
        printed: str = host.check_output((SCENARIO / script).read_text())
    return printed.splitlines()


def test_a_person_signs_in_as_before_and_finds_their_chat() -> None:
    assert OpenWebUI(EPHEMERAL / "lab", "upgraded").answers() == [ANSWER]


def test_models_are_not_downloaded_again_and_certificate_and_secrets_are_kept(host: Host) -> None:
    kept = (EPHEMERAL / "kept").read_text().splitlines()
    assert sum(line.startswith("blob ") for line in kept) > 2
    assert said(host, "kept.sh") == kept


def test_nothing_of_the_previous_release_is_left(host: Host) -> None:
    fresh = Host.get_host("ansible://fresh", ansible_inventory=os.environ["MOLECULE_INVENTORY_FILE"])
    expected = set(said(fresh, "there.sh"))
    assert {"package caddy", "account open-webui", "path /opt/inhouse/ollama/current"} <= expected
    assert sorted(set(said(host, "there.sh")) ^ expected) == []


@pytest.mark.parametrize("unit", ["ollama", "open-webui", "caddy"])
def test_it_serves_now_and_after_a_boot(host: Host, unit: str) -> None:
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
