"""A plan as a person reads it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from inhouse.planner.plan import Plan, PlannedModel
from inhouse.units import gib

UNDER_HOST = (0, 0, 0, 2)


def plan_view(plan: Plan) -> RenderableType:
    """One host: hardware, models and their reasons, settings, then what is wrong."""
    parts: list[RenderableType] = [_heading(plan)]
    if plan.models:
        parts.append(Padding(_models(plan), UNDER_HOST))
        parts += [_line(m.tag, m.reason) for m in plan.models]
    parts += [_line("", reason) for reason in plan.reasons]
    parts += [_whole_line("warning", text, "yellow") for text in plan.warnings]
    parts += [_whole_line("problem", text, "red") for text in plan.problems]
    return Group(*parts, Text(""))


def _heading(plan: Plan) -> Text:
    where = "GPU" if plan.accelerator == "cuda" else "CPU"
    services = [
        f"Ollama {plan.ollama_version}",
        *([f"Open-WebUI {plan.open_webui_version}"] if plan.open_webui else []),
    ]
    text = Text.assemble((plan.host, "bold"), f"  {plan.hardware}  ", (f"models on the {where}", "dim"))
    if plan.note:
        text.append(f"  ({plan.note})", "italic")
    return text.append(f"\n  {plan.url}  {', '.join(services)}", "dim")


def _models(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    on_gpu = plan.accelerator == "cuda"
    for name in ("model", "for", "quantization"):
        table.add_column(name, no_wrap=name == "model")
    for name in ("context", *(["GPU"] if on_gpu else []), "RAM", "download"):
        table.add_column(name, justify="right", no_wrap=True)
    for model in plan.models:
        table.add_row(*_cells(model, on_gpu))
    return table


def _cells(model: PlannedModel, on_gpu: bool) -> Iterator[str]:
    yield model.tag
    yield ", ".join(model.purposes)
    yield model.quantization
    yield str(model.context_length) if model.parallel == 1 else f"{model.parallel} x {model.context_length}"
    if on_gpu:
        yield gib(model.gpu_mib)
    yield gib(model.ram_mib)
    yield gib(model.download_mib)


def _line(label: str, text: str, style: str = "dim") -> RenderableType:
    """A labelled sentence; wrapped by the console, under its label."""
    return Padding(
        Text.assemble((f"{label}: ", style) if label else ("", style), (text, "" if label else "dim")), UNDER_HOST
    )


def _whole_line(label: str, text: str, style: str) -> RenderableType:
    """A labelled sentence that only the terminal wraps, so that a command in it can be copied."""
    return Text.assemble("  ", (f"{label}: ", style), text, no_wrap=True, overflow="ignore")
