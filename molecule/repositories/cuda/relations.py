"""What NVIDIA's CUDA repositories and Ubuntu's archive hold of drivers and toolkits: names, versions, relations.

They are the real ones where they could be read (`apt-cache madison`, `dpkg -l` and apt's own complaints in public
write-ups of Debian 12 and 13 hosts, NVIDIA's driver installation guide); the contents are stand-ins.
"""

from collections.abc import Iterator
from dataclasses import dataclass

LAST_PROPRIETARY_BRANCH = 610
"""From 615 on there is no proprietary module, and `cuda-drivers` is an empty package."""
CUDA_OF_BRANCH = {570: "12.8", 580: "13.0", 595: "13.2", 610: "13.3", 615: "13.4"}

DRIVERS = {
    "debian12": ("570.211.01", "580.159.03", "580.178.04", "595.71.05", "595.91.07", "610.57.04", "615.71.09"),
    # Upstream's has no 580 either.
    "debian13": ("595.71.05", "595.91.07", "610.57.04", "615.71.09"),
}
TOOLKITS = {
    "debian12": {"12.9": "12.9.1", "13.0": "13.0.2", "13.2": "13.2.0"},
    "debian13": {"13.0": "13.0.2", "13.2": "13.2.0"},
}


@dataclass(frozen=True)
class Package:
    """One binary package; `files` names what build.py writes into it."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    architecture: str = "amd64"
    source: str = "nvidia-graphics-drivers"
    contents: str = ""
    """Kind of its contents, a function of contents.py; "": none."""


def packages(distribution: str) -> Iterator[Package]:
    """All of a distribution's CUDA repository."""
    for version in DRIVERS[distribution]:
        yield from driver(version)
        yield pinning(version)
    for branch in sorted({branch_of(version) for version in DRIVERS[distribution]}):
        yield pinning(str(branch))
    for name, version in TOOLKITS[distribution].items():
        yield from toolkit(name, version)
    newest = max(TOOLKITS[distribution].values())
    yield Package("cuda-toolkit", f"{newest}-1", (f"cuda-toolkit-{newest[:2]}-{newest[3]}",), source="cuda-toolkit")
    yield Package("cuda", f"{newest}-1", ("cuda-toolkit", "nvidia-open"), source="cuda")


def branch_of(version: str) -> int:
    """580 of 580.178.04."""
    return int(version.split(".")[0])


def driver(version: str) -> Iterator[Package]:
    """The packages of one driver version in a Debian repository."""
    revision = f"{version}-1"
    exactly = f"(= {revision})"
    proprietary = branch_of(version) <= LAST_PROPRIETARY_BRANCH
    built = ("dkms (>= 3.1.8)", f"nvidia-kernel-support {exactly}", f"firmware-nvidia-gsp {exactly}")
    kernel = tuple(f"{name} {exactly}" for name in ("nvidia-kernel-dkms", "nvidia-kernel-open-dkms")[not proprietary :])
    yield Package("firmware-nvidia-gsp", revision)
    yield Package("nvidia-kernel-support", revision, contents="blacklist")
    yield Package("nvidia-kernel-open-dkms", revision, built, conflicts=("nvidia-kernel-dkms",), contents="open_module")
    if proprietary:
        yield Package(
            "nvidia-kernel-dkms", revision, built, conflicts=("nvidia-kernel-open-dkms",), contents="proprietary_module"
        )
    yield Package("libcuda1", revision, contents="library")
    yield Package("libnvidia-ml1", revision, contents="library")
    yield Package("libnvidia-ptxjitcompiler1", revision, contents="library")
    yield Package("nvidia-modprobe", revision, contents="nvidia_modprobe")
    yield Package("nvidia-persistenced", revision, contents="persistenced")
    yield Package(
        "nvidia-driver-cuda",
        revision,
        (
            *(f"{name} {exactly}" for name in ("libcuda1", "libnvidia-ml1", "libnvidia-ptxjitcompiler1")),
            f"nvidia-persistenced {exactly}",
            "python3",
        ),
        # As on Debian: without it only root can make the devices.
        recommends=("nvidia-modprobe",),
        contents="nvidia_smi",
    )
    yield Package("xserver-xorg-video-nvidia", revision)
    yield Package("nvidia-driver-libs", revision)
    desktop = ("nvidia-driver-libs", "nvidia-driver-cuda", "xserver-xorg-video-nvidia")
    yield Package("nvidia-driver", revision, (*(f"{name} {exactly}" for name in desktop), " | ".join(kernel)))
    whole = f"nvidia-driver {exactly}"
    yield Package("nvidia-open", revision, (whole, f"nvidia-kernel-open-dkms {exactly}"), conflicts=("cuda-drivers",))
    yield Package(
        "cuda-drivers",
        revision,
        (whole, f"nvidia-kernel-dkms {exactly}") if proprietary else (),
        conflicts=("nvidia-open",),
        source="cuda-drivers",
    )


