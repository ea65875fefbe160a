"""What the roles of the machine layer start from: kernels, where the driver comes from, what roles left on record."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from inhouse.facts.sections import Sections

_BY_NVIDIA = "nvidia.com"
"""In the maintainer of every package of NVIDIA's own repositories."""
_BY_DISTRIBUTION = ("debian.org", "ubuntu.com", "debian nvidia maintainers", "red hat", "rocky", "almalinux", "centos")
"""In the maintainer or the vendor of the packages of a distribution."""
_DRIVER = re.compile(
    r"(libcuda1|libnvidia-(compute|ml).*|nvidia-(driver(?!-pinning|-assistant).*|kernel-.*|.*dkms.*|smi|utils.*|open.*))$"
)
"""Packages of the driver, by the names that Debian, Ubuntu and NVIDIA give them."""


class DriverOrigin(StrEnum):
    """Where an NVIDIA driver that is installed comes from."""

    NONE = "none"
    DISTRIBUTION = "distribution"
    NVIDIA = "nvidia"
    RUNFILE = "runfile"
    """NVIDIA's installer (.run): no package manager knows of it, nvidia-uninstall removes it."""
    FILES = "files"
    """Libraries that belong to no package, and nothing that would remove them."""
    OTHER = "other"
    """Packages of somebody else."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that is installed."""

    name: str
    """As `uname -r` prints it when it runs."""
    headers: bool
    """Modules can be built for it."""
    module: str | None
    """Version of the NVIDIA module on the disk for it."""


@dataclass(frozen=True)
class RoleRecord:
    """What a role wrote down when it last ran."""

    role: str
    variables: tuple[tuple[str, str], ...] = ()
    """What it was run with: names and values, as JSON. Empty where it did not say."""
    reboot_needed: bool = False
    """It asked for a restart, and the host was not restarted since."""
    finished: bool = True
    """It came to its end, and was not cut off."""

    def had(self, variable: str) -> bool:
        """Whether it ran with a variable set to true."""
        return (variable, "true") in self.variables


@dataclass(frozen=True)
class MachineFacts:
    """The machine below the services."""

    secure_boot: bool | None = None
    """The firmware takes signed modules only; None where there is no UEFI."""
    reboot_required: bool = False
    """The system itself asks for a restart."""
    kernels: tuple[Kernel, ...] = ()
    """All installed ones, oldest first; the running one is not among them in a container."""
    open_module: bool | None = None
    """The loaded NVIDIA module is the open one; None where none is loaded."""
    driver_origin: DriverOrigin | None = None
    """None where the probe did not look."""
    held: tuple[str, ...] = ()
    """Packages of NVIDIA's that no upgrade may touch."""
    cuda_toolkits: tuple[str, ...] = ()
    """Versions ("12.9"), the distribution's own included."""
    desktop: bool = False
    """Somebody can sign in on a screen: a display manager is installed."""
    nvswitch: bool = False
    """GPUs are joined by NVSwitch, which needs NVIDIA's fabric manager."""
    container_gpu: bool = False
    """Containers can be given NVIDIA's GPUs: they are described by CDI."""
    records: tuple[RoleRecord, ...] = ()

    @property
    def newest_kernel(self) -> Kernel | None:
        """What the next restart boots."""
        return self.kernels[-1] if self.kernels else None

    def record(self, role: str) -> RoleRecord | None:
        """What a role left; None if it never ran here."""
        return next((record for record in self.records if record.role == role), None)


NOTHING_KNOWN = MachineFacts()


def read_machine(sections: Sections) -> MachineFacts:
    """Return what the probe's sections say; recordings from before they were there say nothing."""
    boot, packages = sections["boot"], sections["nvidia-packages"].lines
    secure = boot.value("secure-boot")
    return MachineFacts(
        secure_boot=None if secure is None else secure == "1",
        reboot_required=boot.value("reboot-required") is not None,
        kernels=_kernels(sections),
        open_module=_open_module(sections["nvidia-flavour"].first),
        driver_origin=_origin(sections) if "nvidia-packages" in sections else None,
        held=tuple(sorted(line.split()[1] for line in packages if line.startswith("h"))),
        cuda_toolkits=_toolkits(sections),
        desktop=boot.value("display-manager") is not None,
        nvswitch=boot.value("nvswitch") is not None,
        container_gpu=boot.value("cdi") is not None,
        records=_records(sections),
    )


def _kernels(sections: Sections) -> tuple[Kernel, ...]:
    """Lines "NAME headers=yes module=VERSION", sorted as boot loaders do: numbers by their size."""
    found = []
    for line in sections["kernels"].lines:
        name, *words = line.split()
        said = dict(word.split("=", 1) for word in words if "=" in word)
        found.append(Kernel(name, said.get("headers") == "yes", said.get("module") or None))
    return tuple(sorted(found, key=lambda kernel: _by_number(kernel.name)))


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.findall(r"\d+|\D+", name)]


def _open_module(said: str | None) -> bool | None:
    """From the first line of /proc/driver/nvidia/version."""
    return None if not said else "Open Kernel Module" in said


def _origin(sections: Sections) -> DriverOrigin:
    """Of the package that holds the driver's libraries; without one, of the installer that left its uninstaller."""
    for line in sections["nvidia-packages"].lines:
        _, name, _, *maintainer = line.split()
        if _DRIVER.match(name):
            by = " ".join(maintainer).lower()
            if _BY_NVIDIA in by or by.startswith("nvidia"):
                return DriverOrigin.NVIDIA
            ours = any(word in by for word in _BY_DISTRIBUTION)
            return DriverOrigin.DISTRIBUTION if ours else DriverOrigin.OTHER
    if sections["boot"].value("nvidia-uninstall"):
        return DriverOrigin.RUNFILE
    return DriverOrigin.FILES if sections["nvidia-libraries"].lines else DriverOrigin.NONE


def _toolkits(sections: Sections) -> tuple[str, ...]:
    """From folders "/usr/local/cuda-12.9", and the version of the distribution's package."""
    found = {match[1] for line in sections["cuda-toolkits"].lines if (match := re.search(r"/cuda-(\d+\.\d+)$", line))}
    for line in sections["nvidia-packages"].lines:
        if match := re.match(r"\S+\s+nvidia-cuda-toolkit(?::\w+)? (\d+\.\d+)", line):
            found.add(match[1])
    return tuple(sorted(found, key=_by_number))


def _records(sections: Sections) -> tuple[RoleRecord, ...]:
    """Lines "ROLE {…}". A record that is no JSON is none: the role writes it anew."""
    boot_id = sections["boot"].value("boot-id")
    found = []
    for line in sections["role-records"].lines:
        role, _, text = line.strip().partition(" ")
        try:
            record = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            found.append(_record(role, record, boot_id))
    return tuple(sorted(found, key=lambda record: record.role))


def _record(role: str, record: dict[str, object], boot_id: str | None) -> RoleRecord:
    variables = record.get("variables")
    pairs = variables.items() if isinstance(variables, dict) else ()
    waiting = bool(record.get("reboot_needed")) and record.get("boot_id") == boot_id
    values = tuple(sorted((str(name), json.dumps(value, sort_keys=True)) for name, value in pairs))
    return RoleRecord(role, values, waiting, finished=record.get("finished") is not False)
