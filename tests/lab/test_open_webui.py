"""Open-WebUI on a lab host: what is on the host, what a second run does, and how it says what is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inhouse import layout
from inhouse.deploys.open_webui import BACKUPS, MARKER, release_name
from tests.lab.chat_host import ChatHost, deployed
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

AWKWARD = "a \"b$c` \\d' #e;%n=é"


@pytest.fixture(scope="module")
def chat(lab: LabHandle) -> ChatHost:
    return deployed(lab)


@pytest.fixture
def mended(chat: ChatHost) -> Iterator[ChatHost]:
    """The host, deployed as planned again after a test that breaks it."""
    yield chat
    result = chat.deploy()
    assert result.status in ("changed", "unchanged"), result.error


def main_pid(chat: ChatHost) -> str:
    return chat.run(f"systemctl show -p MainPID --value {layout.OPEN_WEBUI_UNIT}").strip()


def test_a_second_run_changes_nothing(chat: ChatHost) -> None:
    result = chat.deploy()
    assert (result.status, result.changes) == ("unchanged", ())


def test_it_listens_on_loopback_only(chat: ChatHost) -> None:
    listening = chat.run(f"ss -Hltn 'sport = :{chat.plan.open_webui_port}' | awk '{{print $4}}'").split()
    assert listening == [f"127.0.0.1:{chat.plan.open_webui_port}"]


def test_it_has_no_rights_to_speak_of(chat: ChatHost) -> None:
    status = chat.run(f"grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/{main_pid(chat)}/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    assert values["Uid"].split()[0] == chat.run(f"id -u {layout.OPEN_WEBUI_USER}").strip() != "0"
    assert (values["CapEff"], values["CapBnd"]) == ("0" * 16, "0" * 16)
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


def test_its_secrets_and_data_are_closed_to_others(chat: ChatHost) -> None:
    data = layout.OPEN_WEBUI_DATA
    found = chat.run(f"stat -c '%a %U' {layout.OPEN_WEBUI_ENV} {data} {data}/webui.db")
    assert found.splitlines() == ["600 root", f"700 {layout.OPEN_WEBUI_USER}", f"600 {layout.OPEN_WEBUI_USER}"]


def test_a_stranger_cannot_sign_up(chat: ChatHost) -> None:
    body = json.dumps({"name": "x", "email": "x@example.internal", "password": "Passw0rd-2"})
    url = f"http://127.0.0.1:{chat.plan.open_webui_port}/api/v1/auths/signup"
    command = f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Content-Type: application/json' -d '{body}' {url}"
    assert chat.run(command) == "403"


def test_a_password_changed_in_the_vault_alone_is_named(mended: ChatHost, tmp_path: Path) -> None:
    result = mended.with_secrets(tmp_path / "inventory", open_webui_admin_password=AWKWARD).deploy()
    assert result.status == "failed"
    assert "does not let admin@inhouse.internal in as administrator with the vault's password" in result.error
    assert AWKWARD not in result.error
    # The server was started with it, so this also shows that systemd hands over awkward values as they are.
    assert f"WEBUI_ADMIN_PASSWORD={AWKWARD}" in mended.run(f"cat /proc/{main_pid(mended)}/environ").split("\0")


def test_a_taken_port_is_named(mended: ChatHost) -> None:
    mended.run("systemd-run --unit taken --collect python3 -m http.server --bind 127.0.0.1 8099")
    try:
        result = mended.deploy(open_webui_port=8099)
    finally:
        mended.run("systemctl stop taken")
    assert result.status == "failed"
    assert "Another program listens on port 8099" in result.error


def test_an_interrupted_installation_is_made_anew(mended: ChatHost) -> None:
    release = f"{layout.OPEN_WEBUI_PREFIX}/{release_name(mended.plan)}"
    mended.run(f"rm {release}/{MARKER} && rm -r {release}/lib/python3*/site-packages/open_webui/routers")
    assert mended.deploy().status == "changed"
    mended.run(f"test -f {release}/{MARKER} && test -d {release}/lib/python3*/site-packages/open_webui/routers")


def users(chat: ChatHost, database: str) -> list[str]:
    """E-mails of the accounts in a database."""
    program = f"import sqlite3; print(*sqlite3.connect('{database}').execute('select email from user'))"
    return sorted(chat.run(f'python3 -c "{program}"').split())


def test_another_release_comes_with_a_copy_of_the_database(mended: ChatHost) -> None:
    prefix, release = layout.OPEN_WEBUI_PREFIX, release_name(mended.plan)
    mended.run(f"rm -rf {BACKUPS}; cp -al {prefix}/{release} {prefix}/0.12.3-old; ln -sfn 0.12.3-old {prefix}/current")
    assert mended.deploy().status == "changed"
    assert mended.run(f"readlink {prefix}/current {prefix}/previous").split() == [release, "0.12.3-old"]
    (copy,) = mended.run(f"ls {BACKUPS}").split()
    assert users(mended, f"{BACKUPS}/{copy}") == users(mended, f"{layout.OPEN_WEBUI_DATA}/webui.db") != []


def test_a_server_that_was_stopped_is_started(mended: ChatHost) -> None:
    mended.run(f"systemctl stop {layout.OPEN_WEBUI_UNIT}")
    assert mended.deploy().changes == ("Open-WebUI is ready on loopback and its administrator can sign in",)


def test_without_open_webui_in_the_plan_it_stops_and_keeps_its_data(mended: ChatHost) -> None:
    assert mended.deploy(open_webui=False).status == "changed"
    state = "systemctl show --property ActiveState,UnitFileState --value"
    assert mended.run(f"{state} {layout.OPEN_WEBUI_UNIT}").split() == ["inactive", "disabled"]
    mended.run(f"test -f {layout.OPEN_WEBUI_DATA}/webui.db")
