"""An imagined host from a line of text: what to buy, asked before anything is bought."""

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import APPLE
from inhouse.catalogue.gpus import Gpu
from inhouse.errors import PlanError
from inhouse.facts.model import HostFacts
from inhouse.planner import imagined
from inhouse.role_variables import NOTHING, RoleVariables
from inhouse.settings import HostSettings

RAM_GIB, DISK_GIB = 32, 500
"""Of a host whose line does not say."""
EXAMPLE = "Write for example: rtx-4090 x2, ram 64, disk 500, cpu 16"
MOST_CARDS = 16
MOST_NAMED = 5
"""GPUs that are listed where a name fits several."""
_NUMBER = re.compile(r"(?P<key>ram|disk|cpu)[ =:]*(?P<value>\d+)\s*(?:gib|gb|cores)?", re.IGNORECASE)
_ABOUT_NUMBER = re.compile(r"\b(?P<key>ram|disk|cpu)\b", re.IGNORECASE)
_COUNTED = re.compile(r"(?:(?P<before>\d+)\s*x\s+)?(?P<name>.+?)(?:(?<=[\d\s])x\s*(?P<after>\d+))?", re.IGNORECASE)
_SIZED = re.compile(r"(?P<name>.+?)[ _-]*\b(?P<gib>\d+)\s*(?:gib|gb|g)?", re.IGNORECASE)
_KEPT_BY_SYSTEM = 0.08
"""Largest part of a machine's memory that its system does not show (GB10: 122,502 of 131,072 MiB)."""


IMAGINED = imagined.NAME
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
    role_variables: RoleVariables = NOTHING


def imagined_host(settings: HostSettings | None = None) -> ImaginedHost:
    """A host to plan for; with default settings where none are given."""
    return ImaginedHost(settings=settings or HostSettings())


def parse(text: str) -> HostFacts:
    """Read "rtx-4090 x2, ram 64, disk 500, cpu 16" as the facts of a host with a supported system and its drivers.

    RAM and disk are GiB, cpu is cores. A machine whose GPU uses the RAM may be named with its size in GiB:
    "jetson-agx-orin 64".

    Raises:
        PlanError: a part is not understood (names the nearest GPUs of the catalogue), or the machine is Apple's, which
            can be compared but not deployed to.
    """
    wanted = read(text)
    if wanted.apple:
        raise PlanError(
            f"{wanted.apple.name} runs macOS; inhouse deploys to Linux. What it would run can be compared with other "
            f"machines. Run: inhouse plan --compare '{text}' rtx-4090"
        )
    return facts_of(wanted)


@dataclass(frozen=True)
class Wanted:
    """What a line asks for."""

    cards: tuple[Gpu, ...]
    """With unified memory: one, and its `memory_mib` is the size that was asked for."""
    ram_mib: int
    disk_mib: int
    cores: int | None
    """None: as many as such a machine usually has."""

    @property
    def apple(self) -> Gpu | None:
        """A machine that is compared, not deployed to."""
        return next((card for card in self.cards if card.vendor == APPLE), None)


def facts_of(wanted: Wanted) -> HostFacts:
    """What would be true on such a host; of Apple's machines nothing is known."""
    return imagined.facts(wanted.cards, wanted.ram_mib, wanted.disk_mib, wanted.cores)


def read(text: str) -> Wanted:
    """Read a line as `parse` does, Apple's machines included.

    Raises:
        PlanError: a part is not understood.
    """
    if not text.strip(" ,"):
        raise PlanError(f"No hardware is named. {EXAMPLE}")
    numbers: dict[str, int] = {}
    cards: list[Gpu] = []
    for part in (p.strip() for p in text.split(",")):
        if not part:
            continue
        if number := _NUMBER.fullmatch(part):
            key = number["key"].lower()
            if key in numbers:
                raise PlanError(f'"{text}" gives {key} more than once; give it once.')
            numbers[key] = int(number["value"])
        elif part.lower() not in {"no gpu", "none", "cpu only"}:
            cards += _cards(part)
    if zero := [key for key, value in numbers.items() if value == 0]:
        raise PlanError(f'"{text}" gives 0 for {" and ".join(zero)}: give GiB of RAM and disk, and cores, above 0.')
    if any(card.unified for card in cards):
        cards = [_alone(text, cards, numbers.get("ram"))]
    ram_mib = cards[0].memory_mib if cards and cards[0].unified else numbers.get("ram", RAM_GIB) * 1024
    return Wanted(tuple(cards), ram_mib, numbers.get("disk", DISK_GIB) * 1024, numbers.get("cpu"))


