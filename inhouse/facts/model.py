"""What is true on a host now: frozen, typed, as the probe saw it.

Sizes are MiB (2**20 bytes). None means the host did not say; it never means zero.
"""

from dataclasses import dataclass
from enum import StrEnum

from inhouse.catalogue.chips import AMD, INTEL, NVIDIA
from inhouse.facts.machine import NOTHING_KNOWN, MachineFacts

PASSED_THROUGH = frozenset({"vfio-pci", "pci-stub", "pciback", "xen-pciback"})
"""Kernel drivers that keep a device for a virtual machine: it is not this host's."""


class DriverState(StrEnum):
    """State of the NVIDIA driver; "installed" is not "working"."""

    NO_DEVICE = "no device"
    NO_DRIVER = "no driver"
    CANNOT_TALK = "driver cannot talk"
    WORKING = "working"


@dataclass(frozen=True)
class OperatingSystem:
    """From /etc/os-release and uname."""

    id: str
    """ID of os-release: "debian", "ubuntu", "rocky", …"""
    version_id: str
    """VERSION_ID of os-release: "12", "24.04", …; "" on rolling systems."""
    name: str
    """PRETTY_NAME of os-release."""
    kernel: str
    architecture: str
    """uname -m: "x86_64", "aarch64", …"""


class Virtualization(StrEnum):
    """What the system runs in; decides whether a driver may be installed."""

    NONE = "none"
    CONTAINER = "container"
    VM = "vm"
    WSL = "wsl"


@dataclass(frozen=True)
class Cpu:
    """From /proc/cpuinfo."""

    model: str
    cores: int
    """Physical cores."""
    threads: int
    flags: frozenset[str]


@dataclass(frozen=True)
class Disk:
    """The file system a folder is or would be on."""

    path: str
    total_mib: int
    free_mib: int


@dataclass(frozen=True)
class DisplayDevice:
    """A PCI device of display class (03xx) or a processing accelerator (1200)."""

    slot: str
    """DOMAIN:BUS:DEVICE.FUNCTION, as in /sys/bus/pci/devices."""
    vendor_id: str
    """Four lower-case hex digits: "10de" NVIDIA, "1002" AMD, "8086" Intel."""
    device_id: str
    """Four lower-case hex digits."""
    class_id: str
    """Six lower-case hex digits."""
    kernel_driver: str | None
    """The bound kernel driver ("nvidia", "nouveau", "vfio-pci", "amdgpu", …)."""


@dataclass(frozen=True)
class GpuProcess:
    """A program that computes on a GPU, as the driver lists it."""

    pid: int
    name: str
    """Its path; "[Not Found]" and the like where the driver may not say."""
    memory_mib: int | None
    ollama: bool
    """Belongs to the Ollama that serves here: its unit's, or of inhouse's own release."""


@dataclass(frozen=True)
class MigSlice:
    """A slice (MIG device) of a GPU that is split: to a program a GPU of its own."""

    index: int
    """Number within its GPU."""
    profile: str
    """ "3g.40gb": three parts of its compute units and about 40 GB."""
    uuid: str
    """ "MIG-…", as CUDA_VISIBLE_DEVICES takes it."""
    memory_total_mib: int | None
    memory_used_mib: int | None


@dataclass(frozen=True)
class NvidiaGpu:
    """One GPU as a working driver reports it."""

    index: int
    name: str
    uuid: str
    pci_slot: str
    memory_total_mib: int | None
    """None where memory is unified with the host's ("[N/A]")."""
    memory_free_mib: int | None
    compute_capability: str | None
    """ "8.9"; None from drivers too old to say."""
    driver_version: str
    mig: bool = False
    """In MIG mode: a program gets one slice, not the whole memory, and nothing where there is no slice."""
    memory_used_mib: int | None = None
    """Held by anybody: displays, programs, Ollama."""
    processes: tuple[GpuProcess, ...] | None = None
    """Programs that compute on it. In a container and in WSL the driver lists none, whatever there are."""
    slices: tuple[MigSlice, ...] = ()


