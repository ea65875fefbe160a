"""Disks that virtual lab hosts start from: a root file system of Debian's packages with a kernel and a boot loader.

The disk is one for UEFI firmware, with Debian's signed boot loaders, so one image serves hosts with Secure Boot and
without. It boots the kernel that was installed last, as Debian's own link `/vmlinuz` names it.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from inhouse.errors import LabError
from inhouse.lab import cached, images
from inhouse.lab.controller import install
from inhouse.lab.paths import cache_dir

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "mformat": "mtools",
}
"""Program → the Debian package that has it."""
FIRMWARE = Path("/usr/share/OVMF")
"""From the package ovmf."""
LABEL = "inhouse-lab"
MIB = 2**20
DISK_MIB, ROOT_START_MIB, BOOT_START_MIB = 8192, 64, 1
"""The disk is sparse: it takes what its files take, about 1.5 GiB."""
IMAGE_MIB = 4096
"""What one image needs while it is made: the root file system beside the disk (measured: about 3 GiB)."""
PACKAGES = (
    *("initramfs-tools", "kmod", "udev", "dkms", "gcc", "make", "libc6-dev", "mokutil", "openssl"),
    "apt-utils",
)
KEPT = ("dkms",)
"""Packages that the repository on the disk has beside the newer kernel."""
BOOT_PACKAGES = ("shim-signed", "grub-efi-amd64-signed")
"""Taken apart for the programs that Microsoft and Debian signed; their scripts would look for a running machine."""
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""All that this machine needs to find its disk: with the usual hundreds, making one takes minutes without KVM."""
GRUB = f"""\
search --no-floppy --label {LABEL} --set=root
linux /vmlinuz root=LABEL={LABEL} ro console=ttyS0 panic=10 quiet mitigations=off
initrd /initrd.img
boot
"""


@dataclass(frozen=True)
class Recipe:
    """What a disk is made of."""

    suite: str
    cloud: bool
    """Debian's small kernel for virtual machines; the ordinary one has drivers of real hardware too, nouveau's too."""

    @property
    def flavour(self) -> str:
        """What stands between `linux-image` and `-amd64`."""
        return "-cloud" if self.cloud else ""

    @property
    def packages(self) -> tuple[str, ...]:
        """Everything that is installed."""
        kernel = (f"linux-image{self.flavour}-amd64", f"linux-headers{self.flavour}-amd64")
        return (*images.PACKAGES, *PACKAGES, *kernel)

    @property
    def key(self) -> str:
        """Changes with anything the disk is made of."""
        scripts = (_script("setup.sh").decode(), _script("vm_setup.sh").decode())
        work = Path("work")
        commands = (mmdebstrap_command(self, work), *boot_commands(work))
        return cached.key((GRUB, *INITRAMFS_MODULES, *scripts, partitions(), *(" ".join(words) for words in commands)))


def ensure_tools() -> None:
    """Installs what makes and runs virtual machines where this process is root.

    Raises:
        LabError: something is missing and cannot be installed from here.
    """
    missing = {package for program, package in TOOLS.items() if shutil.which(program) is None}
    missing |= set() if FIRMWARE.is_dir() else {"ovmf"}
    if not missing:
        return
    if os.geteuid() != 0:
        raise LabError(f"virtual lab hosts need more packages. Run: sudo apt-get install {' '.join(sorted(missing))}")
    install(sorted(missing))


def ensure_disk(recipe: Recipe, on_step: Callable[[str], None]) -> Path:
    """The disk of a recipe, made first where it is missing or the recipe changed; it must not be written to.

    Raises:
        LabError: no space, no tools, or Debian's packages cannot be fetched.
    """
    ensure_tools()
    name = f"vm-{recipe.suite}{recipe.flavour}"

    def make(folder: Path) -> None:
        on_step(f"disk {name}: being made from Debian's packages (once; a few minutes)")
        images.require_space(cache_dir(), IMAGE_MIB)
        _make(recipe, folder)

    return cached.built(cache_dir(), name, recipe.key, make) / "disk.raw"


def _make(recipe: Recipe, folder: Path) -> None:
    work = folder / "work"
    (work / "root").mkdir(parents=True)
    (work / "setup.sh").write_bytes(_script("setup.sh"))
    (work / "vm_setup.sh").write_bytes(_script("vm_setup.sh"))
    (work / "modules").write_text("".join(f"{module}\n" for module in INITRAMFS_MODULES))
    (work / "grub.cfg").write_text(GRUB)
    disk = work / "disk.raw"
    with disk.open("wb") as handle:
        handle.truncate(DISK_MIB * MIB)
    _run(["sfdisk", "--quiet", str(disk)], partitions())
    _run(mmdebstrap_command(recipe, work))
    for command in boot_commands(work):
        _run(command)
    disk.rename(folder / "disk.raw")
    shutil.rmtree(work)


