"""Every setting once: name, type, default, help.

Settings are ordinary Ansible variables of an inventory. Names beginning with `ansible_` belong to Ansible and names
beginning with `x_` to you; any other unknown name is an error that suggests the nearest one.

`docs/settings.md`, the starter that `inhouse init` writes and the words of every error are derived from here.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.evidence import Purpose
from inhouse.catalogue.releases import releases
from inhouse.catalogue.version import version
from inhouse.errors import InventoryError

# The title says the pattern in words, for the docs and for errors.
Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", title="64 hex digits in lower case")]
Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$", title='a version such as "1.2.3"')]
Line = Annotated[str, Field(pattern=r"^[^\n\r\t]*$", title="text of one line")]
Email = Annotated[str, Field(pattern=r"^[^@\s\"'\\$`]+@[^@\s\"'\\$`]+$", title="an e-mail address")]
Duration = Annotated[str, Field(pattern=r"^-?[0-9]+(s|m|h)?$", title='a time such as "30m", "2h" or "-1"')]
Tag = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+/[A-Za-z0-9._-]+)?(/[A-Za-z0-9._-]+)*(:[A-Za-z0-9._-]+)?$",
        title='a model tag such as "qwen3:8b"',
    ),
]
Folder = Annotated[
    str,
    Field(
        pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$", title="an absolute path, without blanks and without / at its end"
    ),
]
HostName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
        max_length=253,
        title="a host name or an IPv4 address, without https:// and without a port",
    ),
]
Url = Annotated[str, Field(pattern=r"^https://[^\s/]+[^\s]*$", title="an address that begins with https://")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", title='an ISO code of a language such as "de"')]


def _name_or_address(value: str) -> str:
    """Accept what HostName accepts, and IPv6 addresses."""
    if ":" in value:
        ip_address(value)
    return value


Alias = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9:]([A-Za-z0-9_.:-]*[A-Za-z0-9:])?$", max_length=253, title="a host name or an IP address"
    ),
    AfterValidator(_name_or_address),
]


class HostSettings(BaseModel):
    """What may be set for a host or a group. All have defaults: an empty inventory works."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    note: Line = Field("", description="Free text shown beside the host in every output.")

    purposes: tuple[Purpose, ...] = Field(
        ("chat", "embedding"), min_length=1, description="What the host's models must be good for."
    )
    people: int = Field(
        1, ge=1, le=1000, description="How many people are answered at the same time; the planner plans slots for them."
    )
    context_length: int | None = Field(
        None, ge=512, description="Context of every chat model, in tokens; chosen by the planner when not set."
    )
    min_tokens_per_second: float = Field(
        3.0,
        ge=0,
        allow_inf_nan=False,
        description="Least acceptable speed of an answer, in tokens/s: slower models are not chosen, and the smoke "
        "test of one fails. Not set, the planner also prefers 8, or 16 of a model that thinks first.",
    )
    learn_speeds: bool = Field(
        True, description="Speeds that verify measures on this host replace predictions in later plans."
    )
    languages: tuple[Language, ...] = Field(
        (), description="Languages, all of which the maker of every chosen model must name. Example: [de, fr]."
    )
    licences: tuple[Line, ...] | None = Field(
        None, min_length=1, description="Licences a model may have, as the catalogue names them; any when not set."
    )
    models: tuple[Tag, ...] | None = Field(
        None,
        description="Model tags that are kept whatever the planner would choose. With purposes set too, it adds models "
        "for those that none of them serves; otherwise these are all. Example: [qwen3:8b].",
    )
    force_models: bool = Field(
        False, description="Plan the models above even if one does not fit: slow, or not loading at all."
    )
    models_disk_gib: int | None = Field(
        None, ge=1, description="GiB of disk that all models may take together; what the disk has when not set."
    )
    parallel: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Requests one model answers side by side, each with its own context; from `people` when not set.",
    )
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = Field(
        None,
        description="Type of the KV cache. Below f16 it saves memory and needs flash attention. When not set, the "
        "planner takes q8_0 where that buys a better model or a longer context, and f16 elsewhere.",
    )
    keep_alive: Duration = Field(
        "30m", description='How long an idle model stays in memory; "-1" (in quotes): for ever.'
    )
    disk_reserve_mib: int = Field(
        4096, ge=0, description="MiB that must stay free on the models' disk after every pull."
    )

    ollama_version: Version = Field(
        default_factory=lambda: releases().ollama.default,
        description="Release of Ollama. One that the catalogue does not know needs ollama_archive_sha256 too.",
    )
    ollama_mirror: Annotated[Url, AfterValidator(lambda url: url.rstrip("/"))] = Field(
        "https://github.com/ollama/ollama/releases/download",
        description="Where releases are fetched; the file is at MIRROR/vVERSION/FILE.",
    )
    ollama_archive_sha256: Sha256 | None = Field(
        None,
        description="SHA-256 of the release archive, where the catalogue has none or a mirror carries its own build.",
    )
    ollama_models_dir: Folder = Field("/var/lib/ollama/models", description="Where models are stored on the host.")
    ollama_port: Port = Field(11434, description="Port of Ollama on 127.0.0.1.")
    replace_existing_ollama: bool = Field(
        False,
        description="Take over from an Ollama that was installed by other means: its unit is stopped and kept aside.",
    )

    machine_layer: bool = Field(
        True,
        description="Roles prepare the machine: its NVIDIA driver, and what the next two settings ask for. false: no "
        "role is run, a driver that is missing or too old stays as it is, and models run on the CPU.",
    )
    cuda_toolkit: bool = Field(
        False,
        description="The host gets a CUDA toolkit its cards and its driver know, to compile programs of your own. "
        "Ollama needs none.",
    )
    container_engine: bool = Field(
        False,
        description="The host gets Docker Engine, with its NVIDIA GPUs where it has some. Nothing of inhouse runs in "
        "containers.",
    )

    open_webui: bool | None = Field(
        None, description="Whether the host has Open-WebUI; when not set, every host that can run it has it."
    )
    open_webui_port: Port = Field(8080, description="Port of Open-WebUI on 127.0.0.1.")
    open_webui_admin_email: Email = Field(
        "admin@inhouse.internal", description="E-mail the first administrator signs in with."
    )

    server_name: HostName | None = Field(
        None, description="Name in the host's certificate and URL; the inventory's host name when not set."
    )
    server_aliases: tuple[Alias, ...] = Field(
        (),
        description="Further names and addresses the certificate is valid for. The address in the inventory always is.",
    )
    http_port: Port = Field(80, description="Port that redirects to HTTPS.")
    https_port: Port = Field(443, description="Port of the proxy.")


