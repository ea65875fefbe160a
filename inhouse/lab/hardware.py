"""Files that make a container look like the machine of a profile to `lspci`, `free`, `nvidia-smi` and any probe.

Everything here is what a real kernel or driver would show in the same place; nothing is known to the product.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from inhouse.lab.elf import shared_object
from inhouse.lab.engine import DRIVER_MANIFEST
from inhouse.lab.paths import HOST_FOLDER
from inhouse.lab.profiles import Amdgpu, Cpu, Memory, Nvidia, PciDevice, Profile

CONFIG_SPACE_BYTES = 256
LIBRARIES = ("libcuda.so", "libnvidia-ml.so")
SHADER_CACHE = "/var/cache/inhouse-lab-shaders"
"""On a `software-gpu` host; kept between labs, because compiling the shaders takes half a minute."""
BUNDLED_DRIVER = "/opt/inhouse-lab/software-gpu"
DEBIAN_DRIVER = "/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so"


@dataclass(frozen=True)
class Mount:
    """A path of the controller that the engine lays over one of the host's."""

    source: Path
    target: str


def write_mounts(profile: Profile, folder: Path) -> tuple[Mount, ...]:
    """Writes what the engine can mount, and says where to; `folder` must outlive the container."""
    pci = folder / "pci"
    for device in profile.pci:
        _write_pci(device, pci / device.slot)
    pci.mkdir(parents=True, exist_ok=True)
    (folder / "cpuinfo").write_text(cpuinfo(profile.cpu))
    mounts = (Mount(pci, "/sys/bus/pci/devices"), Mount(folder / "cpuinfo", "/proc/cpuinfo"))
    if profile.memory is None:
        return mounts
    (folder / "meminfo").write_text(meminfo(profile.memory))
    return (*mounts, Mount(folder / "meminfo", "/proc/meminfo"))


def meminfo(memory: Memory) -> str:
    """/proc/meminfo: the lines that free, systemd and probes read."""
    total, available = memory.total_mib * 1024, memory.available_mib * 1024
    cached = available // 8
    rows = {
        "MemTotal": total,
        "MemFree": available - cached,
        "MemAvailable": available,
        "Buffers": cached // 8,
        "Cached": cached,
        "SwapCached": 0,
        "Active": (total - available) // 2,
        "Inactive": cached,
        "SwapTotal": 0,
        "SwapFree": 0,
        "Shmem": 8192,
        "Slab": 65536,
        "SReclaimable": 32768,
        "CommitLimit": total // 2,
        "Committed_AS": (total - available) // 2,
        "HugePages_Total": None,
        "HugePages_Free": None,
        "Hugepagesize": 2048,
    }
    return "".join(
        f"{key + ':':<16}{0 if value is None else value:>8}{'' if value is None else ' kB'}\n"
        for key, value in rows.items()
    )


def cpuinfo(cpu: Cpu) -> str:
    """/proc/cpuinfo: one block per thread, threads of a core apart as kernels number them."""
    per_socket = cpu.cores * cpu.threads_per_core
    blocks = []
    for number in range(cpu.sockets * per_socket):
        core = number % (cpu.sockets * cpu.cores)
        rows = {
            "processor": number,
            "vendor_id": cpu.vendor,
            "model name": cpu.model,
            "cpu MHz": f"{cpu.mhz:.3f}",
            "physical id": core // cpu.cores,
            "siblings": per_socket,
            "core id": core % cpu.cores,
            "cpu cores": cpu.cores,
            "flags": cpu.flags,
            "bogomips": f"{2 * cpu.mhz:.2f}",
        }
        blocks.append("".join(f"{key:<11}\t: {value}\n" for key, value in rows.items()))
    return "\n".join(blocks) + "\n"


def config_space(device: PciDevice) -> bytes:
    """The 64 standard bytes of a PCI function's header (type 0), which lspci prints, padded to 256."""
    vendor, product = _pair(device.id)
    subsystem_vendor, subsystem = _pair(device.subsystem)
    class_id = int(device.class_id, 16)
    header = struct.pack(
        "<HHHHBBBBBBBB24x4xHH16x",
        vendor,
        product,
        0x0007,  # command: answers to I/O and memory, may be bus master
        0x0010,  # status: has a list of capabilities
        device.revision,
        class_id & 0xFF,
        class_id >> 8 & 0xFF,
        class_id >> 16,
        0,
        0,
        0,
        0,
        subsystem_vendor,
        subsystem,
    )
    return header.ljust(CONFIG_SPACE_BYTES, b"\0")


