"""Names of NVIDIA's cards, from the driver or from the catalogue."""

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import NVIDIA
from inhouse.facts.model import HostFacts
from inhouse.units import counted, listed


def names(facts: HostFacts) -> str:
    """The NVIDIA cards of a host by name, from the catalogue where no driver tells."""
    found = [short(g.name) for g in facts.nvidia.gpus] or [of_id(d.device_id) for d in facts.nvidia_devices]
    return listed(counted(found)) or "an NVIDIA card"


def of_id(device_id: str) -> str:
    """The name of a PCI device id; the id itself where the catalogue lacks it."""
    row = catalogue.find(device_id)
    return short(row.name) if row else f"NVIDIA card {NVIDIA}:{device_id}"


def short(name: str) -> str:
    """A card's name without its maker: "NVIDIA GeForce RTX 4090" → "RTX 4090"."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")
