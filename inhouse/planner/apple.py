"""What a machine by Apple would run: for comparing only, since inhouse deploys to Linux. Pure."""

from dataclasses import replace

from inhouse.catalogue.gpus import Gpu
from inhouse.planner import budget as budgets
from inhouse.planner import imagined
from inhouse.planner.card import Card
from inhouse.planner.cards import layout
from inhouse.planner.decide import Decision
from inhouse.planner.disk import Space
from inhouse.planner.hardware import Wanted
from inhouse.planner.machine import judge
from inhouse.planner.selection import Needs, select
from inhouse.settings import HostSettings

LARGE_MIB = 36 * 1024
SHARE, SHARE_OF_LARGE = 2 / 3, 3 / 4
"""Part of the memory that Metal lets the GPU use (recommendedMaxWorkingSetSize), up to 36 GiB and above.

Reported: 10.67 GiB of 16 (exo pull request 1672), 48 GiB of 64 (llama.cpp issue 1870). Newer systems give more on large
machines, 107.5 GiB of 128 (ds4 pull request 893): these are the cautious numbers.
"""


def hardware(machine: Gpu) -> str:
    """One line: "Apple M3 Ultra, 256 GiB unified memory"."""
    return f"{machine.name}, {round(machine.memory_mib / 1024)} GiB unified memory"


def for_gpu(memory_mib: int) -> float:
    """MiB of the memory that models may take on the GPU."""
    return memory_mib * (SHARE if memory_mib <= LARGE_MIB else SHARE_OF_LARGE)


def decide(machine: Gpu, wanted: Wanted, settings: HostSettings) -> Decision:
    """Choose models as for a host: on the GPU by Metal, whose flash attention has no limits."""
    card = Card(
        name=machine.name,
        memory_mib=machine.memory_mib,
        bandwidth_gbs=machine.bandwidth_gbs,
        compute=None,
        unified=True,
        backend="metal",
        tflops=machine.tflops,
    )
    facts = imagined.facts((), wanted.ram_mib, wanted.disk_mib, wanted.cores)
    disk = Space.of(settings, facts, judge(facts), open_webui=False)
    needs = Needs(settings, True, disk.for_models)
    budget = budgets.on_gpus(facts, (card,), 0, images="vision" in settings.purposes)
    budget = replace(budget, usable=min(budget.usable, for_gpu(machine.memory_mib)))
    selection = select(needs, budget)
    alone = layout([[(c.model, 0.0) for c in selection.chosen]], selection.use, budget)
    return Decision(needs, budget, selection, alone, True, ())
