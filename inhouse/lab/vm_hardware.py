"""Pretended PCI devices of a virtual lab host, beside the devices it really has.

QEMU has no device of NVIDIA's. So the folder where the kernel lists PCI devices is covered by one that has the
profile's devices too, at every boot. What binds to them by itself on a real machine (udev, by a device's id) does not.
"""

import json
from pathlib import Path

from inhouse.lab.archive import File
from inhouse.lab.hardware import write_mounts
from inhouse.lab.paths import HOST_FOLDER
from inhouse.lab.profiles import Profile

SCRIPT = f"{HOST_FOLDER}/hardware.sh"
"""Run at every boot by the unit inhouse-lab-hardware."""
_PCI = f"{HOST_FOLDER}/pci"
_DISPLAY_CLASS = "03"
_NVIDIA_VENDOR = "10de"


def files(profile: Profile, scratch: Path) -> dict[str, File]:
    """Files of the host, by path: one folder per device, the script that shows them, and what nvidia-smi says of them.

    Args:
        profile: whose devices are pretended.
        scratch: an empty folder to make them in.
    """
    write_mounts(profile, scratch)
    found = {
        f"{_PCI}/{path.relative_to(scratch / 'pci')}": File(path.read_bytes())
        for path in sorted((scratch / "pci").rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    found[SCRIPT] = File(script(profile).encode())
    if profile.nvidia:
        # What driver there is decides what is installed: the stand-in for nvidia-smi looks for itself.
        described = profile.nvidia.model_dump() | {"module": None, "library": "", "cuda": ""}
        found[f"{HOST_FOLDER}/nvidia.json"] = File(json.dumps(described, indent=1).encode())
    return found


def script(profile: Profile) -> str:
    """What shows the devices; a card's driver is the module that is loaded while the host boots."""
    cards = " ".join(
        device.slot
        for device in profile.pci
        if device.class_id.startswith(_DISPLAY_CLASS) and device.id.startswith(_NVIDIA_VENDOR)
    )
    return f"""\
set -eu
made=/run/inhouse-lab/pci real=/run/inhouse-lab/sys
mkdir -p $made $real
# Private, or it would show the covered folder too, and each link lead to itself.
mount --bind --make-private /sys $real
ln -s $real/bus/pci/devices/* $made/
for device in {_PCI}/*; do
    # A slot that this machine really has is shown as it is.
    [ -e "$made/${{device##*/}}" ] || cp -r "$device" $made/
done
for card in {cards}; do
    for module in nouveau nvidia; do
        if [ -d /sys/module/$module ]; then ln -sfn ../../../bus/pci/drivers/$module $made/$card/driver; fi
    done
done
mount --bind $made /sys/bus/pci/devices
"""
