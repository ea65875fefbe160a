"""What is decided about Open-WebUI without a host: settings, quoting, state, when it is restarted."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pydantic import SecretStr

from inhouse.deploys.open_webui import (
    MARKER,
    install_script,
    is_served,
    parse_state,
    release_name,
    serve_script,
    stamp,
    switch_script,
    unit_body,
)
from inhouse.deploys.open_webui_env import env_quote, origins, settings_body
from inhouse.planner.plan import Plan
from inhouse.secret_settings import Secrets
from tests.samples import a_plan

PASSWORD = "a \"b$c` \\d' #e;%n=é"


def secrets(password: str = PASSWORD) -> Secrets:
    return Secrets.model_construct(
        open_webui_admin_password=SecretStr(password),
        open_webui_secret_key=SecretStr("k" * 48),
        api_token=SecretStr("t" * 32),
        fleet_ca_key=SecretStr("not used here"),
    )


def settings(plan: Plan) -> dict[str, str]:
    lines = settings_body(plan, secrets()).splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain", '"plain"'),
        ("two words # no comment; 100 %", '"two words # no comment; 100 %"'),
        ("it's", '"it\'s"'),
        ('say "no"', r'"say \"no\""'),
        ("$HOME `id` a\\b", r'"\$HOME \`id\` a\\b"'),
    ],
)
def test_values_are_quoted_for_systemd(value: str, quoted: str) -> None:
    assert env_quote(value) == quoted


@settings_of_hypothesis(max_examples=50)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF)))
def test_a_shell_reads_the_same_value(value: str) -> None:
    """A POSIX shell knows the same four escapes in double quotes as systemd does."""
    done = subprocess.run(["sh"], input=f"printf %s {env_quote(value)}".encode(), stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == value


def test_nothing_calls_out_and_nobody_signs_up() -> None:
    wanted = {
        "ENABLE_PERSISTENT_CONFIG": "false",
        "ENABLE_SIGNUP": "false",
        "ENABLE_OPENAI_API": "false",
        "OFFLINE_MODE": "true",
        "ANONYMIZED_TELEMETRY": "false",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "ENABLE_CODE_EXECUTION": "false",
        "ENABLE_PLUGINS": "false",
        "WEBUI_AUTH_COOKIE_SECURE": "true",
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
    }
    assert settings(a_plan()).items() >= wanted.items()


def test_models_and_ports_come_from_the_plan() -> None:
    found = settings(a_plan(ollama_port=12345))
    assert found["OLLAMA_BASE_URL"] == found["RAG_OLLAMA_BASE_URL"] == "http://127.0.0.1:12345"
    assert found["DEFAULT_MODELS"] == '"qwen3:8b"'
    assert found["RAG_EMBEDDING_MODEL"] == '"nomic-embed-text"'
    assert "BYPASS_EMBEDDING_AND_RETRIEVAL" not in found


def test_a_host_without_an_embedding_model_still_fetches_none() -> None:
    found = settings(a_plan(open_webui_embedding_model=None, open_webui_default_model=None))
    assert found["RAG_EMBEDDING_ENGINE"] == "ollama"
    assert found["BYPASS_EMBEDDING_AND_RETRIEVAL"] == "true"
    assert not {"RAG_EMBEDDING_MODEL", "DEFAULT_MODELS"} & found.keys()


def test_on_a_cpu_only_the_title_is_generated_beside_the_answer() -> None:
    assert "ENABLE_FOLLOW_UP_GENERATION" not in settings(a_plan())
    assert settings(a_plan(accelerator="cpu"))["ENABLE_FOLLOW_UP_GENERATION"] == "false"


def test_the_browser_may_come_by_every_name_of_the_certificate() -> None:
    plan = a_plan(
        url="https://chat.example.internal:8443/",
        https_port=8443,
        certificate_names=("chat.example.internal", "192.0.2.1", "2001:db8::1"),
    )
    assert origins(plan) == (
        "https://chat.example.internal:8443",
        "https://192.0.2.1:8443",
        "https://[2001:db8::1]:8443",
    )


def test_the_default_port_is_not_part_of_an_origin() -> None:
    assert origins(a_plan()) == ("https://gpu1.example.internal", "https://192.0.2.1")


def test_a_release_is_named_by_version_and_lock() -> None:
    version, _, lock = release_name(a_plan()).partition("-")
    assert version == "0.12.4"
    assert len(lock) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"open_webui_port": 8081},
        {"open_webui_version": "0.12.5"},
        {"open_webui_default_model": "gemma3:4b"},
        {"url": "https://other.example.internal/"},
    ],
)
def test_what_the_service_depends_on_changes_the_stamp(change: dict[str, Any]) -> None:
    assert stamp(replace(a_plan(), **change), secrets()) != stamp(a_plan(), secrets())


def test_the_password_changes_the_stamp() -> None:
    assert stamp(a_plan(), secrets("another one")) != stamp(a_plan(), secrets())


def served(plan: Plan) -> list[str]:
    return [
        f"current {release_name(plan)}",
        "previous 0.12.3-000000000000",
        f"release {release_name(plan)}",
        "half 0.12.3-111111111111",
        f"applied {stamp(plan, secrets())}",
        "active active",
        "enabled enabled",
        "reload no",
        'ready {"status":true}',
    ]


def test_a_host_that_serves_as_planned_is_left_alone() -> None:
    state = parse_state(served(a_plan()))
    assert state.releases == {release_name(a_plan())}
    assert state.half_releases == {"0.12.3-111111111111"}
    assert is_served(state, a_plan(), secrets())


@pytest.mark.parametrize(
    "change",
    [
        {"applied": None},
        {"current": "0.12.3-000000000000"},
        {"active": False},
        {"enabled": False},
        {"ready": False},
        {"daemon_reload_needed": True},
    ],
)
def test_anything_else_is_started_anew(change: dict[str, object]) -> None:
    state = replace(parse_state(served(a_plan())), **change)  # type: ignore[arg-type]
    assert not is_served(state, a_plan(), secrets())


def test_a_web_page_is_not_ready() -> None:
    assert not parse_state(["ready <!doctype html><html>"]).ready


def test_a_bare_host_has_nothing() -> None:
    state = parse_state(["current -", "previous -", "applied -", "active inactive", "enabled ", "reload no", "ready "])
    assert state == parse_state(())


@pytest.mark.parametrize("body", [install_script(a_plan()), switch_script(a_plan()), serve_script(a_plan(), secrets())])
def test_scripts_are_whole_before_they_run(body: str) -> None:
    """The shell reads them from standard input: the call of `main` must be the last line, and must not read on."""
    assert body.endswith("\nmain </dev/null\n")
    # SC2015: "a && b || c" is meant so where it stands.
    command = [str(Path(sys.executable).with_name("shellcheck")), "--shell=dash", "--exclude=SC2015", "-"]
    assert subprocess.run(command, input=body, text=True, check=False, capture_output=True).stdout == ""


def test_the_password_stays_out_of_what_pyinfra_shows() -> None:
    assert PASSWORD not in unit_body(a_plan())
    assert '"password": "a \\"b$c`' in serve_script(a_plan(), secrets())


def test_the_marker_is_written_when_everything_else_is_done() -> None:
    main = install_script(a_plan()).split("main() {\n")[1].split("}")[0].split()
    assert main.index("fill") < main.index("check") < main.index(f'>"$release/{MARKER}"')


def test_the_link_is_switched_after_the_copy_of_the_database() -> None:
    main = switch_script(a_plan()).split("main() {")[1]
    assert main.index("systemctl stop") < main.index("backup") < main.index('link current "$release"')