def _write_pci(device: PciDevice, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config").write_bytes(config_space(device))
    vendor, product = device.id.split(":")
    subsystem_vendor, subsystem = device.subsystem.split(":")
    for name, value in {
        "vendor": f"0x{vendor}",
        "device": f"0x{product}",
        "subsystem_vendor": f"0x{subsystem_vendor}",
        "subsystem_device": f"0x{subsystem}",
        "class": f"0x{device.class_id}",
        "revision": f"0x{device.revision:02x}",
        "irq": "0",
        "enable": "1",
        "numa_node": "-1",
        "resource": "0x0000000000000000 0x0000000000000000 0x0000000000000000",
    }.items():
        (folder / name).write_text(f"{value}\n")
    if device.amdgpu:
        _write_amdgpu(device.amdgpu, folder)
    if device.driver:
        # As in the real sysfs; nobody needs the folder it points at.
        (folder / "driver").symlink_to(f"../../../bus/pci/drivers/{device.driver}")


def _write_amdgpu(gpu: Amdgpu, folder: Path) -> None:
    """Sizes are bytes, as the kernel writes them."""
    for name, mib in {
        "mem_info_vram_total": gpu.vram_total_mib,
        "mem_info_vram_used": gpu.vram_used_mib,
        "mem_info_gtt_total": gpu.gtt_total_mib,
    }.items():
        (folder / name).write_text(f"{mib * 2**20}\n")
    if gpu.vram_vendor:
        (folder / "mem_info_vram_vendor").write_text(f"{gpu.vram_vendor}\n")
    (folder / "drm" / gpu.render_node).mkdir(parents=True)


def _pair(text: str) -> tuple[int, int]:
    vendor, device = text.split(":")
    return int(vendor, 16), int(device, 16)


def driver_files(nvidia: Nvidia, nvidia_smi: bytes) -> dict[str, bytes]:
    """Files of NVIDIA's driver on the host, by path: its libraries, nvidia-smi, and what the latter answers."""
    libraries = {f"/usr/lib/x86_64-linux-gnu/{name}.{nvidia.library}": shared_object(f"{name}.1") for name in LIBRARIES}
    return libraries | {
        "/usr/bin/nvidia-smi": nvidia_smi,
        f"{HOST_FOLDER}/nvidia.json": json.dumps(nvidia.model_dump(), indent=1).encode(),
    }


def shared_machine_files() -> dict[str, bytes]:
    """Files of every host, by path: its engine leaves room for those of the other hosts on this machine.

    llama.cpp's threads wait for each other without sleeping: with more of them than cores, all engines together
    generate a few tokens a second where one alone generates eighty.
    """
    drop_in = "# The hosts of a lab share one machine's cores.\n[Service]\nEnvironment=LLAMA_ARG_THREADS=1\n"
    return {"/etc/systemd/system/ollama.service.d/lab-threads.conf": drop_in.encode()}


def software_gpu_files(bundled: bool) -> dict[str, bytes]:
    """Files of a host whose llama-server offloads to Mesa's software Vulkan device, by path.

    A drop-in, because nobody runs a service on this device but a lab: the product's own unit stays as it is.

    Args:
        bundled: the driver is the one of the lab's own engine, mounted at BUNDLED_DRIVER; else Debian's.
    """
    manifest = f"{BUNDLED_DRIVER}/{DRIVER_MANIFEST}" if bundled else f"{HOST_FOLDER}/{DRIVER_MANIFEST}"
    drop_in = (
        "# This lab host's GPU is Mesa's software Vulkan device.\n"
        "[Service]\n"
        f"Environment=VK_DRIVER_FILES={manifest}\n"
        "# Without a number llama.cpp passes over devices that are processors.\n"
        "Environment=GGML_VK_VISIBLE_DEVICES=0\n"
        f"Environment=MESA_SHADER_CACHE_DIR={SHADER_CACHE}\n"
        f"CacheDirectory={SHADER_CACHE.removeprefix('/var/cache/')}\n"
    )
    files = {"/etc/systemd/system/ollama.service.d/lab-software-gpu.conf": drop_in.encode()}
    return files if bundled else files | {manifest: software_manifest(DEBIAN_DRIVER)}


def software_manifest(library: str) -> bytes:
    """The file that tells Vulkan's loader where the driver lies."""
    return json.dumps(
        {"file_format_version": "1.0.0", "ICD": {"api_version": "1.3.0", "library_path": library}}
    ).encode()