class Secrets(BaseModel):
    """What `inhouse init` makes and Ansible Vault keeps. Never in a plan, a log or a process list."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    open_webui_admin_password: SecretStr = Field(description="Password of the first administrator (8 to 72 bytes).")
    open_webui_secret_key: SecretStr = Field(description="Key that signs sessions; must never change.")
    api_token: SecretStr = Field(description="Bearer token of programs that use /v1 and /api.")
    fleet_ca_key: SecretStr = Field(description="Private key (PEM) of the fleet CA, followed by its root certificate.")

    @field_validator("open_webui_admin_password")
    @classmethod
    def _password_fits_bcrypt(cls, value: SecretStr) -> SecretStr:
        # Open-WebUI stores it with bcrypt. Beyond 72 bytes it makes no administrator, starts all the same, and the
        # first stranger who signs up becomes one.
        size = len(value.get_secret_value().encode())
        if not 8 <= size <= 72:
            raise ValueError(f"it has {size} bytes; 8 to 72 are needed (Open-WebUI's bcrypt takes no more)")
        return _one_line(value)

    @field_validator("open_webui_secret_key", "api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text) < 16 or not text.isascii() or any(c.isspace() or c in "\"'\\" for c in text):
            raise ValueError("at least 16 ASCII characters without blanks, quotes and backslashes are needed")
        return value

    @field_validator("fleet_ca_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        from inhouse import tls  # with cryptography, which takes a while; most commands that need settings need no key

        try:
            tls.check_key(value.get_secret_value())
        except InventoryError as error:
            raise ValueError(str(error)) from error
        return value


def _one_line(value: SecretStr) -> SecretStr:
    if any(ord(c) < 32 or ord(c) == 127 for c in value.get_secret_value()):
        raise ValueError("it holds a line break or another control character")
    return value


@dataclass(frozen=True)
class Setting:
    """One row of the documentation."""

    name: str
    needed: str
    """What a value must be, in words: "a whole number from 1 to 65535"."""
    default: str
    """As YAML; "null" where the planner decides."""
    help: str


@cache
def rows() -> tuple[Setting, ...]:
    """All settings, in the order in which they are defined."""
    properties = HostSettings.model_json_schema()["properties"]
    defaults = json.loads(HostSettings().model_dump_json())
    return tuple(
        Setting(name, in_words(properties[name]), json.dumps(defaults[name]), str(field.description))
        for name, field in HostSettings.model_fields.items()
    )


def in_words(schema: dict[str, Any]) -> str:
    """Say what a JSON schema accepts: "one of f16, q8_0, q4_0"."""
    if "anyOf" in schema:
        return " or ".join(in_words(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "object":
        return "a mapping of names to values"
    if schema["type"] == "array":
        return f"a list, each item {in_words(schema['items'])}"
    if schema["type"] in ("integer", "number"):
        return _number_in_words(schema)
    return schema["title"] if "pattern" in schema else {"boolean": "true or false"}.get(schema["type"], "text")


def _number_in_words(schema: dict[str, Any]) -> str:
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return noun
    return f"{noun} from {low:g} to {high:g}" if high is not None else f"{noun}, {low:g} or more"


_NO_PLACE_FOR_MODELS = ("/opt/inhouse/", "/etc/", "/proc/", "/sys/", "/dev/", "/run/", "/tmp/")
"""Lost at a reboot, or not a place for data. (The first is where programs are switched and removed.)"""
PORTS = ("http_port", "https_port", "ollama_port", "open_webui_port")


Contradiction = tuple[tuple[str, ...], str]
"""Names of settings, and why they are wrong together."""


def contradictions(settings: HostSettings) -> list[Contradiction]:
    """Settings that are right one by one and wrong together."""
    checks = (
        _shared_ports,
        _unknown_release,
        _repeated,
        _reserved_folder,
        _unknown_words,
        _refused_pins,
        _force_nothing,
    )
    return [found for check in checks for found in check(settings)]


def _shared_ports(settings: HostSettings) -> list[Contradiction]:
    by_port: dict[int, list[str]] = {}
    for name in PORTS:
        by_port.setdefault(getattr(settings, name), []).append(name)
    return [(tuple(names), f"cannot all be {port}") for port, names in by_port.items() if len(names) > 1]


def _unknown_release(settings: HostSettings) -> list[Contradiction]:
    ollama = releases().ollama
    if why := ollama.never.get(settings.ollama_version):
        return [(("ollama_version",), f"{settings.ollama_version} must not be used: {why}")]
    if version(settings.ollama_version) < version(ollama.oldest):
        return [(("ollama_version",), f"{settings.ollama_version} is too old; {ollama.oldest} or newer is needed")]
    known = [row.version for row in ollama.releases]
    if settings.ollama_version in known or settings.ollama_archive_sha256:
        return []
    why = (
        f"the catalogue has no SHA-256 of Ollama {settings.ollama_version} (it knows {', '.join(known)}): "
        "set the sum of its archive, or take a version it knows"
    )
    return [(("ollama_version", "ollama_archive_sha256"), why)]


def _repeated(settings: HostSettings) -> list[Contradiction]:
    lists: dict[str, tuple[str, ...]] = {
        "models": settings.models or (),
        "purposes": settings.purposes,
        "languages": settings.languages,
        "licences": settings.licences or (),
    }
    found: list[Contradiction] = []
    for name, items in lists.items():
        full = [item if ":" in item or name != "models" else f"{item}:latest" for item in items]
        if twice := sorted({item for item in full if full.count(item) > 1}):
            found.append(((name,), f"{', '.join(twice)} stands in it more than once"))
    return found


def _reserved_folder(settings: HostSettings) -> list[Contradiction]:
    folder = settings.ollama_models_dir + "/"
    reserved = next((one for one in _NO_PLACE_FOR_MODELS if folder.startswith(one)), None)
    if reserved is None:
        return []
    return [(("ollama_models_dir",), f"models cannot be kept in {reserved}; a folder such as /srv/models is needed")]


def _unknown_words(settings: HostSettings) -> list[Contradiction]:
    """Licences and languages that no model of the catalogue has: nothing could be chosen by them."""
    found: list[Contradiction] = []
    if settings.licences:
        known = sorted({m.licence for m in catalogue.models()})
        found += [(("licences",), why) for name in settings.licences if (why := _unknown(name, known))]
    if settings.languages:
        known = sorted({code for m in catalogue.models() for code in m.languages})
        found += [(("languages",), why) for name in settings.languages if (why := _unknown(name, known))]
    return found


def _unknown(name: str, known: list[str]) -> str | None:
    if name in known:
        return None
    by_lower = {one.lower(): one for one in known}
    near = [by_lower[one] for one in get_close_matches(name.lower(), by_lower, n=3, cutoff=0.4)]
    return f'no model of the catalogue has "{name}"; nearest: {", ".join(near or known)}'


def _refused_pins(settings: HostSettings) -> list[Contradiction]:
    """Models that are asked for by tag and forbidden by licence."""
    rows_of_pins = [m for tag in settings.models or () if (m := catalogue.find(tag))]
    return [
        (("models", "licences"), f"{m.tag} has the licence {m.licence}, which is not among those allowed")
        for m in rows_of_pins
        if settings.licences and m.licence not in settings.licences
    ]


def _force_nothing(settings: HostSettings) -> list[Contradiction]:
    if settings.force_models and not settings.models:
        return [(("force_models", "models"), "there are no models to force")]
    return []
