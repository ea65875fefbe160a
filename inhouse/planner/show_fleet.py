"""Plans of many hosts as a person reads them: what is alike once, and what stands out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from inhouse.planner.fleet import Alike, Fleet, Remark, totals
from inhouse.planner.plan import Plan
from inhouse.planner.show import UNDER_HOST, models_view, plan_view, where, whole_line
from inhouse.units import FEW, few, number

SHOWN_KINDS = 20
"""Kinds of hosts that are shown of a large fleet; `--json` has all."""


def plans_view(plans: Sequence[Plan], fleet: Fleet) -> RenderableType:
    """Hosts one by one, or, if they are more than a few, each kind of them once; then the summary."""
    if len(plans) <= FEW:
        return Group(*map(plan_view, plans))
    kinds = [_kind(one) for one in fleet.alike[:SHOWN_KINDS]]
    return Group(*kinds, *_left_out(fleet.alike[SHOWN_KINDS:]), *_said(plans), fleet_view(fleet), Text(""))


def _kind(one: Alike) -> RenderableType:
    plan = one.example
    title = plan.host if len(one.hosts) == 1 else f"{len(one.hosts)} hosts ({few(one.hosts)})"
    heading = Text.assemble((title, "bold"), f"  {plan.hardware}  ", (f"models on the {where(plan)}", "dim"))
    body: RenderableType = models_view(plan) if plan.models else Text("no model")
    return Group(heading, Padding(body, UNDER_HOST), Text(""))


def _left_out(rest: Sequence[Alike]) -> Iterator[RenderableType]:
    if rest:
        hosts = number(sum(len(one.hosts) for one in rest), "host")
        yield Text(f"{number(len(rest), 'more kind')} of plans for {hosts} (--limit HOST shows one, --json all)", "dim")


def _said(plans: Sequence[Plan]) -> Iterator[RenderableType]:
    """Each warning and problem once, with the hosts it is about."""
    for label, style in (("warning", "yellow"), ("problem", "red")):
        hosts: defaultdict[str, list[str]] = defaultdict(list)
        for plan in plans:
            for text in plan.warnings if label == "warning" else plan.problems:
                hosts[text].append(plan.host)
        common = sorted(hosts.items(), key=lambda item: (-len(item[1]), item[0]))
        for text, names in common[:SHOWN_KINDS]:
            yield whole_line(f"{few(names)}: {label}", text, style)
        if more := common[SHOWN_KINDS:]:
            yield Text(f"  {number(len(more), f'more {label}')} (--json has all)", style)


def fleet_view(fleet: Fleet) -> RenderableType:
    """Totals, what is covered by how many hosts, and who stands out."""
    covered = ", ".join(f"{purpose} by {count}" for purpose, count in fleet.covered.items()) or "nothing"
    lines: list[RenderableType] = [Text(totals(fleet), "bold"), Text(f"Covered: {covered} of {fleet.hosts} hosts.")]
    lines += [_remark(one) for one in fleet.stand_out[:SHOWN_KINDS]]
    if more := fleet.stand_out[SHOWN_KINDS:]:
        lines.append(Text(f"{number(len(more), 'more remark')} of this kind (--json has all)", "dim"))
    return Group(*lines)


def _remark(one: Remark) -> RenderableType:
    return Text.assemble("Stands out: ", (few(one.hosts), "yellow"), f": {one.text}.")


def fleet_record(fleet: Fleet) -> dict[str, object]:
    """The summary as values that JSON has; of plans that are alike the hosts, since the plans stand beside it."""
    return {
        "hosts": fleet.hosts,
        "covered": dict(fleet.covered),
        "accelerators": dict(fleet.accelerators),
        "gpu_memory_mib": fleet.gpu_memory_mib,
        "download_mib": fleet.download_mib,
        "blocked": fleet.blocked,
        "alike": [list(one.hosts) for one in fleet.alike],
        "stand_out": [{"hosts": list(one.hosts), "text": one.text} for one in fleet.stand_out],
    }
