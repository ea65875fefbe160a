"""A plan as a person reads it."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from inhouse.planner import wording
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.units import gib, seconds

UNDER_HOST = (0, 0, 0, 2)
ENGINES = {"cuda": "GPU (CUDA)", "vulkan": "GPU (Vulkan)", "cpu": "CPU"}
"""What `Plan.accelerator` is called."""
FIRST_TOKEN = "First token: the likely wait after a prompt that fills half of the context."


def plan_view(plan: Plan) -> RenderableType:
    """One host: hardware, models and their reasons, settings, then what is wrong."""
    parts: list[RenderableType] = [_heading(plan)]
    if plan.models:
        parts.append(Padding(models_view(plan), UNDER_HOST))
        parts += [_line(m.tag, m.reason) for m in plan.models]
    parts += [_reason(reason, plan.machine_roles) for reason in plan.reasons]
    if any(m.first_token_s is not None for m in plan.models):
        parts.append(_line("", FIRST_TOKEN))
    parts += [whole_line("warning", text, "yellow") for text in plan.warnings]
    parts += [whole_line("problem", text, "red") for text in plan.problems]
    return Group(*parts, Text(""))


def models_view(plan: Plan) -> RenderableType:
    """The models of a plan: a table where the terminal is wide enough, two lines for each elsewhere."""
    return Roomy(_table(plan), Group(*(_lines(m, plan) for m in plan.models)))


class Roomy:
    """Shows the first of two views if it is not wider than the console, else the second."""

    def __init__(self, wide: RenderableType, narrow: RenderableType) -> None:
        self.wide = wide
        self.narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        natural = Measurement.get(console, options.update(width=10_000, max_width=10_000), self.wide)
        yield self.wide if natural.maximum <= options.max_width else self.narrow


def _heading(plan: Plan) -> Text:
    services = [
        f"Ollama {plan.ollama_version}",
        *([f"Open-WebUI {plan.open_webui_version}"] if plan.open_webui else []),
    ]
    text = Text.assemble((plan.host, "bold"), f"  {plan.hardware}  ", (f"models on the {where(plan)}", "dim"))
    if plan.note:
        text.append(f"  ({plan.note})", "italic")
    return text.append(f"\n  {plan.url}  {', '.join(services)}", "dim")


def where(plan: Plan) -> str:
    """What its models run on."""
    return ENGINES[plan.accelerator]


Column = tuple[str, bool, Callable[[PlannedModel], str]]
"""Title, whether it is a number, and what stands in it."""


def _columns(plan: Plan) -> Iterator[Column]:
    """What a table of models shows; a column that would say the same of every model is left out."""
    yield "model", False, lambda m: m.tag
    yield "for", False, lambda m: ", ".join(m.purposes)
    yield "quantization", False, lambda m: m.quantization
    yield "context", True, context
    if plan.accelerator != "cpu":
        yield "GPU", True, lambda m: gib(m.gpu_mib)
    yield "RAM", True, lambda m: gib(m.ram_mib)
    yield "download", True, lambda m: gib(m.download_mib)
    if any(m.tokens_per_second is not None for m in plan.models):
        yield "tokens/s", True, lambda m: wording.tokens_per_second(m) or "-"
        yield "first token", True, lambda m: "-" if m.first_token_s is None else seconds(m.first_token_s)
    if not all(m.loaded for m in plan.models):
        yield "in memory", False, lambda m: "stays" if m.loaded else "takes turns"


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = list(_columns(plan))
    for title, is_number, _ in columns:
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    for model in plan.models:
        table.add_row(*(cell(model) for _, _, cell in columns))
    return table


def _lines(model: PlannedModel, plan: Plan) -> RenderableType:
    """What the table says, in two lines."""
    on_gpu = f"{gib(model.gpu_mib)} on the GPU, " if plan.accelerator != "cpu" else ""
    sizes = f"{model.quantization}, {context(model)} tokens, {on_gpu}{gib(model.ram_mib)} in RAM, "
    speed = wording.tokens_per_second(model)
    parts = [
        f"{sizes}{gib(model.download_mib)} download",
        *([f"{speed} tokens/s"] if speed else []),
        *([f"first token after {seconds(model.first_token_s)}"] if model.first_token_s is not None else []),
        *([] if model.loaded else ["takes turns in memory"]),
    ]
    title = Text.assemble((model.tag, "bold"), f"  {', '.join(model.purposes)}")
    return Group(title, Padding(Text("; ".join(parts)), UNDER_HOST))


def context(model: PlannedModel) -> str:
    """Tokens of one request, with the number of requests side by side if there are several."""
    return str(model.context_length) if model.parallel == 1 else f"{model.parallel} x {model.context_length}"


def _reason(text: str, roles: Sequence[str]) -> RenderableType:
    """A sentence; what a role will do has the role for its label."""
    role, colon, rest = text.partition(": ")
    return _line(role, rest, "bold") if colon and role in roles else _line("", text)


def _line(label: str, text: str, style: str = "dim") -> RenderableType:
    """A labelled sentence; wrapped by the console, under its label."""
    return Padding(
        Text.assemble((f"{label}: ", style) if label else ("", style), (text, "" if label else "dim")), UNDER_HOST
    )


def whole_line(label: str, text: str, style: str) -> RenderableType:
    """A labelled sentence that only the terminal wraps, so that a command in it can be copied."""
    return Text.assemble("  ", (f"{label}: ", style), text, no_wrap=True, overflow="ignore")
