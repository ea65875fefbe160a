"""An imagined host from a line of text: what to buy, asked before anything is bought."""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.gpus import Gpu
from inhouse.errors import PlanError
from inhouse.facts.model import (
    Cpu,
    Disk,
    DisplayDevice,
    DriverState,
    HostFacts,
    Installed,
    NvidiaDriver,
    NvidiaGpu,
    OperatingSystem,
    Virtualization,
)
from inhouse.planner.driver import CURRENT_BRANCH
from inhouse.settings import HostSettings

DEFAULTS = {"ram": 32, "disk": 500, "cpu": 8}
"""GiB, GiB, cores: of a host whose line does not say."""
_NUMBER = re.compile(r"(?P<key>ram|disk|cpu)[ =:]*(?P<value>\d+)\s*(?:gib|gb|cores)?", re.IGNORECASE)
_COUNTED = re.compile(r"(?:(?P<before>\d+)\s*x\s+)?(?P<name>.+?)(?:(?<=[\d\s])x\s*(?P<after>\d+))?", re.IGNORECASE)


IMAGINED = "imagined"
"""Name of the host that is not there."""


@dataclass(frozen=True)
class ImaginedConnection:
    """Reaches nothing."""

    address: str = "localhost"


@dataclass(frozen=True)
class ImaginedHost:
    """A host that is in no inventory."""

    name: str = IMAGINED
    server_name: str = IMAGINED
    connection: ImaginedConnection = ImaginedConnection()
    settings: HostSettings = field(default_factory=HostSettings)


def imagined_host(settings: HostSettings | None = None) -> ImaginedHost:
    """A host to plan for; with default settings where none are given."""
    return ImaginedHost(settings=settings or HostSettings())


def parse(text: str) -> HostFacts:
    """Read "rtx-4090 x2, ram 64, disk 500, cpu 16" as the facts of a host with Debian 12 and a current driver.

    RAM and disk are GiB, cpu is cores.

    Raises:
        PlanError: a part is not understood; names the nearest GPUs of the catalogue.
    """
    numbers = dict(DEFAULTS)
    cards: list[Gpu] = []
    for part in (p.strip() for p in text.split(",")):
        if not part:
            continue
        if number := _NUMBER.fullmatch(part):
            numbers[number["key"].lower()] = int(number["value"])
        elif part.lower() not in {"no gpu", "none", "cpu only"}:
            cards += _cards(part)
    if zero := [key for key, value in numbers.items() if value == 0]:
        raise PlanError(f'"{text}" gives 0 for {" and ".join(zero)}: give GiB of RAM and disk, and cores, above 0.')
    return _facts(numbers, cards)


def _cards(part: str) -> list[Gpu]:
    match = _COUNTED.fullmatch(part)
    if match is None:
        raise PlanError(f'"{part}" is not understood. Write for example: rtx-4090 x2, ram 64, disk 500, cpu 16')
    count = int(match["before"] or match["after"] or 1)
    if not 1 <= count <= 16:
        raise PlanError(f'"{part}" asks for {count} cards; 1 to 16 can be planned.')
    return [_card(match["name"].strip())] * count


def _card(name: str) -> Gpu:
    """The GPU a person means: its name without the maker, or a part of it that no other GPU has."""
    wanted = catalogue.plain(name)
    by_name = {key: gpu for key, gpu in catalogue.names().items() if gpu.vendor == NVIDIA and gpu.id}
    if wanted in by_name:
        return by_name[wanted]
    parts = list({g.name: g for key, g in by_name.items() if wanted in key}.values())
    if len(parts) == 1:
        return parts[0]
    near = [by_name[key].name for key in get_close_matches(wanted, by_name, n=3, cutoff=0.5)]
    listed = ", ".join(dict.fromkeys((*(g.name for g in parts[:3]), *near))) or "none"
    raise PlanError(
        f'"{name}" is no GPU of the catalogue and none of ram, disk, cpu; nearest: {listed}. '
        "Write for example: rtx-4090 x2, ram 64, disk 500, cpu 16"
    )


def _facts(numbers: dict[str, int], cards: list[Gpu]) -> HostFacts:
    ram, disk = numbers["ram"] * 1024, numbers["disk"] * 1024
    slots = [f"0000:{bus:02x}:00.0" for bus in range(1, len(cards) + 1)]
    limits = [limit for g in cards if g.id and (limit := catalogue.last_branch(g.id))]
    version = f"{min(limits, default=CURRENT_BRANCH)}.0"
    return HostFacts(
        host=IMAGINED,
        os=OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)", "", "x86_64"),
        virtualization=Virtualization.NONE,
        virtualization_name="none",
        cpu=Cpu(IMAGINED, numbers["cpu"], numbers["cpu"] * 2, frozenset()),
        memory_total_mib=ram,
        memory_available_mib=ram,
        models_disk=Disk("/", disk, disk),
        display_devices=tuple(
            DisplayDevice(slot, NVIDIA, g.id or "", "030000", "nvidia") for slot, g in zip(slots, cards, strict=True)
        ),
        nvidia=_driver(cards, slots, version),
        installed=Installed(None, None, None, None, None, "3.11.2", True, True),
        listening=(),
        fleet=None,
        certificate_pem=None,
        clock_offset_s=0.0,
        systemd=True,
    )


def _driver(cards: list[Gpu], slots: list[str], version: str) -> NvidiaDriver:
    if not cards:
        return NvidiaDriver(DriverState.NO_DEVICE, None, None, "", ())
    gpus = tuple(
        NvidiaGpu(
            index=index,
            name=g.name,
            uuid=f"GPU-imagined-{index}",
            pci_slot=slot,
            memory_total_mib=None if g.unified else g.memory_mib,
            memory_free_mib=None if g.unified else g.memory_mib,
            compute_capability=g.compute,
            driver_version=version,
        )
        for index, (slot, g) in enumerate(zip(slots, cards, strict=True))
    )
    return NvidiaDriver(DriverState.WORKING, version, version, "", gpus)
