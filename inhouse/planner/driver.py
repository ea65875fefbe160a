"""The commands that mend an NVIDIA driver, by distribution: what to type until a role does it."""

from inhouse.catalogue.gpus import find, last_branch
from inhouse.facts.model import HostFacts, Virtualization

CURRENT_BRANCH = 595
"""Production branch of NVIDIA's driver for Turing and newer."""

_CODENAMES = {"12": "bookworm", "13": "trixie"}
_REPOSITORY = "https://developer.download.nvidia.com/compute/cuda/repos"
_KEYRING = "cuda-keyring_1.1-1_all.deb"
_KEYRING_SHA256 = {
    "debian12": "e7f219eab6fe4819cdb5c15b98233dc3420302d9c00883219cd3d896857cf48d",
    "debian13": "dd28f1f6ba0038180d6b23f846cefca1e3de4c9327751665241370bacea452a1",
}
"""As Google's installer of GPU drivers pins them."""


def branch(facts: HostFacts) -> int:
    """The driver branch that knows every NVIDIA card of the host."""
    limits = [limit for d in facts.nvidia_devices if (limit := last_branch(d.device_id))]
    return min(limits, default=CURRENT_BRANCH)


def install(facts: HostFacts) -> str:
    """One line that installs a driver Ollama accepts, for the host's distribution and cards."""
    wanted = branch(facts)
    old = wanted != CURRENT_BRANCH
    if old and _needs_open_module(facts):
        return (
            f"sudo poweroff, and take cards out: no driver knows all of them (Maxwell, Pascal and Volta need branch "
            f"{wanted} with its proprietary module, Blackwell needs an open one)"
        )
    match facts.os.id, facts.os.version_id:
        case "debian", "12":
            return _debian("debian12", wanted, "cuda-drivers" if old else "nvidia-open", facts)
        case "debian", "13":
            if old:
                return (
                    "Debian 13 has no driver for this card that Ollama accepts (NVIDIA's repository lacks branch 580): "
                    "reinstall the host with Debian 12 or Ubuntu 24.04"
                )
            return _debian("debian13", wanted, "nvidia-open", facts)
        case "ubuntu", _:
            flavour = "" if old else "-open"
            packages = f"nvidia-headless-no-dkms-{wanted}-server{flavour} nvidia-utils-{wanted}-server"
            modules = f"linux-modules-nvidia-{wanted}-server{flavour}-generic"
            return f"sudo apt-get update && sudo apt-get install -y {modules} {packages} && sudo systemctl reboot"
        case _:
            return f"install NVIDIA's driver of branch {wanted} as the makers of {facts.os.name} describe, then reboot"


def _needs_open_module(facts: HostFacts) -> bool:
    """Whether a card is of a generation that NVIDIA's proprietary kernel modules do not drive."""
    rows = [find(d.device_id) for d in facts.nvidia_devices]
    return any(row.generation == "blackwell" for row in rows if row)


def install_amd(facts: HostFacts) -> str:
    """One line that gives the kernel driver amdgpu what it lacks: its firmware, and on cloud images itself."""
    restart = "sudo systemctl reboot"
    match facts.os.id, facts.os.version_id:
        case "debian", ("12" | "13") as release:
            source = f"deb http://deb.debian.org/debian {_CODENAMES[release]} non-free-firmware"
            kernel = " linux-image-amd64" if "-cloud-" in facts.os.kernel else ""
            return (
                f"echo '{source}' | sudo tee /etc/apt/sources.list.d/non-free-firmware.list && sudo apt-get update && "
                f"sudo apt-get install -y firmware-amd-graphics{kernel} && {restart}"
            )
        case "ubuntu", _:
            packages = "linux-firmware linux-modules-extra-$(uname -r)"
            return f"sudo apt-get update && sudo apt-get install -y {packages} && {restart}"
        case _:
            return f"install the firmware of AMD's GPUs as the makers of {facts.os.name} describe, then reboot"


def where(facts: HostFacts, found: str, command: str) -> str:
    """A sentence with the command that mends a driver, typed on the machine that the driver belongs to."""
    if facts.virtualization is Virtualization.CONTAINER:
        place = (
            f"This system is a container ({facts.virtualization_name}): its driver belongs to the machine it runs on"
        )
        return f"{found} {place}. Run there: {command}"
    return f"{found} Run: {command}"


def _debian(release: str, wanted: int, package: str, facts: HostFacts) -> str:
    folder = "sbsa" if facts.os.architecture == "aarch64" else "x86_64"
    steps = (
        f"curl -fsSLO {_REPOSITORY}/{release}/{folder}/{_KEYRING}",
        f"echo '{_KEYRING_SHA256[release]} *{_KEYRING}' | sha256sum -c",
        f"sudo apt-get install -y ./{_KEYRING}",
        "sudo apt-get update",
        f"sudo apt-get install -y nvidia-driver-pinning-{wanted}",
        f"sudo apt-get install -y linux-headers-$(uname -r) {package}",
        "sudo systemctl reboot",
    )
    return " && ".join(steps)
