"""Machines side by side, as a person and as a program read it."""

from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from inhouse.planner import wording
from inhouse.planner.compare import Compared
from inhouse.planner.plan import PlannedModel
from inhouse.planner.show import context
from inhouse.units import gib, seconds

NO_PRICE = "Prices change from day to day and are not part of it."
NOT_DEPLOYED = "compared only: inhouse deploys to Linux"


def comparison_view(machines: Sequence[Compared]) -> RenderableType:
    """One column for each machine; one row for what it is, what it runs for each purpose, and what it cannot."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("", style="dim", no_wrap=True)
    for machine in machines:
        table.add_column(machine.text, overflow="fold", ratio=1)
    for title, cells in _rows(machines):
        table.add_row(title, *(Text(cell) for cell in cells))
        table.add_section()
    return Group(table, Text(NO_PRICE, "dim"))


def _rows(machines: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    purposes = dict.fromkeys(p for m in machines for model in m.models for p in model.purposes)
    rows = [
        ("hardware", [m.hardware for m in machines]),
        ("memory", [_memory(m) for m in machines]),
        ("bandwidth", [_bandwidth(m) for m in machines]),
        *((purpose, [_model(m, purpose) for m in machines]) for purpose in purposes),
        ("cannot", ["\n".join(m.cannot) for m in machines]),
        ("note", ["\n".join((*m.notes, *([] if m.deployable else [NOT_DEPLOYED]))) for m in machines]),
    ]
    return [(title, [cell or "-" for cell in cells]) for title, cells in rows if any(cells)]


def _memory(machine: Compared) -> str:
    kind = "RAM" if machine.accelerator == "cpu" else "unified" if machine.unified else "GPU memory"
    return f"{gib(machine.memory_mib)} {kind}"


def _bandwidth(machine: Compared) -> str:
    if machine.bandwidth_gbs is None:
        return "not known"
    assumed = " (assumed)" if machine.accelerator == "cpu" else ""
    return f"{machine.bandwidth_gbs:.0f} GB/s{assumed}"


def _model(machine: Compared, purpose: str) -> str:
    return next((_lines(m) for m in machine.models if purpose in m.purposes), "nothing")


def _lines(model: PlannedModel) -> str:
    speed = wording.tokens_per_second(model)
    return "\n".join(
        (
            f"{model.tag} {model.quantization}",
            f"{context(model)} tokens",
            *([f"{speed} tokens/s"] if speed else []),
            *([f"first token: {seconds(model.first_token_s)}"] if model.first_token_s is not None else []),
        )
    )


def comparison_record(machines: Sequence[Compared]) -> list[dict[str, object]]:
    """The same as values that JSON has. Memory is MiB, bandwidth GB/s."""
    return [
        {
            "machine": m.text,
            "hardware": m.hardware,
            "accelerator": m.accelerator,
            "memory_mib": m.memory_mib,
            "bandwidth_gbs": m.bandwidth_gbs,
            "models": [asdict(model) for model in m.models],
            "cannot": list(m.cannot),
            "notes": list(m.notes),
            "deployable": m.deployable,
        }
        for m in machines
    ]
