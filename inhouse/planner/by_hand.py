"""Commands that mend a GPU's driver, typed by hand: where no role does it."""

from inhouse.facts.model import HostFacts, Virtualization
from inhouse.planner import driver
from inhouse.planner.driver import Impossible, Wanted

_CODENAMES = {"12": "bookworm", "13": "trixie"}
_MIRROR = "http://deb.debian.org/debian"
_REPOSITORY = "https://developer.download.nvidia.com/compute/cuda/repos"
_KEYRING = "cuda-keyring_1.1-1_all.deb"
_KEYRING_SHA256 = {
    "12": "e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
    "13": "dd28f1f6ba0038180d6b23f846cefca1e3de4c9327751665241370bacea452a1",
}
"""By release of Debian, as Google's installer of GPU drivers pins them."""
_RESTART = "sudo systemctl reboot"


def install(facts: HostFacts) -> str:
    """What installs a driver Ollama accepts, for the host's distribution and cards: "Run: " and one line, or advice."""
    wanted = driver.decide(facts)
    if isinstance(wanted, Impossible):
        return f"{wanted.why} {wanted.advice}"
    return f"{_place(facts)}: {_install(facts, wanted)}"


def _place(facts: HostFacts) -> str:
    """Where a command is typed: a container's driver is its host's."""
    if facts.virtualization is not Virtualization.CONTAINER:
        return "Run"
    system = f"This system is a container ({facts.virtualization_name})"
    return f"{system}: its driver belongs to the machine it runs on. Run there"


def _install(facts: HostFacts, wanted: Wanted) -> str:
    match facts.os.id, facts.os.version_id, wanted.source:
        case "debian", ("12" | "13") as release, "nvidia":
            return _from_nvidia(release, wanted, facts)
        case "debian", ("12" | "13") as release, _:
            return _from_debian(release, wanted)
        case "ubuntu", _, _:
            flavour = "-open" if wanted.module == "open" else ""
            packages = f"nvidia-headless-no-dkms-{wanted.branch}-server{flavour} nvidia-utils-{wanted.branch}-server"
            modules = f"linux-modules-nvidia-{wanted.branch}-server{flavour}-generic"
            return f"sudo apt-get update && sudo apt-get install -y {modules} {packages} && {_RESTART}"
        case _:
            return (
                f"install NVIDIA's driver of branch {wanted.branch} as the makers of {facts.os.name} describe, "
                "then reboot"
            )


def install_amd(facts: HostFacts) -> str:
    """One line that gives the kernel driver amdgpu what it lacks: its firmware, and on cloud images itself."""
    match facts.os.id, facts.os.version_id:
        case "debian", ("12" | "13") as release:
            kernel = " linux-image-amd64" if "-cloud-" in facts.os.kernel else ""
            return f"{_with(release, 'non-free-firmware')} firmware-amd-graphics{kernel} && {_RESTART}"
        case "ubuntu", _:
            packages = "linux-firmware linux-modules-extra-$(uname -r)"
            return f"sudo apt-get update && sudo apt-get install -y {packages} && {_RESTART}"
        case _:
            return f"install the firmware of AMD's GPUs as the makers of {facts.os.name} describe, then reboot"


def run(facts: HostFacts, command: str) -> str:
    """Say where a command that mends a driver is typed: on the machine that the driver belongs to."""
    return f"{_place(facts)}: {command}"


def _from_nvidia(release: str, wanted: Wanted, facts: HostFacts) -> str:
    folder = "sbsa" if facts.os.architecture == "aarch64" else "x86_64"
    package = "nvidia-open" if wanted.module == "open" else "cuda-drivers"
    steps = (
        f"curl -fsSLO {_REPOSITORY}/debian{release}/{folder}/{_KEYRING}",
        f"echo '{_KEYRING_SHA256[release]} *{_KEYRING}' | sha256sum -c",
        f"sudo apt-get install -y ./{_KEYRING}",
        "sudo apt-get update",
        f"sudo apt-get install -y nvidia-driver-pinning-{wanted.branch}",
        f"sudo apt-get install -y linux-headers-$(uname -r) {package}",
        _RESTART,
    )
    return " && ".join(steps)


def _from_debian(release: str, wanted: Wanted) -> str:
    module = "nvidia-open-kernel-dkms" if wanted.module == "open" else "nvidia-kernel-dkms"
    packages = f"linux-headers-$(uname -r) {module} nvidia-smi libcuda1 nvidia-persistenced nvidia-modprobe"
    return f"{_with(release, 'contrib non-free non-free-firmware')} {packages} && {_RESTART}"


def _with(release: str, components: str) -> str:
    """The beginning of a line that installs packages of parts of Debian that a host may not have switched on."""
    source = f"deb {_MIRROR} {_CODENAMES[release]} {components}"
    name = components.rpartition(" ")[2]
    return (
        f"echo '{source}' | sudo tee /etc/apt/sources.list.d/{name}.list && sudo apt-get update && "
        "sudo apt-get install -y"
    )
