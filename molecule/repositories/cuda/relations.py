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
PUBLISHED_LATER = ("580.178.04", "595.91.07")
"""Newer versions that the earlier state of the repositories does not have yet."""
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
    maintainer: str = "stand-in <cudatools@nvidia.com>"
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


def was_there_earlier(package: Package) -> bool:
    """Whether the package belongs to the earlier state of a repository."""
    return not package.version.startswith(PUBLISHED_LATER)


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
    for name in ("cuda-toolkit", "cuda-minimal-build"):
        yield Package(f"{name}-{dashed}", revision, (f"cuda-nvcc-{dashed}",), source=source)


UBUNTU = "stand-in <ubuntu-devel-discuss@lists.ubuntu.com>"
UBUNTU_REVISION = "0ubuntu0.24.04.1"
UBUNTU_BRANCHES = {
    "570-server": ("570.195.03",),
    "580-server": ("580.159.03", "580.178.04"),
    "595-server": ("595.91.07",),
}
UBUNTU_ENDED = {"570-server": ("580-server", "580.178.04")}
"""Branch that has ended → the one that its packages lead to since, and from which version on."""


def ubuntu_archive() -> Iterator[Package]:
    """Ubuntu's pattern: the branch is in the name, and the packages of a branch that has ended lead to the next."""
    for branch, versions in UBUNTU_BRANCHES.items():
        for version in versions:
            yield from ubuntu_driver(branch, f"{version}-{UBUNTU_REVISION}")
    for ended, (following, version) in UBUNTU_ENDED.items():
        for package, successor in zip(ubuntu_driver(ended, ""), ubuntu_driver(following, ""), strict=True):
            yield Package(package.name, f"{version}-{UBUNTU_REVISION}", (successor.name,), maintainer=UBUNTU)


def ubuntu_driver(branch: str, version: str) -> Iterator[Package]:
    """The compute-only packages of one branch; no two branches go together."""
    library, utils = f"libnvidia-compute-{branch}", f"nvidia-utils-{branch}"

    def package(name: str, depends: tuple[str, ...], virtual: str = "", contents: str = "") -> Package:
        only = (virtual,) if virtual else ()
        return Package(name, version, depends, (), only, only, maintainer=UBUNTU, contents=contents)

    yield package(library, (), "libnvidia-compute", "library")
    yield package(utils, (f"{library} (= {version})", "python3"), "nvidia-utils", "nvidia_smi")
    for flavour in ("", "-open"):
        yield package(f"nvidia-headless-no-dkms-{branch}{flavour}", (f"{library} (= {version})",))
        yield package(f"linux-modules-nvidia-{branch}{flavour}-generic", ())
