"""docs/drivers.md: which driver each system gets for each family of cards, and how that and CUDA toolkits were tested.

After a change of the catalogue's drivers.yml or of molecule/tested.yml: python -m inhouse.drivers_docs
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.drivers import Family, System, drivers
from inhouse.facts.model import DisplayDevice, DriverState, HostFacts, NvidiaDriver, OperatingSystem
from inhouse.planner import driver, layer_driver
from inhouse.planner.driver import Impossible, Wanted
from inhouse.planner.imagined import facts as imagined
from inhouse.units import listed

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "drivers.md"
TESTED = ROOT / "molecule" / "tested.yml"
NOT_TESTED = "not tested; the choice alone is, by unit tests"

_HEAD = """# NVIDIA drivers: what is installed where

<!-- Written by: python -m inhouse.drivers_docs -->

The planner decides source, branch and kernel module of a host's driver from its system and from the PCI ids of its
cards; the role [nvidia_driver](../roles/nvidia_driver/README.md) installs it. A driver that works and is good enough
stays as it is, whoever installed it. The facts behind the table are in `inhouse/catalogue/drivers.yml`, each with its
source.

With a real GPU and NVIDIA's own repository nothing here was run: what stands in for them is said in the last column,
and [roles.md](roles.md) tells more of each scenario.

| system | cards | driver | good enough | tested |
|---|---|---|---|---|
"""

_TAIL = """
- *Good enough*: versions with which a working driver is left alone. The floors are Ollama's, or those of the branch
  that first knew the cards; 580 is the last branch that knows Maxwell, Pascal and Volta.
- Grace Hopper (GH200) takes open modules alone; the rest of Hopper would work with proprietary ones, if the inventory
  states these.
- A host with several cards gets what all of them know. Blackwell beside Maxwell, Pascal or Volta has no common
  driver: the plan says so.
- A card that nobody has heard of yet is judged by the range its PCI id lies in.
- Kepler and older (ids up to 133f) are too old for Ollama, whatever the driver.
- Containers, WSL, Jetson, DGX Spark (GB10), virtual GPUs and cards that are handed to guests are left alone: their
  driver belongs to somebody else, whom the plan names. A card that a guest got whole is treated as on any other
  machine.
- NVIDIA's repository for Debian 13 has nothing for ARM machines (aarch64); Debian's own driver serves Volta to Hopper
  there.
- RHEL and its kin get their driver by the role alone: inhouse's services need Debian or Ubuntu.
- AMD: the plan names the packages of firmware that a card lacks; no role installs them. Intel: models run on the CPU.

## CUDA toolkits

Ollama needs none. The role [cuda_toolkit](../roles/cuda_toolkit/README.md) installs one where it is asked for. On other
systems, and from other sources than these, it was not tested.

| system | toolkit | tested |
|---|---|---|
"""


@dataclass(frozen=True)
class Tested:
    """How one row was tested."""

    system: str
    what: str
    """The family of cards, or the toolkit."""
    scenarios: tuple[str, ...]
    how: str


def tested(kind: str) -> tuple[Tested, ...]:
    """What is kept beside the scenarios: of drivers by their `cards`, or of each `toolkit`."""
    rows = yaml.safe_load(TESTED.read_text(encoding="utf-8"))
    return tuple(Tested(row["system"], row[kind], tuple(row["scenarios"]), row["how"]) for row in rows if kind in row)


def markdown() -> str:
    """The whole page."""
    toolkits = (f"| {row.system} | {row.what} | {_told(row)} |" for row in tested("toolkit"))
    return "\n".join([_HEAD + "\n".join(_rows()), _TAIL + "\n".join(toolkits), ""])


def _rows() -> Iterator[str]:
    known = {(row.system, row.what): row for row in tested("cards")}
    for system in drivers().systems:
        for family in drivers().families:
            if family.usable:
                found = driver.decide(_host(system, family))
                row = known.get((system.name, family.name))
                how = _told(row) if row else NOT_TESTED
                yield f"| {system.name} | {family.name} | {_installed(found, system)} | {_enough(found)} | {how} |"


def _told(row: Tested) -> str:
    return f"{', '.join(f'`{name}`' for name in row.scenarios)}: {row.how}"


def _host(system: System, family: Family) -> HostFacts:
    """A bare host of a system with one card of a family."""
    host = imagined([], ram_mib=32768, disk_mib=512000)
    card = DisplayDevice("0000:01:00.0", NVIDIA, family.first_id, "030000", None)
    os = OperatingSystem(system.id, system.version, system.name, "", "x86_64")
    nvidia = NvidiaDriver(DriverState.NO_DRIVER, None, None, "", ())
    return replace(host, os=os, display_devices=(card,), nvidia=nvidia)


def _installed(found: Wanted | Impossible, system: System) -> str:
    if isinstance(found, Wanted):
        host = replace(imagined([], 0, 0), os=OperatingSystem(system.id, system.version, "", "", ""))
        return layer_driver.in_words(found, host)
    has = [f"{listed(system.own)} in the distribution"] if system.own else []
    has += [f"{listed(system.nvidia)} in NVIDIA's repository"] if system.nvidia else []
    return f"none: there is {listed(has)}"


def _enough(found: Wanted | Impossible) -> str:
    if isinstance(found, Impossible):
        return "-"
    return f"{found.minimum} to {found.maximum_branch}" if found.maximum_branch else f"{found.minimum} or newer"


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
