"""The demo says what is real in its first and last line, and without a container engine shows what needs no hosts."""

import io
import sys
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from inhouse import demo
from inhouse.console import Progress
from inhouse.errors import LabError
from inhouse.init import init
from inhouse.inventory import load
from inhouse.lab import controller
from inhouse.results import DeployResult, SmokeResult, SmokeTest
from inhouse.survey import Survey
from inhouse.up import Outcome
from tests.samples import a_plan


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=500)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_container_engine_this_machine_is_shown(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    def refuse(*_args: object, **_more: object) -> Path:
        raise LabError("no Docker daemon answers here. Run: apt-get install docker.io")

    monkeypatch.setattr(demo, "release_host_answers", lambda: False)
    monkeypatch.setattr(controller, "client", refuse)
    assert demo.demo(console, keep=True) == 1
    assert "Run: apt-get install docker.io" in text(console)
    assert "threads" in text(console)
    assert "models on the" in text(console)


def test_this_machine_is_shown_to_somebody_who_may_not_become_root(
    monkeypatch: pytest.MonkeyPatch, console: Console, tmp_path: Path
) -> None:
    for name, body in {"id": "echo 1000", "sudo": "echo 'sudo: a password is required' >&2; exit 1"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    demo.show_this_machine(console, Progress(console))
    assert "threads" in text(console)


@pytest.mark.parametrize(("status", "answers"), [(200, True), (404, False)])
def test_ollamas_release_host_is_asked(monkeypatch: pytest.MonkeyPatch, status: int, answers: bool) -> None:
    asked = httpx.Request("GET", "https://releases.example")
    monkeypatch.setattr(httpx, "get", lambda *_a, **_m: httpx.Response(status, request=asked))
    assert demo.release_host_answers() is answers


def test_a_release_host_that_cannot_be_reached_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_more: object) -> httpx.Response:
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(httpx, "get", refuse)
    assert demo.release_host_answers() is False


def test_the_password_is_shown_once_with_a_link_that_works_without_dns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", ["/srv/inhouse/.venv/bin/inhouse"])
    (tmp_path / "hosts.yml").write_text("all: {hosts: {gpu1: {ansible_host: 127.0.1.9}}}\n")
    init(tmp_path)
    inventory = load(tmp_path)
    smoke = SmokeResult(
        host="gpu1",
        tests=(SmokeTest(name="it works", outcome="passed", seconds=0.1),),
        tokens_per_second={},
        memory_used_mib={},
    )
    plans = {"gpu1": a_plan("gpu1", address="127.0.1.9")}
    deployed = {"gpu1": DeployResult(host="gpu1", status="changed", changes=("A",))}
    outcome = Outcome(Survey(inventory, {}, plans, {}), deployed=deployed, smoke={"gpu1": smoke})
    shown = demo.how_to_go_on(inventory, outcome).plain
    assert inventory.secrets is not None
    assert shown.count(inventory.secrets.open_webui_admin_password.get_secret_value()) == 1
    assert "https://127.0.1.9/" in shown
    assert f"Look around: /srv/inhouse/.venv/bin/inhouse plan {tmp_path}" in shown, "the shell finds no inhouse"