def _alone(text: str, cards: list[Gpu], ram: int | None) -> Gpu:
    """A machine whose GPU has no memory of its own: one of it, and its RAM is one of the sizes it is sold with."""
    if len(cards) > 1:
        whole = next(card for card in cards if card.unified)
        raise PlanError(
            f'"{text}": {whole.name} is a machine of its own, with its RAM as the GPU\'s memory; name it alone.'
        )
    return cards[0] if ram is None else _of_size(cards[0], ram)


def _cards(part: str) -> list[Gpu]:
    if about := _ABOUT_NUMBER.search(part):
        key = about["key"].lower()
        unit = "cores" if key == "cpu" else "GiB"
        raise PlanError(f'"{part}" is not understood: {key} takes one whole number above 0, of {unit}. {EXAMPLE}')
    match = _COUNTED.fullmatch(part)
    if match is None:
        raise PlanError(f'"{part}" is not understood. {EXAMPLE}')
    count = int(match["before"] or match["after"] or 1)
    if not 1 <= count <= MOST_CARDS:
        raise PlanError(f'"{part}" asks for {count} cards; 1 to {MOST_CARDS} can be planned.')
    return [_card(match["name"].strip())] * count


def _card(name: str) -> Gpu:
    """The GPU or machine a person means: by its name, by a part of it that no other has, or with its memory."""
    meant = _named(name)
    if len(meant) == 1:
        return meant[0]
    sized = _SIZED.fullmatch(name)
    of_name = _named(sized["name"]) if sized else []
    if sized and len(machines := [g for g in of_name if g.unified]) == 1:
        return _of_size(machines[0], int(sized["gib"]))
    if sized and len(cards := [g for g in of_name if round(g.memory_mib / 1024) == int(sized["gib"])]) == 1:
        return cards[0]
    if meant:
        several = ", ".join(g.name for g in meant[:MOST_NAMED])
        raise PlanError(f'"{name}" may be any of {len(meant)} GPUs of the catalogue: {several}. Name one of them.')
    known = catalogue.names()
    near = [known[key].name for key in get_close_matches(catalogue.plain(name), known, n=3, cutoff=0.5)]
    listed = ", ".join(dict.fromkeys(near)) or "none"
    raise PlanError(f'"{name}" is no GPU of the catalogue; nearest: {listed}. {EXAMPLE}')


def _named(name: str) -> list[Gpu]:
    """GPUs with this name; else those whose names end with it, else those that have it in them."""
    wanted, known = catalogue.plain(name), catalogue.names()
    if not wanted:
        return []
    if wanted in known:
        return [known[wanted]]
    ending = {gpu.name: gpu for key, gpu in known.items() if key.endswith(wanted)}
    inside = {gpu.name: gpu for key, gpu in known.items() if wanted in key}
    return list(ending.values()) if len(ending) == 1 else list(inside.values())


def _of_size(machine: Gpu, gib: int) -> Gpu:
    """A machine with unified memory, of one of the sizes that it is sold with."""
    sizes = machine.memory_options_mib or (machine.memory_mib,)
    size = next((mib for mib in sizes if gib * 1024 * (1 - _KEPT_BY_SYSTEM) <= mib <= gib * 1024), None)
    if size is None:
        sold = ", ".join(str(round(mib / 1024)) for mib in sizes)
        raise PlanError(f"{machine.name} is not sold with {gib} GiB of memory; with: {sold} GiB.")
    return replace(machine, memory_mib=size)
