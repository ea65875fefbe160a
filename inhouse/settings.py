"""Every setting once: name, type, default, help.

Settings are ordinary Ansible variables of an inventory. Names beginning with `ansible_` belong to Ansible and names
beginning with `x_` to you; any other unknown name is an error that suggests the nearest one.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from inhouse.catalogue.releases import OLLAMA_DEFAULT_VERSION

Port = Annotated[int, Field(ge=1, le=65535)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Purpose = Literal["chat", "code", "vision", "embedding"]


class HostSettings(BaseModel):
    """What may be set for a host or a group. All have defaults: an empty inventory works."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    note: str = Field("", description="Free text shown beside the host in every output.")

    models: tuple[str, ...] | None = Field(
        None, description="Model tags to run, instead of letting the planner choose. Example: [qwen3:8b]."
    )
    purposes: tuple[Purpose, ...] = Field(
        ("chat", "embedding"), description="What the host's models must be good for, when the planner chooses."
    )
    context_length: int | None = Field(
        None, ge=512, description="Context of every chat model, in tokens; chosen by the planner when not set."
    )
    parallel: int = Field(1, ge=1, le=64, description="Requests one model answers side by side; each has its own context.")
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] = Field(
        "f16", description="Type of the KV cache. Below f16 it saves memory and needs flash attention."
    )
    keep_alive: str = Field(
        "30m", pattern=r"^-?[0-9]+(s|m|h)?$", description="How long an idle model stays in memory; -1: for ever."
    )
    min_tokens_per_second: float = Field(
        3.0, ge=0, description="Slower than this, in tokens/s, the smoke test of a model fails."
    )
    disk_reserve_mib: int = Field(
        4096, ge=0, description="MiB that must stay free on the models' disk after every pull."
    )

    ollama_version: str = Field(OLLAMA_DEFAULT_VERSION, description="Release of Ollama.")
    ollama_mirror: str = Field(
        "https://github.com/ollama/ollama/releases/download",
        pattern=r"^https://",
        description="Where releases are fetched; the file is at MIRROR/vVERSION/FILE.",
    )
    ollama_archive_sha256: Sha256 | None = Field(
        None, description="SHA-256 of the release archive, where the catalogue has none or a mirror carries its own build."
    )
    ollama_models_dir: str = Field(
        "/var/lib/ollama/models", pattern=r"^/", description="Where models are stored on the host."
    )
    ollama_port: Port = Field(11434, description="Port of Ollama on 127.0.0.1.")
    replace_existing_ollama: bool = Field(
        False, description="Take over from an Ollama that was installed by other means: its unit is stopped and kept aside."
    )

    open_webui: bool | None = Field(
        None, description="Whether the host has Open-WebUI; when not set, every host that can run it has it."
    )
    open_webui_port: Port = Field(8080, description="Port of Open-WebUI on 127.0.0.1.")
    open_webui_admin_email: str = Field(
        "admin@inhouse.internal", pattern=r"^[^@\s]+@[^@\s]+$", description="E-mail the first administrator signs in with."
    )

    server_name: str | None = Field(
        None, description="Name in the host's certificate and URL; the inventory's host name when not set."
    )
    server_aliases: tuple[str, ...] = Field(
        (), description="Further names and addresses the certificate is valid for. The address in the inventory always is."
    )
    http_port: Port = Field(80, description="Port that redirects to HTTPS.")
    https_port: Port = Field(443, description="Port of the proxy.")


class Secrets(BaseModel):
    """What `inhouse init` makes and Ansible Vault keeps. Never in a plan, a log or a process list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    open_webui_admin_password: SecretStr = Field(description="Password of the first administrator (8 to 72 bytes).")
    open_webui_secret_key: SecretStr = Field(description="Key that signs sessions; must never change.")
    api_token: SecretStr = Field(description="Bearer token of programs that use /v1 and /api.")
    fleet_ca_key: SecretStr = Field(description="Private key (PEM) of the fleet CA.")
