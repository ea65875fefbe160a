"""What the models of a host run on, and what is wrong with its GPU: a pure mapping from facts."""

from dataclasses import dataclass
from typing import Literal

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.releases import releases
from inhouse.catalogue.version import version
from inhouse.facts.model import DriverState, HostFacts, NvidiaGpu, Virtualization
from inhouse.planner import driver

OLDEST_WITH_FLASH_ATTENTION = (6, 0)
"""Compute capability from which CUDA devices have flash attention (7.2, a Jetson, has not)."""
_NEVER_FLASH = (7, 2)


@dataclass(frozen=True)
class Card:
    """A GPU that Ollama can use now."""

    name: str
    """Short: "RTX 4090"; of a MIG slice "H100 80GB HBM3 MIG 3g.40gb"."""
    memory_mib: int
    """What the device has, whoever holds it."""
    bandwidth_gbs: float | None
    """GB/s; None where the catalogue does not know the card."""
    compute: str | None
    """CUDA compute capability, "8.9"; None from others than NVIDIA and where neither driver nor catalogue tells."""
    unified: bool = False
    """Its memory is the host's RAM."""
    backend: Literal["cuda", "vulkan"] = "cuda"
    taken_mib: int = 0
    """What others than Ollama hold of its memory (a display, other programs): in steps of 256 MiB, 0 below 300 MiB."""
    uuid: str = ""
    """UUID of the GPU or MIG slice, for CUDA_VISIBLE_DEVICES; "" where the driver names none."""
    tflops: float | None = None
    """Dense fp16 TFLOPS; None where the catalogue does not know."""


@dataclass(frozen=True)
class Machine:
    """The accelerator of a host and what is to be said about it."""

    cards: tuple[Card, ...]
    """Empty: the models run on the CPU."""
    has_nvidia: bool
    """A card by NVIDIA is there, in order or not."""
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def flash_attention(self) -> bool:
        """Every card can; the CPU always can."""
        levels = [version(c.compute) for c in self.cards if c.compute]
        return all(level >= OLDEST_WITH_FLASH_ATTENTION and level != _NEVER_FLASH for level in levels)


def judge(facts: HostFacts) -> Machine:
    """Say what the models of a host run on."""
    present = bool(facts.nvidia_devices) or facts.nvidia.state is not DriverState.NO_DEVICE
    if facts.nvidia.state is DriverState.WORKING:
        cards, warnings = _working(facts)
        return Machine(cards, present, (), warnings)
    if facts.nvidia.state is DriverState.NO_DEVICE:
        return Machine((), present, _other_cards(facts), ())
    devices = facts.nvidia_devices
    if devices and all(d.kernel_driver == "vfio-pci" for d in devices):
        given = f"{names(facts)} is handed to a virtual machine (vfio-pci): models run on the CPU here."
        return Machine((), False, (given,), ())
    return Machine((), present, (), (_mend(facts),))


def names(facts: HostFacts) -> str:
    """The NVIDIA cards of a host by name, from the catalogue where no driver tells."""
    if facts.nvidia.gpus:
        found = [short(g.name) for g in facts.nvidia.gpus]
    else:
        rows = [(d.device_id, catalogue.find(d.device_id)) for d in facts.nvidia_devices]
        found = [short(row.name) if row else f"NVIDIA card 10de:{id_}" for id_, row in rows]
    counted = {name: found.count(name) for name in found}
    return " and ".join(f"{n} x {name}" if n > 1 else name for name, n in counted.items()) or "an NVIDIA card"


def short(name: str) -> str:
    """A card's name without its maker: "NVIDIA GeForce RTX 4090" → "RTX 4090"."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _working(facts: HostFacts) -> tuple[tuple[Card, ...], tuple[str, ...]]:
    cards, warnings = [], []
    for gpu in facts.nvidia.gpus:
        if fault := _fault(gpu, facts):
            warnings.append(fault)
        else:
            cards.append(_card(gpu, facts))
    seen = len(facts.nvidia_devices)
    if seen > len(facts.nvidia.gpus):
        warnings.append(
            f"The driver shows {len(facts.nvidia.gpus)} of {seen} NVIDIA cards: the others are lost or not supported. "
            "Look for the cause: sudo dmesg | grep -E 'NVRM|Xid'"
        )
    return tuple(cards), tuple(dict.fromkeys(warnings))


def _card(gpu: NvidiaGpu, facts: HostFacts) -> Card:
    row = _row(gpu, facts)
    unified = gpu.memory_total_mib is None
    return Card(
        name=short(gpu.name),
        memory_mib=facts.memory_total_mib if gpu.memory_total_mib is None else gpu.memory_total_mib,
        bandwidth_gbs=row.bandwidth_gbs if row else None,
        compute=gpu.compute_capability or (row.compute if row else None),
        unified=unified,
        uuid=gpu.uuid,
    )


def _row(gpu: NvidiaGpu, facts: HostFacts) -> catalogue.Gpu | None:
    """The catalogue's row of a GPU: by its PCI id, else by its name (WSL shows no PCI device)."""
    id_ = next((d.device_id for d in facts.nvidia_devices if d.slot == gpu.pci_slot), None)
    return (catalogue.find(id_) if id_ else None) or catalogue.by_name(gpu.name)


