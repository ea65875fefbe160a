"""`inhouse catalogue estimate`: parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inhouse.console import for_people

if TYPE_CHECKING:
    from inhouse.catalogue.gguf import Header
    from inhouse.planner.memory import Memory, Use

OLLAMAS_MODELS = Path("/usr/share/ollama/.ollama/models")
"""Where an Ollama from its own installer keeps its models."""


def estimated(
    model: Annotated[str, typer.Argument(metavar="FILE|TAG", help="A GGUF file, or a tag Ollama has.")],
    models_dir: Annotated[
        Path | None,
        typer.Option(help="Where Ollama keeps its models. Default: where inhouse or its installer has them."),
    ] = None,
    context: Annotated[int, typer.Option(min=1, help="Tokens per slot.")] = 4096,
    parallel: Annotated[int, typer.Option(min=1, help="Slots.")] = 1,
    kv_cache_type: Annotated[str, typer.Option(help="f16, q8_0, q4_0, …")] = "f16",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs it is spread over.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Estimate a model's memory from the header of its file, whether the catalogue knows it or not. MiB."""
    from inhouse.catalogue import gguf
    from inhouse.errors import PlanError
    from inhouse.planner.memory import BYTES_PER_ELEMENT, Use

    if kv_cache_type not in BYTES_PER_ELEMENT:
        raise PlanError(f'--kv-cache-type "{kv_cache_type}" is unknown; one of: {", ".join(BYTES_PER_ELEMENT)}.')
    header = gguf.read(Path(model)) if _is_file(model) else gguf.find(model, models_dir or _models_dir())
    use = Use(context, parallel, kv_cache_type)
    parts = as_record(header, use, gpus)
    if as_json:
        typer.echo(json.dumps(parts, indent=2))
    else:
        _show(header, use, header.estimate(use, gpus))


def as_record(header: Header, use: Use, gpus: int) -> dict[str, object]:
    """Everything that is known, for programs. MiB."""
    from pydantic import TypeAdapter

    from inhouse.catalogue.models import Architecture

    found = header.estimate(use, gpus)
    parts = {name: round(mib, 1) for name, mib in found._asdict().items()}
    sums = {"gpu": found.gpu + found.copies, "beside_gpu": found.beside_gpu, "cpu": found.cpu}
    numbers = TypeAdapter(Architecture).dump_python(header.architecture, mode="json", exclude_defaults=True)
    return {
        "model": header.name,
        "known_architecture": header.known,
        "architecture": numbers,
        "context_trained": header.context_trained,
        "context_length": min(use.context_length, header.context_trained),
        "mib": parts | {name: round(mib, 1) for name, mib in sums.items()},
    }


def _models_dir() -> Path:
    from inhouse.settings import HostSettings

    ours = Path(HostSettings().ollama_models_dir)
    return OLLAMAS_MODELS if OLLAMAS_MODELS.is_dir() and not ours.is_dir() else ours


def _is_file(model: str) -> bool:
    """Tags hold no dot before a suffix: what looks like a file is one, so that its absence is told as such."""
    return model.endswith(".gguf") or Path(model).is_file()


def _show(header: Header, use: Use, found: Memory) -> None:
    from rich import box
    from rich.table import Table

    console = for_people()
    name = header.architecture.name or "unnamed"
    console.print(f"{header.name}: {name}, trained for {header.context_trained} tokens", markup=False, highlight=False)
    if not header.known:
        text = f'Architecture "{name}" is not known: estimated as a plain transformer, which may be far off.'
        console.print(text, markup=False, highlight=False)
    if use.context_length > header.context_trained:
        console.print(f"Context cut to {header.context_trained}, as Ollama does.", highlight=False)
    table = Table("MiB", "on GPUs", "beside them", "without GPU", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title, values in _rows(found):
        table.add_row(title, *(f"{mib:,.0f}" if mib else "-" for mib in values))
    console.print(table, highlight=False)


def _rows(m: Memory) -> list[tuple[str, tuple[float, float, float]]]:
    return [
        ("weights", (m.weights - m.embedding, m.embedding, m.weights)),
        ("second copy of the token table", (m.output_copy, 0, m.table_copy)),
        ("vision part", (m.projector, 0, m.projector)),
        ("KV cache", (m.kv_cache, 0, m.kv_cache)),
        ("recurrent state", (m.recurrent, 0, m.recurrent)),
        ("compute buffers", (m.compute, m.compute_host, m.compute_cpu)),
        ("cache of a layer in 16 bits (CUDA)", (m.copies, 0, 0)),
        ("all", (m.gpu + m.copies, m.beside_gpu, m.cpu)),
    ]