def pinning(to: str) -> Package:
    """Keeps apt on a branch ("580") or on a version ("580.178.04")."""
    return Package(
        f"nvidia-driver-pinning-{to}",
        f"{to}-1",
        conflicts=("nvidia-driver-pinning",),
        provides=("nvidia-driver-pinning",),
        architecture="all",
        source="nvidia-driver-pinning",
        contents="preferences",
    )


def toolkit(name: str, version: str) -> Iterator[Package]:
    """The packages of one toolkit ("13.0") that compile and run; of the real one's 53 no more are needed here."""
    dashed, major = name.replace(".", "-"), name.split(".")[0]
    source, revision = "cuda-toolkit", f"{version}-1"
    common = f"cuda-toolkit-{dashed}-config-common"
    yield Package("cuda-toolkit-config-common", revision, architecture="all", source=source, contents="linker_all")
    yield Package(
        f"cuda-toolkit-{major}-config-common", revision, architecture="all", source=source, contents="linker_major"
    )
    yield Package(
        common,
        revision,
        (f"cuda-toolkit-{major}-config-common", "cuda-toolkit-config-common"),
        architecture="all",
        source=source,
        contents="alternatives",
    )
    yield Package(f"cuda-cudart-dev-{dashed}", revision, (common,), source=source)
    yield Package(
        f"cuda-nvcc-{dashed}", revision, (common, f"cuda-cudart-dev-{dashed}"), source=source, contents="nvcc"
    )
    yield Package(f"cuda-toolkit-{dashed}", revision, (f"cuda-nvcc-{dashed}",), source=source)


def ubuntu_archive() -> Iterator[Package]:
    """Ubuntu's pattern: the branch is in the name, and the packages of a branch that has ended lead to the next."""
    yield from ubuntu_driver("570-server", "570.195.03-0ubuntu0.24.04.1")
    for version in ("580.159.03-0ubuntu0.24.04.1", "580.178.04-0ubuntu0.24.04.1"):
        yield from ubuntu_driver("580-server", version)
    yield from ubuntu_driver("595-server", "595.91.07-0ubuntu0.24.04.1")
    for name in UBUNTU_NAMES:
        ended, next_one = name.format("570-server"), name.format("580-server")
        yield Package(ended, "580.178.04-0ubuntu0.24.04.1", (next_one,))


UBUNTU_NAMES = (
    "libnvidia-compute-{}",
    "nvidia-utils-{}",
    "nvidia-headless-no-dkms-{}",
    "nvidia-headless-no-dkms-{}-open",
)


def ubuntu_driver(branch: str, version: str) -> Iterator[Package]:
    """The compute-only packages of one branch."""
    library, utils, *headless = (name.format(branch) for name in UBUNTU_NAMES)
    yield Package(
        library, version, provides=("libnvidia-compute",), conflicts=("libnvidia-compute",), contents="library"
    )
    yield Package(
        utils,
        version,
        (library, "python3"),
        provides=("nvidia-utils",),
        conflicts=("nvidia-utils",),
        contents="nvidia_smi",
    )
    for name in headless:
        yield Package(name, version, (f"{library} (= {version})",))
