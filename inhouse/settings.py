"""Every setting once: name, type, default, help.

Settings are ordinary Ansible variables of an inventory. Names beginning with `ansible_` belong to Ansible and names
beginning with `x_` to you; any other unknown name is an error that suggests the nearest one.

`docs/settings.md`, the starter that `inhouse init` writes and the words of every error are derived from here.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, Self

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.checked import Checked, setting
from inhouse.catalogue.evidence import Purpose
from inhouse.catalogue.releases import releases
from inhouse.catalogue.version import version

# The title says the pattern in words, for the docs and for errors.
Port = Annotated[int, Checked(ge=1, le=65535)]
Sha256 = Annotated[str, Checked(pattern=r"^[0-9a-f]{64}$", title="64 hex digits in lower case")]
Version = Annotated[
    str, Checked(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$", title='a version such as "1.2.3"')
]
Line = Annotated[str, Checked(pattern=r"^[^\n\r\t]*$", title="text of one line")]
Email = Annotated[str, Checked(pattern=r"^[^@\s\"'\\$`]+@[^@\s\"'\\$`]+$", title="an e-mail address")]
Duration = Annotated[str, Checked(pattern=r"^-?[0-9]+(s|m|h)?$", title='a time such as "30m", "2h" or "-1"')]
Tag = Annotated[
    str,
    Checked(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]+/[A-Za-z0-9._-]+)?(/[A-Za-z0-9._-]+)*(:[A-Za-z0-9._-]+)?$",
        title='a model tag such as "qwen3:8b"',
    ),
]
Folder = Annotated[
    str,
    Checked(
        pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$", title="an absolute path, without blanks and without / at its end"
    ),
]
HostName = Annotated[
    str,
    Checked(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
        max_length=253,
        title="a host name or an IPv4 address, without https:// and without a port",
    ),
]
Url = Annotated[str, Checked(pattern=r"^https://[^\s/]+[^\s]*$", title="an address that begins with https://")]
Language = Annotated[str, Checked(pattern=r"^[a-z]{2,3}$", title='an ISO code of a language such as "de"')]


def _name_or_address(value: str) -> str:
    """Accept what HostName accepts, and IPv6 addresses."""
    if ":" in value:
        ip_address(value)
    return value


Alias = Annotated[
    str,
    Checked(
        pattern=r"^[A-Za-z0-9:]([A-Za-z0-9_.:-]*[A-Za-z0-9:])?$", max_length=253, title="a host name or an IP address"
    ),
    Checked(after=_name_or_address),
]


_STRICTER: Final = frozenset({"purposes", "min_tokens_per_second"})


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What may be set for a host or a group. All have defaults: an empty inventory works."""

    note: Line = setting("", description="Free text shown beside the host in every output.")

    purposes: tuple[Purpose, ...] = setting(
        ("chat", "embedding"), min_length=1, description="What the host's models must be good for."
    )
    people: int = setting(
        1, ge=1, le=1000, description="How many people are answered at the same time; the planner plans slots for them."
    )
    context_length: int | None = setting(
        None, ge=512, description="Context of every chat model, in tokens; chosen by the planner when not set."
    )
    min_tokens_per_second: float = setting(
        3.0,
        ge=0,
        allow_inf_nan=False,
        description="Least acceptable speed of an answer, in tokens/s: slower models are not chosen, and the smoke "
        "test of one fails. Not set, the planner also prefers 8, or 16 of a model that thinks first.",
    )
    learn_speeds: bool = setting(
        True, description="Speeds that verify measures on this host replace predictions in later plans."
    )
    languages: tuple[Language, ...] = setting(
        (), description="Languages, all of which the maker of every chosen model must name. Example: [de, fr]."
    )
    licences: tuple[Line, ...] | None = setting(
        None, min_length=1, description="Licences a model may have, as the catalogue names them; any when not set."
    )
    models: tuple[Tag, ...] | None = setting(
        None,
        description="Model tags that are kept whatever the planner would choose. With purposes set too, it adds models "
        "for those that none of them serves; otherwise these are all. Example: [qwen3:8b].",
    )
    force_models: bool = setting(
        False, description="Plan the models above even if one does not fit: slow, or not loading at all."
    )
    models_disk_gib: int | None = setting(
        None, ge=1, description="GiB of disk that all models may take together; what the disk has when not set."
    )
    parallel: int | None = setting(
        None,
        ge=1,
        le=64,
        description="Requests one model answers side by side, each with its own context; from `people` when not set.",
    )
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = setting(
        None,
        description="Type of the KV cache. Below f16 it saves memory and needs flash attention. When not set, the "
        "planner takes q8_0 where that buys a better model or a longer context, and f16 elsewhere.",
    )
    keep_alive: Duration = setting(
        "30m", description='How long an idle model stays in memory; "-1" (in quotes): for ever.'
    )
    disk_reserve_mib: int = setting(
        4096, ge=0, description="MiB that must stay free on the models' disk after every pull."
    )

    ollama_version: Version = field(
        default_factory=lambda: releases().ollama.default,
        metadata={
            "description": "Release of Ollama. One that the catalogue does not know needs ollama_archive_sha256 too."
        },
    )
    ollama_mirror: Annotated[Url, Checked(after=lambda url: url.rstrip("/"))] = setting(
        "https://github.com/ollama/ollama/releases/download",
        description="Where releases are fetched; the file is at MIRROR/vVERSION/FILE.",
    )
    ollama_archive_sha256: Sha256 | None = setting(
        None,
        description="SHA-256 of the release archive, where the catalogue has none or a mirror carries its own build.",
    )
    ollama_models_dir: Folder = setting("/var/lib/ollama/models", description="Where models are stored on the host.")
    ollama_port: Port = setting(11434, description="Port of Ollama on 127.0.0.1.")
    replace_existing_ollama: bool = setting(
        False,
        description="Take over from an Ollama that was installed by other means: its unit is stopped and kept aside.",
    )

    machine_layer: bool = setting(
        True,
        description="Roles prepare the machine: its NVIDIA driver, and what the next two settings ask for. false: no "
        "role is run, a driver that is missing or too old stays as it is, and models run on the CPU.",
    )
    cuda_toolkit: bool = setting(
        False,
        description="The host gets a CUDA toolkit its cards and its driver know, to compile programs of your own. "
        "Ollama needs none.",
    )
    container_engine: bool = setting(
        False,
        description="The host gets Docker Engine, with its NVIDIA GPUs where it has some. Nothing of inhouse runs in "
        "containers.",
    )

    open_webui: bool | None = setting(
        None, description="Whether the host has Open-WebUI; when not set, every host that can run it has it."
    )
    open_webui_port: Port = setting(8080, description="Port of Open-WebUI on 127.0.0.1.")
    open_webui_admin_email: Email = setting(
        "admin@inhouse.internal", description="E-mail the first administrator signs in with."
    )

    server_name: HostName | None = setting(
        None, description="Name in the host's certificate and URL; the inventory's host name when not set."
    )
    server_aliases: tuple[Alias, ...] = setting(
        (),
        description="Further names and addresses the certificate is valid for. The address in the inventory always is.",
    )
    http_port: Port = setting(80, description="Port that redirects to HTTPS.")
    https_port: Port = setting(443, description="Port of the proxy.")

    stated: frozenset[str] = frozenset()
    """Of purposes and min_tokens_per_second what an inventory states: that holds more strictly than a default."""

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Settings that an inventory states; values are as its types say."""
        return cls(**given, stated=frozenset(given) & _STRICTER)


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
