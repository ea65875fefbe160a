"""What came close on a host, as a person and as a program read it."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from inhouse.planner.explain import SHOWN, Explanation, RunnerUp
from inhouse.planner.show import UNDER_HOST
from inhouse.planner.speed import Speed


def explanation_view(explanations: Sequence[Explanation]) -> RenderableType:
    """For each purpose the chosen model, the next better ones and what each lacks, and how many more there are."""
    return Group(*(Padding(_purpose(one), UNDER_HOST) for one in explanations), Text(""))


def _purpose(one: Explanation) -> RenderableType:
    chosen = one.chosen.tag if one.chosen else "no model"
    heading = Text.assemble((one.purpose, "bold"), f": {chosen}")
    shown = one.better[:SHOWN]
    if one.chosen and not shown:
        heading.append(" (the best of the catalogue)", "dim")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for other in shown:
        table.add_row(other.model.tag, other.sentence)
    rest = Text(_rest(one), "dim")
    return Group(heading, Padding(Group(table, rest) if shown else rest, UNDER_HOST))


def _rest(one: Explanation) -> str:
    more = len(one.better) - SHOWN
    parts = [f"{more} more of higher quality"] if more > 0 else []
    parts += [f"{len(one.others)} of no higher quality"] if one.others else []
    return f"and {', '.join(parts)}" if parts else ""


def explanation_record(explanations: Sequence[Explanation]) -> dict[str, object]:
    """Everything, as values that JSON has: purpose → chosen tag, and every other model with its numbers (MiB)."""
    return {
        one.purpose: {
            "chosen": one.chosen.tag if one.chosen else None,
            "better": [_record(other, one) for other in one.better],
            "others": [_record(other, one) for other in one.others],
        }
        for one in explanations
    }


def _record(other: RunnerUp, one: Explanation) -> dict[str, object]:
    seen = other.candidate
    return {
        "tag": other.model.tag,
        "quality": other.model.quality_for(one.purpose),
        "lacks": list(other.lacks),
        "instead": other.instead,
        "fits": other.fits,
        "need_mib": round(seen.need_mib) if seen else None,
        "room_mib": round(seen.room_mib) if seen else None,
        "missing_mib": round(seen.missing_mib) if seen else None,
        "context_length": min(seen.use.context_length, other.model.context_trained) if seen else None,
        "speed": _speed(seen.speed) if seen and seen.speed else None,
    }


def _speed(speed: Speed) -> dict[str, object]:
    ranges = {"tokens_per_second": speed.tokens_per_second, "first_token_s": speed.first_token_s}
    return {**{name: one._asdict() for name, one in ranges.items()}, "measured": speed.measured}