def _fault(gpu: NvidiaGpu, facts: HostFacts) -> str | None:
    """Why Ollama would not use a GPU whose driver works, and what mends it."""
    ollama = releases().ollama
    row = _row(gpu, facts)
    compute = gpu.compute_capability or (row.compute if row else None)
    if compute and version(compute) < version(ollama.compute_floor):
        return (
            f"{short(gpu.name)} has compute capability {compute}, Ollama needs {ollama.compute_floor} or newer: "
            "its models run on the CPU, and no driver changes that."
        )
    older = compute is not None and version(compute) < (7, 0)
    floor = ollama.driver_floor_below_compute_7 if older else ollama.driver_floor
    if (version(gpu.driver_version) or (0,))[0] >= floor:
        return None
    return _sentence(
        facts, f"NVIDIA driver {gpu.driver_version} found for {names(facts)}, {floor} or newer is needed by Ollama"
    )


def _mend(facts: HostFacts) -> str:
    """What is wrong with a driver that is missing or does not answer, and what mends it."""
    nvidia = facts.nvidia
    devices = facts.nvidia_devices
    if devices and all(catalogue.too_old(d.device_id) for d in devices):
        return (
            f"{names(facts)} is older than any card Ollama supports: models run on the CPU, and no driver changes that."
        )
    if nvidia.state is DriverState.NO_DRIVER:
        rival = next((d.kernel_driver for d in devices if d.kernel_driver == "nouveau"), None)
        bound = ", its kernel driver is nouveau, which cannot compute" if rival else ""
        return _sentence(facts, f"{names(facts)} found without NVIDIA's driver{bound}")
    module, library = nvidia.module_version, nvidia.library_version
    if module and library and module != library:
        found = f"NVIDIA's kernel module is {module}, its libraries are {library}; they must be equal"
        return _sentence(facts, found, "sudo systemctl reboot")
    said = f' (nvidia-smi: "{" ".join(nvidia.message.split())}")' if nvidia.message else ""
    if module is None and library:
        headers = "sudo apt-get install -y linux-headers-$(uname -r)"
        steps = f"{headers} && sudo dkms autoinstall && sudo modprobe -a nvidia nvidia-uvm"
        found = f"NVIDIA's libraries {library} are there but no kernel module is loaded{said}"
        return _sentence(facts, found, steps if facts.os.id in {"debian", "ubuntu"} else None)
    return _sentence(facts, f"NVIDIA's driver does not answer{said}; the kernel says why: sudo dmesg | grep NVRM")


def _sentence(facts: HostFacts, found: str, command: str | None = None) -> str:
    """Found, what follows, and the command, typed where the driver belongs."""
    consequence = "until then models run on the CPU"
    if facts.virtualization is Virtualization.WSL:
        return f"{found}: {consequence}. Update the NVIDIA driver in Windows, then run there: wsl --shutdown"
    command = command or driver.install(facts)
    if facts.virtualization is Virtualization.CONTAINER:
        where = (
            f"This system is a container ({facts.virtualization_name}): its driver belongs to the machine it runs on"
        )
        return f"{found}: {consequence}. {where}. Run there: {command}"
    return f"{found}: {consequence}. Run: {command}"


def _other_cards(facts: HostFacts) -> tuple[str, ...]:
    """What is said about cards that are not planned for."""
    if facts.amd_devices:
        ids = ", ".join(f"1002:{d.device_id}" for d in facts.amd_devices)
        return (
            f"AMD display device found ({ids}): this release plans AMD GPUs as if absent, so models run on the CPU.",
        )
    if facts.intel_devices:
        ids = ", ".join(f"8086:{d.device_id}" for d in facts.intel_devices)
        return (f"Intel display device found ({ids}): it is too slow or not supported, so models run on the CPU.",)
    return ("No GPU found: models run on the CPU.",)