def partitions() -> str:
    """Partition table for sfdisk: where the firmware looks for its boot loader, and the root file system."""
    end = DISK_MIB - 1
    return (
        "label: gpt\nunit: sectors\n"
        f"start={BOOT_START_MIB * 2048}, size={(ROOT_START_MIB - BOOT_START_MIB) * 2048}, type=uefi\n"
        f"start={ROOT_START_MIB * 2048}, size={(end - ROOT_START_MIB) * 2048}, type=linux\n"
    )


def mmdebstrap_command(recipe: Recipe, work: Path) -> list[str]:
    """The command that fills the root file system of `work/disk.raw` and leaves the boot loaders' packages in `work`.

    The kernel comes from the suite itself, without its updates: they are what a host's kernel is upgraded to.
    """
    offset, size = f"offset={ROOT_START_MIB * MIB}", f"{DISK_MIB - 1 - ROOT_START_MIB}M"
    filled = f"mke2fs -q -F -t ext4 -L {LABEL} -d {work}/root -E {offset} {work}/disk.raw {size}"
    hooks = (
        f"upload '{work}/modules' /etc/initramfs-tools/modules",
        'mkdir -p "$1/etc/initramfs-tools/conf.d" && echo MODULES=list >"$1/etc/initramfs-tools/conf.d/lab"',
        f"upload '{work}/setup.sh' /setup.sh",
        f"upload '{work}/vm_setup.sh' /vm_setup.sh",
        f'chroot "$1" sh /setup.sh {recipe.suite} ""',
        f'chroot "$1" sh -c "mkdir /tmp/boot && cd /tmp/boot && apt-get -qq download {" ".join(BOOT_PACKAGES)}"',
        f"sync-out /tmp/boot '{work}'",
        f'chroot "$1" sh /vm_setup.sh {recipe.suite} "{recipe.flavour}" "{" ".join(KEPT)}"',
        'chroot "$1" update-initramfs -u -k all',
        'rm -rf "$1/setup.sh" "$1/vm_setup.sh" "$1"/tmp/*',
        # Bound once more, it is seen without what is mounted on it: /proc and the like.
        f'unshare --mount sh -c \'mount --bind "$1" {work}/root && {filled}\' sh "$1"',
    )
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--quiet",
        f"--include={','.join(recipe.packages)}",
        "--skip=cleanup/apt",
        *(f"--customize-hook={hook}" for hook in hooks),
        recipe.suite,
        "/dev/null",
        f"deb {images.MIRROR} {recipe.suite} main",
    ]


def boot_commands(work: Path) -> list[list[str]]:
    """Commands that put Debian's signed boot loaders where firmware looks for them on any disk."""
    at = f"{work}/disk.raw@@{BOOT_START_MIB}M"
    sectors = str((ROOT_START_MIB - BOOT_START_MIB) * 2048)
    shim, grub = work / "usr/lib/shim", work / "usr/lib/grub/x86_64-efi-signed"
    return [
        *(["sh", "-c", f"dpkg-deb --extract '{work}'/{package}_*.deb '{work}'"] for package in BOOT_PACKAGES),
        ["mformat", "-i", at, "-T", sectors, "-F", "-v", "EFI", "::"],
        ["mmd", "-i", at, "::/EFI", "::/EFI/BOOT", "::/EFI/debian"],
        ["mcopy", "-i", at, str(shim / "shimx64.efi.signed"), "::/EFI/BOOT/BOOTX64.EFI"],
        ["mcopy", "-i", at, str(grub / "grubx64.efi.signed"), "::/EFI/BOOT/grubx64.efi"],
        ["mcopy", "-i", at, str(work / "grub.cfg"), "::/EFI/debian/grub.cfg"],
    ]


def _script(name: str) -> bytes:
    return resources.files("inhouse.lab").joinpath(f"image/{name}").read_bytes()


def _run(command: list[str], given: str = "") -> None:
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise LabError(
            f"a disk for virtual lab hosts could not be made: `{command[0]}` ended with {done.returncode}:\n{last}"
        )
