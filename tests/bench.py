"""How fast plans are made: `make bench`. Times are of one core; the peak is the process's resident memory.

Fleets are imagined with a fixed seed. In the mixed one, hosts are of 200 kinds of hardware, as where machines were
bought by the dozen. In the other, memory, disk, cores and GPUs are drawn for each host anew, so that no two are alike.
"""

import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from time import process_time

from inhouse.catalogue.gpus import Gpu, gpus
from inhouse.facts.model import HostFacts
from inhouse.lab import profiles
from inhouse.planner.choose import make_plan
from inhouse.planner.hardware import imagined_host, parse

SEED = 20261125
SIZES = (1000, 2000, 5000, 10_000)
KINDS = 200
RUNS = 5
"""Fresh processes for one figure, the least of which counts: others use the machine too."""
FIRST_PLAN = """
import sys, timeit
from time import process_time
from inhouse.catalogue import drivers, gpus, models, releases
from inhouse.planner.choose import make_plan
from tests.hosts_to_plan import host, lab_facts
drivers.drivers(), gpus.gpus(), models.models(), releases.releases()
one, facts = host(), lab_facts(sys.argv[1])
start = process_time()
make_plan(one, facts)
first = process_time()
make_plan(one, facts)
second = process_time()
additions = timeit.repeat("for i in range(50_000): s += i", "s = 0", number=1, repeat=5, timer=process_time)
print((first - start) * 1000, (second - first) * 1000, min(additions) / 50_000 * 1e9)
"""


def different(number: int, seed: int = SEED) -> list[HostFacts]:
    """Hosts of which no two are alike."""
    random = Random(seed)
    sold = [g for g in gpus() if not g.unified]
    return [_host(random, sold) for _ in range(number)]


def mixed(number: int, seed: int = SEED, kinds: int = KINDS) -> list[HostFacts]:
    """Hosts of some kinds; the GPUs of each have UUIDs of their own, as real ones have."""
    of_each = different(kinds, seed)
    random = Random(seed)
    return [_another(random.choice(of_each), number) for number in range(number)]


def _another(facts: HostFacts, number: int) -> HostFacts:
    gpus_ = tuple(replace(g, uuid=f"GPU-{number}-{g.index}") for g in facts.nvidia.gpus)
    return replace(facts, host=f"host{number}", nvidia=replace(facts.nvidia, gpus=gpus_))


def _host(random: Random, sold: Sequence[Gpu]) -> HostFacts:
    count = random.choice((0, 0, 1, 1, 1, 1, 2, 4, 8))
    cards = f"{random.choice(sold).name} x{count}, " if count else ""
    cores = random.choice((2, 4, 6, 8, 12, 16, 24, 32, 48, 64))
    facts = parse(f"{cards}ram {random.choice((8, 16, 32, 64, 128, 256, 512))}, cpu {cores}, disk 1000")
    gpus_ = tuple(
        replace(g, memory_total_mib=g.memory_total_mib and g.memory_total_mib - random.randrange(1000))
        for g in facts.nvidia.gpus
    )
    disk = replace(facts.models_disk, total_mib=random.randrange(20_000, 4_000_000))
    return replace(
        facts,
        memory_total_mib=facts.memory_total_mib - random.randrange(2000),
        models_disk=replace(disk, free_mib=disk.total_mib),
        nvidia=replace(facts.nvidia, gpus=gpus_),
    )


def seconds(fleet: Sequence[HostFacts]) -> float:
    """Time to plan every host of a fleet."""
    host = imagined_host()
    start = process_time()
    for facts in fleet:
        make_plan(host, facts)
    return process_time() - start


def first_plan(profile: str) -> tuple[float, float, float]:
    """Milliseconds of the first and the second plan of a process, the catalogue being read; ns of one addition."""
    command = [sys.executable, "-c", FIRST_PLAN, profile]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(RUNS)]
    first, second, addition = (min(column) for column in zip(*(map(float, run.split()) for run in runs), strict=True))
    return first, second, addition


def say(text: str) -> None:
    """Print a figure when it is known."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Print every figure."""
    for profile in profiles.names():
        first, second, addition = first_plan(profile)
        say(f"{profile}: {first:.1f} ms the first plan, {second:.1f} ms the next; {addition:.0f} ns an addition")
    for name, fleet in (("mixed", mixed), ("all different", different)):
        for number in SIZES:
            took = seconds(fleet(number))
            say(f"{number:>6} hosts, {name}: {took:6.2f} s, {took / number * 1000:.2f} ms each")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak of resident memory: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
