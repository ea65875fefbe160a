"""The script that lays pretended drivers below /proc, /sys and /dev at every boot of a lab host.

The engine refuses mounts below /proc/driver, and one over /sys/module or /sys/class would hide all else there.
"""

from collections.abc import Iterator
from importlib import resources

from inhouse.lab.paths import HOST_FOLDER
from inhouse.lab.profiles import Amdgpu, Nvidia, Profile

NVIDIA_CHARACTER_MAJOR = 195
"""Major number of /dev/nvidia* (the kernel's devices.txt)."""
DRM_CHARACTER_MAJOR = 226
"""Major number of /dev/dri/*."""


def script(profile: Profile) -> str | None:
    """What is laid at boot; None where the engine's mounts suffice."""
    parts = [*_nvidia(profile.nvidia)] if profile.nvidia else []
    parts += _amdgpu({device.slot: device.amdgpu for device in profile.pci if device.amdgpu})
    parts += _machine(covered=bool(profile.nvidia and profile.nvidia.module)) if profile.machine else []
    return "\n".join(["set -eu", *parts]) + "\n" if parts else None


def _nvidia(nvidia: Nvidia) -> Iterator[str]:
    yield "ldconfig"
    if nvidia.module is None:
        return
    yield "mount -t tmpfs -o mode=755 inhouse-lab /proc/driver"
    yield "mkdir -p /proc/driver/nvidia"
    yield f"cat >/proc/driver/nvidia/version <<'END'\n{module_banner(nvidia)}END"
    yield "modules=/run/inhouse-lab/module"
    yield "mkdir -p $modules/nvidia"
    yield f"echo {nvidia.module} >$modules/nvidia/version"
    yield "echo live >$modules/nvidia/initstate"
    yield from _beside("/sys/module", "$modules")
    yield from (
        # A kernel built without loadable modules has no such file.
        "if [ -e /proc/modules ]; then",
        "    { cat /proc/modules; echo 'nvidia 9777152 0 - Live 0x0000000000000000 (OE)'; } >/run/inhouse-lab/modules",
        "    mount --bind /run/inhouse-lab/modules /proc/modules",
        "fi",
    )
    yield f"mknod -m 666 /dev/nvidiactl c {NVIDIA_CHARACTER_MAJOR} 255"
    for number in range(len(nvidia.gpus)):
        yield f"mknod -m 666 /dev/nvidia{number} c {NVIDIA_CHARACTER_MAJOR} {number}"


def _machine(covered: bool) -> Iterator[str]:
    """Nothing says any more that this is a container, and modules can be seen to be loaded.

    Args:
        covered: /sys/module is laid over already.
    """
    yield "rm -f /.dockerenv"
    if not covered:
        yield "modules=/run/inhouse-lab/module"
        yield "mkdir -p $modules"
        yield from _beside("/sys/module", "$modules")
    # Debian 12 has kmod's programs in /sbin, 13 in /usr/sbin, which are one folder.
    for folder in ("/sbin", "/usr/sbin"):
        yield f"for program in {folder}/modprobe {folder}/rmmod; do"
        yield '    dpkg-divert --quiet --local --no-rename --divert "$program.real" --add "$program"'
        yield "done"
    yield f"ln -sf {HOST_FOLDER}/modprobe.sh /usr/sbin/modprobe"
    yield f"ln -sf {HOST_FOLDER}/modprobe.sh /usr/sbin/rmmod"
    detect = "/usr/bin/systemd-detect-virt"
    yield f"dpkg-divert --quiet --local --rename --divert {detect}.real --add {detect}"
    yield f"ln -sf {HOST_FOLDER}/detect_virt.sh {detect}"
    # What udev does for a card, as far as there is a module for it.
    yield "modprobe nvidia 2>/dev/null || true"


def machine_files() -> dict[str, bytes]:
    """Files of a host that pretends to be a real machine, by path; those whose names end with .sh are programs."""
    programs = ("modprobe.sh", "detect_virt.sh")
    files = {f"{HOST_FOLDER}/{n}": resources.files("inhouse.lab").joinpath(n).read_bytes() for n in programs}
    # The next boot's systemd must know that it is in a container, or it would look for disks.
    drop_in = b"[Service]\nExecStop=/bin/touch /.dockerenv\n"
    return files | {"/etc/systemd/system/inhouse-lab-hardware.service.d/machine.conf": drop_in}


def _amdgpu(gpus: dict[str, Amdgpu]) -> Iterator[str]:
    """The compute topology and the devices of /dev/dri, which nobody can open: there is nothing behind them."""
    if not gpus:
        return
    yield "class=/run/inhouse-lab/class nodes=/run/inhouse-lab/class/kfd/kfd/topology/nodes"
    yield "mkdir -p $nodes/0 /dev/dri"
    yield "printf 'simd_count 0\\nlocation_id 0\\ndomain 0\\ngfx_target_version 0\\n' >$nodes/0/properties"
    for number, (slot, gpu) in enumerate(gpus.items(), 1):
        rows = (
            f"simd_count {gpu.simd_count}\\nlocation_id {_location(slot)}\\n"
            f"domain {int(slot[:4], 16)}\\ngfx_target_version {gpu.gfx_target_version}\\n"
        )
        yield f"mkdir $nodes/{number}"
        yield f"printf '{rows}' >$nodes/{number}/properties"
        minor = gpu.render_node.removeprefix("renderD")
        yield f"mknod -m 660 /dev/dri/{gpu.render_node} c {DRM_CHARACTER_MAJOR} {minor}"
    yield from _beside("/sys/class", "$class")


def _location(slot: str) -> int:
    """Bus and function of a slot as one number, as the compute topology writes it."""
    _, bus, rest = slot.split(":")
    device, function = rest.split(".")
    return int(bus, 16) << 8 | int(device, 16) << 3 | int(function)


def _beside(folder: str, made: str) -> Iterator[str]:
    """Lay what was made over a folder of /sys, beside links to all that is really in it.

    The links lead into another mount of all of /sys, because what they lead to are relative links themselves.
    """
    yield "mkdir -p /run/inhouse-lab/sys"
    yield "mountpoint -q /run/inhouse-lab/sys || mount --bind /sys /run/inhouse-lab/sys"
    yield f'for real in /run/inhouse-lab{folder}/*; do ln -s "$real" "{made}/${{real##*/}}"; done'
    yield f"mount --bind {made} {folder}"


def module_banner(nvidia: Nvidia) -> str:
    """/proc/driver/nvidia/version as the open and the proprietary module write it."""
    kind = "NVIDIA UNIX Open Kernel Module for x86_64" if nvidia.open_module else "NVIDIA UNIX x86_64 Kernel Module"
    return f"NVRM version: {kind}  {nvidia.module}  Release Build  (lab host)\nGCC version:  gcc version 12.2.0\n"
