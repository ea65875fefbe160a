"""Many plans at a glance: what is covered by how many hosts, which plans are alike, and which hosts stand out. Pure."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from inhouse.catalogue.version import version
from inhouse.planner.plan import Plan
from inhouse.units import number, rate, sum_of

LEAST_TO_COMPARE = 3
"""Hosts of a group, or twins, from which one of them can stand out."""
FAR_SLOWER = 0.5
"""A host stands out whose speed is below this part of its group's median."""


@dataclass(frozen=True)
class Member:
    """A host of a fleet."""

    plan: Plan
    groups: tuple[str, ...] = ()
    """Groups of the inventory it is in, the innermost last."""
    driver: str | None = None
    """Version of its GPU driver."""


@dataclass(frozen=True)
class Alike:
    """Hosts with the same hardware and the same plan."""

    hosts: tuple[str, ...]
    example: Plan
    """The plan of the first."""


@dataclass(frozen=True)
class Remark:
    """One sentence about hosts that stand out."""

    hosts: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Fleet:
    """The summary of an inventory. Memory is MiB."""

    hosts: int
    covered: Mapping[str, int]
    """Purpose → hosts with a model for it."""
    accelerators: Mapping[str, int]
    """cuda, vulkan or cpu → hosts."""
    gpu_memory_mib: int
    """Of all hosts whose models run on GPUs."""
    download_mib: int
    """Of all models of all hosts."""
    blocked: int
    """Hosts whose plan has a problem."""
    alike: tuple[Alike, ...]
    """The most hosts first."""
    stand_out: tuple[Remark, ...]


def summarize(members: Sequence[Member]) -> Fleet:
    """Summarize the plans of a fleet; time and memory grow with the number of hosts, not with its square."""
    plans = [member.plan for member in members]
    covered = Counter(purpose for plan in plans for purpose in _serves(plan))
    return Fleet(
        hosts=len(plans),
        covered=dict(sorted(covered.items(), key=lambda item: (-item[1], item[0]))),
        accelerators=dict(sorted(Counter(plan.accelerator for plan in plans).items())),
        gpu_memory_mib=sum(plan.memory_total_mib for plan in plans if plan.accelerator != "cpu"),
        download_mib=sum(model.download_mib for plan in plans for model in plan.models),
        blocked=sum(bool(plan.problems) for plan in plans),
        alike=alike(plans),
        stand_out=tuple(_stand_out(members)),
    )


def alike(plans: Iterable[Plan]) -> tuple[Alike, ...]:
    """Put together what a person would read as the same plan."""
    together: defaultdict[Hashable, list[Plan]] = defaultdict(list)
    for plan in plans:
        together[_read_as(plan)].append(plan)
    groups = [Alike(tuple(p.host for p in same), same[0]) for same in together.values()]
    return tuple(sorted(groups, key=lambda one: (-len(one.hosts), one.hosts[0])))


def _read_as(plan: Plan) -> Hashable:
    models = tuple((m.tag, m.purposes, m.quantization, m.context_length, m.parallel, m.loaded) for m in plan.models)
    return (plan.hardware, plan.accelerator, models, plan.open_webui, plan.warnings, plan.problems)


def _stand_out(members: Sequence[Member]) -> Iterator[Remark]:
    for group, inside in sorted(_innermost(members).items()):
        if len(inside) >= LEAST_TO_COMPARE:
            yield from _without_gpu(group, inside)
            yield from _slower(group, inside)
    twins, doing_alike = defaultdict(list), defaultdict(list)
    for member in members:
        hardware = member.plan.hardware
        twins[hardware].append(member)
        doing_alike[hardware, _serves(member.plan)].append(member)
    for hardware, same in twins.items():
        if len(same) >= LEAST_TO_COMPARE:
            yield from _older_driver(hardware, same)
    for (hardware, _), same in doing_alike.items():
        if len(same) >= LEAST_TO_COMPARE:
            yield from _other_models(hardware, same)


def _serves(plan: Plan) -> frozenset[str]:
    """What its models are for: hosts of which other things are asked run other models, and stand out in nothing."""
    return frozenset(purpose for model in plan.models for purpose in model.purposes)


def _innermost(members: Sequence[Member]) -> Mapping[str, list[Member]]:
    """Hosts by the innermost group of the inventory that they are in."""
    groups = defaultdict(list)
    for member in members:
        if member.groups:
            groups[member.groups[-1]].append(member)
    return groups


def _without_gpu(group: str, members: Sequence[Member]) -> Iterator[Remark]:
    on_cpu = [m.plan.host for m in members if m.plan.accelerator == "cpu"]
    if len(on_cpu) == 1:
        yield Remark(tuple(on_cpu), f"the only one of {len(members)} hosts in {group} whose models run on the CPU")


def _slower(group: str, members: Sequence[Member]) -> Iterator[Remark]:
    known = {m.plan.host: speed for m in members if (speed := _speed(m.plan)) is not None}
    if len(known) < LEAST_TO_COMPARE:
        return
    middle = median(known.values())
    for host, speed in known.items():
        if speed < middle * FAR_SLOWER:
            yield Remark((host,), f"{rate(speed)} tokens/s, where the median of {group} is {rate(middle)}")


def _speed(plan: Plan) -> float | None:
    """Tokens/s of the model that people talk to first."""
    return next((m.tokens_per_second for m in plan.chat_models), None)


def _older_driver(hardware: str, twins: Sequence[Member]) -> Iterator[Remark]:
    drivers = {m.plan.host: m.driver for m in twins if m.driver}
    if not drivers:
        return
    newest = max(drivers.values(), key=version)
    hosts: defaultdict[str, list[str]] = defaultdict(list)
    for host, driver in drivers.items():
        hosts[driver].append(host)
    for driver, names in hosts.items():
        if version(driver) < version(newest) and 2 * len(names) < len(drivers):
            yield Remark(tuple(names), f"driver {driver}, where others with {hardware} have up to {newest}")


def _other_models(hardware: str, twins: Sequence[Member]) -> Iterator[Remark]:
    """Fewer than half of the hosts with equal hardware and purposes run something else than the most of them."""
    hosts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for member in twins:
        hosts[tuple(model.tag for model in member.plan.models)].append(member.plan.host)
    usual = max(hosts, key=lambda tags: (len(hosts[tags]), tags))
    if 2 * len(hosts[usual]) <= len(twins):
        return
    for tags, names in hosts.items():
        if tags != usual:
            run = ", ".join(tags) or "no model"
            yield Remark(tuple(names), f"{run}, where most hosts with {hardware} run {', '.join(usual) or 'none'}")


def totals(fleet: Fleet) -> str:
    """One line: "238 hosts: 200 on GPUs (4800 GiB of memory), 38 on the CPU; 2 with a problem; …"."""
    cpu = fleet.accelerators.get("cpu", 0)
    gpu = fleet.hosts - cpu
    where = [f"{gpu} on GPUs ({sum_of(fleet.gpu_memory_mib)} of memory)"] if gpu else []
    where += [f"{cpu} on the CPU"] if cpu else []
    blocked = f"; {fleet.blocked} with a problem" if fleet.blocked else ""
    return f"{number(fleet.hosts, 'host')}: {', '.join(where)}{blocked}; {sum_of(fleet.download_mib)} of models in all."
