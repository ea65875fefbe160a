"""The plan: the contract between what decides and what obeys. One flat record per host.

A plan holds no secret. It can be saved, reviewed, diffed and applied later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """One model on one host. Memory is MiB."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    tag: str
    purposes: tuple[str, ...]
    quantization: str
    context_length: int
    """Tokens per request (per slot)."""
    parallel: int
    download_mib: int
    weights_mib: int
    kv_cache_mib: int
    """KV cache and recurrent state, all slots together."""
    compute_mib: int
    gpu_mib: int
    """Expected on the GPU, everything together; 0 on the CPU."""
    ram_mib: int
    """Expected in the host's RAM."""
    gpu_share: float
    """Planned part of the model on the GPU: 1.0 all, 0.0 none."""
    loaded: bool = True
    """Stays in memory beside the host's other models; False: takes turns with them."""
    tokens_per_second_low: float | None = None
    tokens_per_second: float | None = None
    """The likely speed of one answer; with `_low` and `_high` the range it is expected in. None: not known."""
    tokens_per_second_high: float | None = None
    first_token_s: float | None = None
    """Likely seconds to the first token of an answer to a prompt that fills half of the context."""
    speed_measured: bool = False
    """The speed was measured on the same hardware, not predicted."""
    reason: str
    """One sentence."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a host will be. Every setting of Ollama is explicit, so that an upgrade cannot move a default."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    host: str
    note: str
    server_name: str
    url: str
    """https://NAME[:PORT]/"""
    address: str
    """Where clients and tests connect: the inventory's address of the host."""
    certificate_names: tuple[str, ...]
    """DNS names and IP addresses in the host's certificate."""
    http_port: int
    https_port: int

    accelerator: Literal["cuda", "vulkan", "metal", "cpu"]
    """What the models are planned to run on: NVIDIA's GPUs by CUDA, AMD's by Vulkan, or the processor. Apple's Metal is
    compared and never planned for."""
    hardware: str
    """One line: "RTX 4090 24 GiB, 16 threads, 64 GiB RAM"."""
    device: str = ""
    """What the models run on, by the name under which measured speeds are kept; "" in plans of older releases."""
    memory_total_mib: int
    """Memory the models share: the GPUs' sum, or the RAM on a CPU host."""

    ollama_version: str
    ollama_archive_url: str
    ollama_archive_sha256: str
    ollama_without: tuple[str, ...]
    """Folders of the archive this host does not need ("lib/ollama/cuda_v12", …)."""
    ollama_models_dir: str
    ollama_port: int
    ollama_context_length: int
    ollama_num_parallel: int
    ollama_max_loaded_models: int
    ollama_kv_cache_type: str
    ollama_flash_attention: bool
    ollama_keep_alive: str
    ollama_nvidia: bool
    """The unit waits for NVIDIA's devices and may open them."""
    ollama_visible_devices: str = ""
    """CUDA_VISIBLE_DEVICES: UUIDs of the GPUs or MIG slices that Ollama may use, separated by commas; "" all."""
    ollama_vulkan: bool = True
    """OLLAMA_VULKAN: GPUs are looked for through Vulkan too."""
    ollama_integrated_gpu: bool = False
    """OLLAMA_IGPU_ENABLE: GPUs whose memory is the host's RAM are used."""
    ollama_sched_spread: bool = False
    """OLLAMA_SCHED_SPREAD: a model is spread over all GPUs even if one would hold it."""
    ollama_fit_target_mib: int | None = None
    """LLAMA_ARG_FIT_TARGET: MiB left free on every GPU; None: not set, so that Ollama adds a model's vision part."""
    ollama_max_queue: int = 512
    ollama_load_timeout: str = "10m"
    replace_existing_ollama: bool

    models: tuple[PlannedModel, ...]
    disk_reserve_mib: int
    min_tokens_per_second: float

    open_webui: bool
    open_webui_version: str
    open_webui_port: int
    open_webui_admin_email: str
    open_webui_default_model: str | None
    open_webui_embedding_model: str | None

    machine_roles: tuple[str, ...] = ()
    """Roles to run before the deploys, in this order: those whose part of the host is not as planned. None: no Ansible
    is started."""
    # Variables of the roles, under their names. None: not decided here, so that the role's own default holds.
    nvidia_driver_state: Literal["present", "absent"] | None = None
    nvidia_driver_source: Literal["distribution", "nvidia"] | None = None
    nvidia_driver_branch: str | None = None
    nvidia_driver_module: Literal["open", "proprietary"] | None = None
    nvidia_driver_minimum: str | None = None
    """Oldest version that is good enough for the cards and for Ollama."""
    nvidia_driver_maximum_branch: str | None = None
    """Newest branch that knows all cards; "" while new ones do."""
    nvidia_driver_desktop: bool | None = None
    cuda_toolkit_state: Literal["present", "absent"] | None = None
    cuda_toolkit_source: Literal["distribution", "nvidia"] | None = None
    cuda_toolkit_versions: tuple[str, ...] | None = None
    cuda_toolkit_default: str | None = None
    cuda_toolkit_maximum: str | None = None
    """Newest version that the cards and the driver know; "" where nothing limits it."""
    container_engine_state: Literal["present", "absent"] | None = None

    reasons: tuple[str, ...]
    """Why the host is planned as it is, beyond its models."""
    warnings: tuple[str, ...]
    """What is wrong or weaker than it could be, each with the command that mends it."""
    problems: tuple[str, ...]
    """What forbids applying this plan; `up` leaves the host alone."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Plan:
        """The plan of a record, as `dataclasses.asdict` or JSON has it.

        Raises:
            pydantic.ValidationError: it is not what a plan of this release is.
        """
        return _reader().validate_python(record)

    def role_variables(self, role: str) -> dict[str, object]:
        """What was decided for a role: its variables by name, as JSON has them, without those left to its defaults."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name.startswith(f"{role}_")}
        decided = {name: value for name, value in found.items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in decided.items()}

    @property
    def chat_models(self) -> tuple[PlannedModel, ...]:
        """Models that generate text."""
        return tuple(m for m in self.models if m.purposes != ("embedding",))

    @property
    def embedding_models(self) -> tuple[PlannedModel, ...]:
        """Models that embed."""
        return tuple(m for m in self.models if m.purposes == ("embedding",))


@cache
def _reader() -> TypeAdapter[Plan]:
    from pydantic import TypeAdapter

    return TypeAdapter(Plan)
