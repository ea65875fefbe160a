"""Pinned releases: version, file and SHA-256 together, from releases.yml."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from inhouse.catalogue.checked import Checked
from inhouse.catalogue.load import Row, read
from inhouse.catalogue.version import Version, version

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""uname -m → the name in the file names of Ollama's releases."""


@dataclass(frozen=True, kw_only=True)
class Archive(Row):
    """One file of a release."""

    sha256: Annotated[str, Checked(pattern=r"^[0-9a-f]{64}$")]
    agreeing: Annotated[int, Checked(ge=1)]
    """How many independent public repositories pin this sum."""


@dataclass(frozen=True, kw_only=True)
class OllamaRelease(Row):
    """One release of Ollama, by architecture."""

    version: Version
    amd64: Archive | None = None
    arm64: Archive | None = None

    def archive(self, architecture: str) -> Archive | None:
        """The archive for "amd64" or "arm64", if its sum is known."""
        return {"amd64": self.amd64, "arm64": self.arm64}.get(architecture)


@dataclass(frozen=True, kw_only=True)
class Folders(Row):
    """Folders inside the archive, by what they are for."""

    cuda: tuple[str, ...]
    vulkan: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ollama(Row):
    """Everything known about Ollama's releases."""

    default: Version
    """Deployed unless the inventory names another."""
    oldest: Version
    never: dict[Version, str]
    driver_floor: int
    """Major version of NVIDIA's driver below which Ollama uses the CPU."""
    driver_floor_below_compute_7: int
    """The same for GPUs of compute capability below 7.0."""
    compute_floor: str
    archive_mib: int
    unpacked_mib: int
    unpacked_without_gpu_mib: int
    folders: Folders
    releases: tuple[OllamaRelease, ...]

    def sha256(self, release: str, architecture: str) -> str | None:
        """SHA-256 of a release's archive for "amd64" or "arm64"; None if it is not known."""
        for row in self.releases:
            if row.version == release:
                archive = row.archive(architecture)
                return archive.sha256 if archive else None
        return None


@dataclass(frozen=True, kw_only=True)
class OpenWebui(Row):
    """What Open-WebUI needs."""

    default: Version
    python_from: str
    python_below: str
    disk_mib: int
    memory_mib: int

    def runs_on_python(self, found: str) -> bool:
        """Whether pip accepts the wheel on this version of Python."""
        return version(self.python_from) <= version(found) < version(self.python_below)


@dataclass(frozen=True, kw_only=True)
class Releases(Row):
    """The file releases.yml."""

    ollama: Ollama
    open_webui: OpenWebui


@cache
def releases() -> Releases:
    """Read releases.yml once."""
    return read("releases.yml", Releases)
