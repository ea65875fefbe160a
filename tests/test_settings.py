"""Settings by themselves: rows, words, contradictions, and the texts derived from them."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from inhouse import tls
from inhouse.secret_settings import Secrets
from inhouse.settings import HostSettings, contradictions
from inhouse.settings_docs import markdown, starter
from inhouse.settings_schema import NAMES, checked, model, rows

ROOT = Path(__file__).parent.parent
CA, CA_KEY = tls.make_ca("test")
GOOD_SECRETS = {
    "open_webui_admin_password": "correct horse",
    "open_webui_secret_key": "k" * 48,
    "api_token": "t" * 48,
    "fleet_ca_key": CA_KEY,
}


def test_the_docs_are_what_the_settings_say() -> None:
    """To mend: python -m inhouse.settings_docs > docs/settings.md"""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == markdown()


def test_defaults_contradict_nothing() -> None:
    assert contradictions(HostSettings()) == []


def test_every_default_in_the_starter_is_a_setting_that_loads() -> None:
    lines = [line[2:] for line in starter().splitlines() if line.startswith("# ")]
    written = yaml.safe_load("\n".join(line for line in lines if line.split(":")[0] in NAMES))
    assert model().model_validate_json(json.dumps(written)) == model()()


def test_the_starter_sets_nothing() -> None:
    assert yaml.safe_load(starter()) is None


def test_every_setting_has_help_and_says_what_is_needed() -> None:
    assert all(row.help.endswith(".") and row.needed for row in rows())
    assert len(rows()) == len(NAMES)


@pytest.mark.parametrize(
    ("given", "names", "why"),
    [
        ({"http_port": 443}, ("http_port", "https_port"), "cannot all be 443"),
        ({"ollama_port": 8080}, ("ollama_port", "open_webui_port"), "cannot all be 8080"),
        (
            {"http_port": 8080, "https_port": 8080},
            ("http_port", "https_port", "open_webui_port"),
            "cannot all be 8080",
        ),
        ({"ollama_version": "0.99.0"}, ("ollama_version", "ollama_archive_sha256"), "no SHA-256 of Ollama 0.99.0"),
        ({"ollama_version": "0.1.0", "ollama_archive_sha256": "0" * 64}, ("ollama_version",), "too old"),
        ({"ollama_version": "0.32.14"}, ("ollama_version",), "must not be used"),
        ({"models": ("qwen3", "qwen3:latest")}, ("models",), "qwen3:latest stands in it more than once"),
        ({"purposes": ("chat", "chat")}, ("purposes",), "chat stands in it more than once"),
        ({"licences": ("MIT", "MIT")}, ("licences",), "MIT stands in it more than once"),
        (
            {
                "licences": (
                    "MIT",
                    "apache 2",
                )
            },
            ("licences",),
            '"apache 2"; nearest: Apache-2.0',
        ),
        ({"languages": ("qq",)}, ("languages",), 'no model of the catalogue has "qq"'),
        (
            {"models": ("llama3.1:8b", "phi4:14b"), "licences": ("MIT",)},
            ("models", "licences"),
            "llama3.1:8b has the licence Llama",
        ),
        ({"force_models": True}, ("force_models", "models"), "no models to force"),
        ({"ollama_models_dir": "/tmp/models"}, ("ollama_models_dir",), "/tmp/"),
        ({"ollama_models_dir": "/opt/inhouse"}, ("ollama_models_dir",), "/opt/inhouse/"),
    ],
)
def test_contradictory_settings_are_named_together(given: dict[str, object], names: tuple[str, ...], why: str) -> None:
    ((found, said),) = contradictions(checked(**given))
    assert found == names
    assert why in said


def test_an_unknown_release_with_its_sum_is_accepted() -> None:
    assert contradictions(checked(ollama_version="0.99.0", ollama_archive_sha256="0" * 64)) == []


@pytest.mark.parametrize(
    "tag",
    ["qwen3", "qwen3:8b", "hf.co/Org/Name-GGUF:Q4_K_M", "registry.internal:5000/team/model:1.0", "user/model"],
)
def test_tags_of_every_kind_are_accepted(tag: str) -> None:
    assert checked(models=(tag,)).models == (tag,)


@pytest.mark.parametrize("tag", ["", "qwen3 8b", "qwen3:", ":8b", "-x", "a/../../b c", "qwen3;reboot", "https://x/y"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValidationError):
        checked(models=(tag,))


@pytest.mark.parametrize("name", ["https://ai.internal", "ai.internal:8443", "ai internal", "-x", "x.", "a/b", ""])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        checked(server_name=name)


@pytest.mark.parametrize(("alias", "good"), [("2001:db8::1", True), ("192.0.2.1", True), ("a.b", True), ("a:b", False)])
def test_aliases_are_names_or_addresses(alias: str, good: bool) -> None:
    if good:
        assert checked(server_aliases=(alias,)).server_aliases == (alias,)
    else:
        with pytest.raises(ValidationError):
            checked(server_aliases=(alias,))


@pytest.mark.parametrize("code", ["", "German", "DE", "d", "de-AT"])
def test_languages_are_iso_codes(code: str) -> None:
    with pytest.raises(ValidationError):
        checked(languages=(code,))


@pytest.mark.parametrize("folder", ["/", "relative", "/a/../b", "/a b", "/a/", "/a;b", "/$HOME"])
def test_folders_a_unit_file_could_not_hold_are_refused(folder: str) -> None:
    with pytest.raises(ValidationError):
        checked(ollama_models_dir=folder)


@pytest.mark.parametrize("email", ["admin", "a b@c.d", "$HOME@c.d", "a@`id`.d", 'a"@c.d'])
def test_what_is_no_address_or_means_something_to_a_shell_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        checked(open_webui_admin_email=email)


def test_a_slash_at_the_mirrors_end_does_not_matter() -> None:
    assert checked(ollama_mirror="https://m.internal/ollama/").ollama_mirror == "https://m.internal/ollama"


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -1.0])
def test_a_speed_must_be_a_speed(number: float) -> None:
    with pytest.raises(ValidationError):
        checked(min_tokens_per_second=number)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("open_webui_admin_password", "short", "5 bytes; 8 to 72"),
        ("open_webui_admin_password", "ä" * 37, "74 bytes; 8 to 72"),
        ("open_webui_admin_password", "two\nlines here", "line break"),
        ("api_token", "tooshort", "at least 16"),
        ("api_token", "sixteen chars and blanks", "without blanks"),
        ("open_webui_secret_key", "schlüssel" * 4, "ASCII"),
        ("fleet_ca_key", CA, "not an unencrypted PEM private key"),
    ],
)
def test_secrets_that_would_not_work_are_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Secrets.model_validate(GOOD_SECRETS | {name: value})


def test_a_password_of_72_bytes_is_accepted_and_never_shown() -> None:
    made = Secrets.model_validate(GOOD_SECRETS | {"open_webui_admin_password": "ä" * 36})
    assert made.open_webui_admin_password == SecretStr("ä" * 36)
    assert "ä" not in repr(made)
