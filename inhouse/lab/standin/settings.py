"""The server's settings, from the same environment variables the real one reads."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import golang

DEFAULT_PORT = 11434
LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
BUILT_IN_ORIGINS = (
    *(f"{scheme}://{host}{port}" for host in LOCAL_HOSTS for port in ("", ":*") for scheme in ("http", "https")),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    home: Path
    host: str
    port: int
    models: Path
    context_length: int
    """Tokens; 0: by the memory of the GPUs."""
    keep_alive: float
    """Seconds."""
    load_timeout: float
    """Seconds without a sign of life while a model loads."""
    num_parallel: int
    max_loaded_models: int
    """0: three for each GPU, three without one."""
    max_queue: int
    flash_attention: bool | None
    kv_cache_type: str
    origins: tuple[str, ...]
    no_prune: bool
    no_cloud: bool
    vulkan: bool

    @property
    def address(self) -> str:
        """Where the server listens."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings. A bad number falls back to the default, a bad boolean counts as true, as in the real one."""

    def text(name: str) -> str:
        return environment.get(name, "").strip().strip("\"'").strip()

    home = Path(text("HOME") or "/")
    host, port = _address(text("OLLAMA_HOST"))
    flash = text("OLLAMA_FLASH_ATTENTION")
    return Settings(
        home=home,
        host=host,
        port=port,
        models=Path(text("OLLAMA_MODELS") or home / ".ollama" / "models"),
        context_length=_number(text("OLLAMA_CONTEXT_LENGTH"), 0),
        keep_alive=_duration(text("OLLAMA_KEEP_ALIVE"), 300.0),
        load_timeout=_duration(text("OLLAMA_LOAD_TIMEOUT"), 300.0) or golang.FOREVER,
        num_parallel=max(_number(text("OLLAMA_NUM_PARALLEL"), 1), 1),
        max_loaded_models=_number(text("OLLAMA_MAX_LOADED_MODELS"), 0),
        max_queue=_number(text("OLLAMA_MAX_QUEUE"), 512),
        flash_attention=_boolean(flash) if flash else None,
        kv_cache_type=text("OLLAMA_KV_CACHE_TYPE").lower(),
        origins=tuple(filter(None, text("OLLAMA_ORIGINS").split(","))) + BUILT_IN_ORIGINS,
        no_prune=_boolean(text("OLLAMA_NOPRUNE")),
        no_cloud=_boolean(text("OLLAMA_NO_CLOUD")),
        vulkan=_boolean(text("OLLAMA_VULKAN") or "true"),
    )


def _address(text: str) -> tuple[str, int]:
    text = re.sub(r"^[a-z]+://", "", text).rstrip("/")
    bracketed = re.fullmatch(r"\[([^]]+)\](?::(\d+))?", text)
    if bracketed:
        return bracketed[1], int(bracketed[2] or DEFAULT_PORT)
    host, colon, port = text.rpartition(":")
    if not colon:
        return text or "127.0.0.1", DEFAULT_PORT
    return host or "0.0.0.0", int(port) if port.isdigit() and int(port) < 65536 else DEFAULT_PORT


def _number(text: str, default: int) -> int:
    return int(text) if text.isdigit() else default


def _boolean(text: str) -> bool:
    return text.lower() not in ("", "0", "f", "false")


def _duration(text: str, default: float) -> float:
    if not text:
        return default
    with contextlib.suppress(golang.GoError):
        return golang.keep_alive(float(text) if re.fullmatch(r"-?\d+", text) else text)
    return default
