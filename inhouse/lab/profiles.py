"""What a lab host pretends to be: profiles as data files, one per kind of machine.

`rtx-4090` is a profile on its own distribution; `rtx-4090@trixie` is the same machine on another. A lab host is a
container and says so. `rtx-4090-machine` says that it is a real machine; `rtx-4090-bare` is one for whose cards nobody
has installed a driver yet; on `rtx-4090-passthrough` they are bound to be passed to a guest.
"""

import difflib
import itertools
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inhouse.errors import LabError

Suite = Literal["bookworm", "trixie"]
SUITES: tuple[Suite, ...] = ("bookworm", "trixie")
SOFTWARE_GPU_PACKAGES = ("mesa-vulkan-drivers",)
"""What a real llama-server needs on a `software-gpu` host; Debian 13's shows the machine's memory, 12's only 2 GiB."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")
PciId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]


class Cpu(BaseModel):
    """What /proc/cpuinfo says."""

    model_config = _FROZEN
    vendor: Literal["GenuineIntel", "AuthenticAMD", "ARM"]
    model: str
    sockets: int = 1
    cores: int = Field(ge=1, description="physical cores per socket")
    threads_per_core: int = Field(2, ge=1)
    mhz: float
    flags: str


class Memory(BaseModel):
    """What /proc/meminfo says."""

    model_config = _FROZEN
    total_mib: int = Field(ge=512)
    available_mib: int = Field(ge=256, description="of the idle machine")


class Amdgpu(BaseModel):
    """What the kernel driver amdgpu says of a device, in sysfs and in /dev."""

    model_config = _FROZEN
    vram_total_mib: int
    vram_used_mib: int = Field(description="of the idle machine")
    gtt_total_mib: int
    vram_vendor: str | None = Field(None, description="only cards with memory of their own have one")
    gfx_target_version: int = Field(description="major * 10000 + minor * 100 + step")
    simd_count: int
    render_node: str = "renderD128"


class PciDevice(BaseModel):
    """One function in /sys/bus/pci/devices."""

    model_config = _FROZEN
    slot: str = Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
    id: PciId = Field(description="vendor:device, as in pci.ids")
    subsystem: PciId
    class_id: str = Field(alias="class", pattern=r"^[0-9a-f]{6}$")
    revision: int = 0xA1
    driver: str | None = None
    amdgpu: Amdgpu | None = None


class Slice(BaseModel):
    """One MIG slice, as -L and -q name it."""

    model_config = _FROZEN
    profile: str
    uuid: str = Field(pattern=r"^MIG-")
    instance: int = Field(description="of the GPU instance")
    total_mib: int
    used_mib: int


class Process(BaseModel):
    """A program that computes on a GPU."""

    model_config = _FROZEN
    pid: int
    uuid: str = Field(description="the GPU's")
    memory_mib: int
    name: str


class Gpu(BaseModel):
    """One GPU as nvidia-smi describes it: field of --query-gpu → value with its unit, idle."""

    model_config = _FROZEN
    fields: dict[str, str]
    slices: tuple[Slice, ...] = ()


class Nvidia(BaseModel):
    """State of the NVIDIA driver.

    Module and library of the same version: nvidia-smi works. Of different versions: it fails as the real one does.
    """

    model_config = _FROZEN
    module: str | None = Field(description="version of the loaded kernel module")
    open_module: bool = True
    library: str = Field(description="version of libcuda, libnvidia-ml and nvidia-smi")
    cuda: str = Field(description="the highest CUDA this driver offers")
    gpus: tuple[Gpu, ...] = ()
    processes: tuple[Process, ...] = ()

    @property
    def works(self) -> bool:
        """Whether module and library can talk to each other."""
        return self.module == self.library


class Profile(BaseModel):
    """One kind of machine."""

    model_config = _FROZEN
    summary: str
    suite: Suite = "bookworm"
    cpu: Cpu
    memory: Memory | None = Field(None, description="None: this machine's own")
    pci: tuple[PciDevice, ...] = ()
    nvidia: Nvidia | None = None
    software_gpu: bool = Field(False, description="llama-server offloads to Mesa's software Vulkan device")
    machine: bool = Field(False, description="shows itself as a real machine instead of a container")
    undriven: tuple[Gpu, ...] = Field((), description="GPUs as nvidia-smi describes them once a driver is installed")

    def on_a_machine(self) -> Self:
        """The same, and no container."""
        return self.model_copy(update={"machine": True})

    def without_driver(self, bound_to: str | None = None) -> Self:
        """A real machine with the same cards before anybody installed a driver; they may be bound to another one."""
        gpus = self.nvidia.gpus if self.nvidia else ()
        pci = tuple(d.model_copy(update={"driver": bound_to}) if d.driver == "nvidia" else d for d in self.pci)
        return self.model_copy(update={"machine": True, "nvidia": None, "undriven": gpus, "pci": pci})


KINDS: dict[str, Callable[[Profile], Profile]] = {
    "machine": Profile.on_a_machine,
    "bare": Profile.without_driver,
    "passthrough": lambda profile: profile.without_driver("vfio-pci"),
}
"""What a profile's name may end with."""


def names() -> tuple[str, ...]:
    """Names of all profiles."""
    folder = resources.files("inhouse.lab").joinpath("profiles")
    return tuple(sorted(f.name.removesuffix(".yml") for f in folder.iterdir() if f.name.endswith(".yml")))


def load(text: str) -> Profile:
    """The profile `NAME`, `NAME-KIND`, or either with `@SUITE` behind it.

    Raises:
        LabError: no such profile or suite (names the nearest), or its file is not as it must be.
    """
    name, at, suite = text.partition("@")
    base, _, kind = name.rpartition("-")
    if kind in KINDS and base in names():
        return KINDS[kind](load(f"{base}{at}{suite}"))
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise LabError(f"no lab profile is named {name!r}.{hint} There are: {', '.join(names())}.")
    if at and suite not in SUITES:
        raise LabError(f"profile {text!r}: no suite is named {suite!r}. There are: {', '.join(SUITES)}.")
    return _read(name, suite)


def _read(name: str, suite: str) -> Profile:
    content = yaml.safe_load(resources.files("inhouse.lab").joinpath(f"profiles/{name}.yml").read_text())
    if suite:
        content["suite"] = suite
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise LabError(f"profile {name}.yml is not as it must be: {error}") from error


def default_hosts() -> dict[str, str]:
    """Hosts of a lab when none are named: one without a GPU, one with, one whose driver is too old."""
    return {name: name for name in ("cpu-small", "rtx-4090", "old-driver")}


def parse_hosts(texts: Sequence[str]) -> dict[str, str]:
    """Host name → profile, from PROFILE, PROFILE@SUITE or NAME=PROFILE.

    A profile without a name becomes a host of the profile's name; the second of the same name gets a number.

    Raises:
        LabError: no such profile, or two hosts of one name.
    """
    hosts: dict[str, str] = {}
    for text in texts:
        given, equals, profile = text.rpartition("=")
        load(profile)
        base = profile.partition("@")[0]
        name = given if equals else next(n for n in _numbered(base) if n not in hosts)
        if name in hosts:
            raise LabError(f"two lab hosts are named {name!r}; host names must differ.")
        hosts[name] = profile
    return hosts


def _numbered(base: str) -> Iterator[str]:
    yield base
    yield from (f"{base}-{number}" for number in itertools.count(2))