@dataclass(frozen=True)
class NvidiaDriver:
    """The driver's state, and why."""

    state: DriverState
    module_version: str | None
    """Version of the loaded kernel module."""
    library_version: str | None
    """Version of the user-space library (libcuda, nvidia-smi)."""
    message: str
    """What nvidia-smi said when it failed; "" otherwise."""
    gpus: tuple[NvidiaGpu, ...]


@dataclass(frozen=True)
class AmdGpu:
    """A GPU to which the kernel driver amdgpu is bound, as sysfs describes it."""

    pci_slot: str
    name: str | None
    """Product name; most cards have none in sysfs."""
    memory_total_mib: int | None
    """Its own memory; on a processor's graphics the part that the firmware set aside."""
    memory_used_mib: int | None
    """Held by anybody: displays, programs, Ollama."""
    shared_mib: int | None
    """Of the host's RAM it may use besides (GTT)."""
    gfx: str | None
    """LLVM's name of its architecture, "gfx1100"."""
    integrated: bool | None
    """Part of a processor, without memory of its own; None where nothing tells."""
    ollama_mib: int | None
    """Part of the used memory that the Ollama of this host holds; None where the kernel does not show it."""
    render_node: str | None
    """Its device below /dev/dri, which programs compute by; in a container it may be missing."""


@dataclass(frozen=True)
class ListeningPort:
    """A TCP socket in state LISTEN."""

    address: str
    port: int
    process: str | None


@dataclass(frozen=True)
class Installed:
    """Versions of what inhouse manages or must not collide with; None: not there."""

    ollama: str | None
    """The release inhouse's own `current` link points at."""
    foreign_ollama: str | None
    """Path of an Ollama or of its unit that inhouse did not put there."""
    open_webui: str | None
    caddy: str | None
    docker: str | None
    python: str | None
    """Version of /usr/bin/python3."""
    curl: bool
    zstd: bool


@dataclass(frozen=True)
class HostFacts:
    """Everything one probe of one host found."""

    host: str
    """The inventory's name of the host."""
    os: OperatingSystem
    virtualization: Virtualization
    virtualization_name: str
    """As systemd-detect-virt names it: "docker", "lxc", "kvm", "wsl", "none", …"""
    cpu: Cpu
    memory_total_mib: int
    memory_available_mib: int
    models_disk: Disk
    display_devices: tuple[DisplayDevice, ...]
    nvidia: NvidiaDriver
    installed: Installed
    listening: tuple[ListeningPort, ...]
    fleet: str | None
    """Fingerprint of the fleet CA that manages this host; None: nobody's yet."""
    certificate_pem: str | None
    """The certificate the proxy serves, if inhouse put one there."""
    clock_offset_s: float
    """Host's clock minus the controller's, in seconds."""
    systemd: bool
    """systemd runs as PID 1."""
    amd: tuple[AmdGpu, ...] = ()
    board: str | None = None
    """The device tree's name of the machine ("NVIDIA Jetson AGX Orin Developer Kit"); None on PCs and servers."""
    jetson_linux: str | None = None
    """Release of NVIDIA's Linux for Jetson ("36.4.3"); None elsewhere."""
    machine: MachineFacts = NOTHING_KNOWN
    """What the roles of the machine layer start from."""

    @property
    def amd_devices(self) -> tuple[DisplayDevice, ...]:
        """Display devices of AMD."""
        return tuple(d for d in self.display_devices if d.vendor_id == AMD)

    @property
    def intel_devices(self) -> tuple[DisplayDevice, ...]:
        """Display devices of Intel."""
        return tuple(d for d in self.display_devices if d.vendor_id == INTEL)

    @property
    def nvidia_devices(self) -> tuple[DisplayDevice, ...]:
        """Display devices of NVIDIA."""
        return tuple(d for d in self.display_devices if d.vendor_id == NVIDIA)
