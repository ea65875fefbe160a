"""Fits the constants of inhouse.planner.speed on tests/data/speeds.yml, and says how far the points lie from the curve.

Run as `python -m tests.speed_fit`: prints the constants to put into speed.py, and the table of docs/speed.md.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model
from inhouse.planner import speed
from inhouse.planner.speed import FITTED, Engine, Fitted, Kind, Processor

DATA = Path(__file__).parent / "data" / "speeds.yml"
PROMISED = 0.8
"""Part of the measurements of any machine that a range is to hold."""
INSIDE = 0.86
"""Part of the points that it holds: more, since a machine that is not among them lies a little further off."""
NARROWEST = 1.1
"""No range is narrower: machines of one kind differ by their cooling alone."""
FEW = 4
"""Machines of a kind below which its own spread says little."""
PROCESSORS = {False: "processors without AVX-512", True: "processors with AVX-512"}
PROMPT = 512
"""Tokens of a prompt, where a point does not tell."""


@dataclass(frozen=True, eq=False)
class Point:
    """One published measurement."""

    device: str
    kind: str
    """Key in `Fitted.kinds`, or a value of PROCESSORS."""
    model: Model
    engine: Engine
    generation: float | None
    """Tokens/s."""
    prompt: float | None
    """Tokens/s while a prompt is read."""
    prompt_tokens: int
    depth: int
    """Tokens that the context held already."""

    @property
    def alone(self) -> bool:
        """All of the model is on GPUs, or all of it on the CPU."""
        return self.engine.backend == "cpu" or self.engine.gpu_share == 1.0


@cache
def data() -> dict[str, Any]:
    """The file as it is."""
    return dict(yaml.safe_load(DATA.read_text(encoding="utf-8")))


@cache
def points() -> tuple[Point, ...]:
    """The measurements, each with its model and what it ran on."""
    return tuple(_point(row, data()["devices"][row["device"]]) for row in data()["points"])


def _point(row: dict[str, Any], device: dict[str, Any]) -> Point:
    model = catalogue.find(row["model"])
    assert model is not None, row["model"]
    if "file_mib" in row:
        model = replace(model, file_mib=row["file_mib"])
    if "embedding_bits" in row:
        table = replace(model.architecture, embedding_bits=row["embedding_bits"])
        model = replace(model, architecture=table)
    cores = device.get("cores", 8)
    engine = Engine(
        backend=row.get("backend", device["backend"]),
        bandwidth_gbs=device.get("bandwidth_gbs"),
        tflops=device.get("tflops"),
        ram_gbs=0.0,
        cores=cores,
        avx512=device.get("avx512", False),
        gpu_share=row.get("gpu_share", 1.0),
        gpus=row.get("gpus", 1),
        compute=device.get("compute"),
    )
    return Point(
        device=row["device"],
        kind=PROCESSORS[engine.avx512] if engine.backend == "cpu" else speed.kind_name(engine),
        model=model,
        engine=engine,
        generation=row.get("tokens_per_second"),
        prompt=row.get("prompt_per_second"),
        prompt_tokens=row.get("prompt", PROMPT),
        depth=row.get("depth", 0),
    )


def generation_residual(point: Point, fitted: Fitted) -> float:
    """Logarithm of predicted by measured tokens/s."""
    engine = point.engine._replace(ram_gbs=speed.likely_ram_gbs(point.engine.cores, point.engine.avx512, fitted))
    seconds = speed.seconds_per_token(point.model, engine, point.depth, fitted=fitted)
    assert seconds is not None
    assert point.generation is not None
    return -log(seconds * point.generation)


def prompt_residual(point: Point, fitted: Fitted) -> float:
    """Logarithm of predicted by measured tokens/s while a prompt is read."""
    seconds = speed.prompt_seconds(point.model, point.prompt_tokens, point.engine, fitted)
    assert seconds is not None
    assert point.prompt is not None
    return log(point.prompt_tokens / seconds / point.prompt)


def fit(start: Fitted = FITTED) -> Fitted:
    """Fit all constants by turns: each is moved as long as that brings the points nearer."""
    fitted = start
    for step in (0.2, 0.05, 0.01):
        for _ in range(20):
            before = fitted
            for move in _moves():
                fitted = _best(fitted, move, step)
            if fitted == before:
                break
    return with_spreads(fitted)


Move = Callable[[Fitted, float], Fitted]
"""Multiplies one constant."""


def _moves() -> Iterable[Move]:
    for name in ("experts", "experts_block_us", "recurrent_block_us", "kv", "further_gpu_us", "experts_prompt"):
        yield lambda fitted, by, name=name: replace(fitted, **{name: getattr(fitted, name) * by})  # type: ignore[misc]
    for avx512 in FITTED.processors:
        for name in ("gbs", "gbs_power", "gflops", "gflops_power"):
            yield lambda fitted, by, key=avx512, name=name: _faster(fitted, key, name, by)  # type: ignore[misc]
    for kind in FITTED.kinds:
        for name in ("efficiency", "block_us", "prompt"):
            yield lambda fitted, by, kind=kind, name=name: _scaled(fitted, kind, name, by)  # type: ignore[misc]


def _scaled(fitted: Fitted, kind: str, name: str, by: float) -> Fitted:
    value = getattr(fitted.kinds[kind], name) * by
    if name == "efficiency":
        value = min(value, 0.95)
    return replace(fitted, kinds={**fitted.kinds, kind: replace(fitted.kinds[kind], **{name: value})})


def _faster(fitted: Fitted, avx512: bool, name: str, by: float) -> Fitted:
    value = getattr(fitted.processors[avx512], name) * by
    if name.endswith("power"):
        value = min(value, 1.0)
    changed = replace(fitted.processors[avx512], **{name: value})
    return replace(fitted, processors={**fitted.processors, avx512: changed})


def _best(fitted: Fitted, move: Move, step: float) -> Fitted:
    candidates = [fitted, move(fitted, 1 + step), move(fitted, 1 / (1 + step))]
    return min(candidates, key=loss)


def loss(fitted: Fitted) -> float:
    """Sum of the distances, every machine with the weight of the square root of its points, and a pull to a prior."""
    total = sum(w * abs(generation_residual(p, fitted)) for p, w in _weighted(False))
    total += sum(w * abs(prompt_residual(p, fitted)) for p, w in _weighted(True))
    for point, weight in _pooled(False):
        total += 0.2 * weight * abs(generation_residual(point, fitted))
    for point, weight in _pooled(True):
        total += 0.2 * weight * abs(prompt_residual(point, fitted))
    prior = sum(log(k.efficiency / 0.8) ** 2 + 0.3 * log(k.block_us / 60) ** 2 for k in fitted.kinds.values())
    return total + prior


@cache
def _weighted(prompt: bool) -> tuple[tuple[Point, float], ...]:
    used = [p for p in points() if (p.prompt if prompt else p.generation) is not None]
    count = {p.device: sum(q.device == p.device for q in used) for p in used}
    return tuple((p, count[p.device] ** -0.5) for p in used)


@cache
def _pooled(prompt: bool) -> tuple[tuple[Point, float], ...]:
    """All NVIDIA cards as if their compute capability were not known."""
    return tuple(
        (replace(p, kind="cuda", engine=p.engine._replace(compute=None)), w)
        for p, w in _weighted(prompt)
        if p.engine.backend == "cuda"
    )


def spread(residuals: Sequence[float]) -> float:
    """The factor within which `INSIDE` of the points lie."""
    ordered = sorted(abs(r) for r in residuals)
    rank = max(0, -(-len(ordered) * INSIDE // 1) - 1)
    return max(exp(ordered[int(rank)]), NARROWEST)


def with_spreads(fitted: Fitted) -> Fitted:
    """Round the constants to three digits, then measure how far the points lie from that curve."""
    fitted = _rounded(fitted)
    fitted = replace(fitted, kinds={name: _with_tflops(name, kind) for name, kind in fitted.kinds.items()})
    alone = [p for p in points() if p.alone]
    generation = {p: generation_residual(p, fitted) for p in alone if p.generation is not None}
    prompt = {p: prompt_residual(p, fitted) for p in alone if p.prompt is not None}
    kinds = {
        name: replace(kind, spread=_of_kind(name, generation), prompt_spread=_of_kind(name, prompt))
        for name, kind in fitted.kinds.items()
    }
    unknown = [p for p, _ in _pooled(False) if p.alone]
    unknown_prompt = [p for p, _ in _pooled(True) if p.alone]
    kinds["cuda"] = replace(
        kinds["cuda"],
        spread=_up(spread([generation_residual(p, fitted) for p in unknown])),
        prompt_spread=_up(spread([prompt_residual(p, fitted) for p in unknown_prompt])),
    )
    return replace(
        fitted,
        kinds=kinds,
        processors={
            key: replace(
                p, spread=_of_kind(PROCESSORS[key], generation), prompt_spread=_of_kind(PROCESSORS[key], prompt)
            )
            for key, p in fitted.processors.items()
        },
    )


def _with_tflops(name: str, kind: Kind) -> Kind:
    """The middle of what machines of a kind have; `Fitted.kinds` keeps what it had, where the data tells nothing."""
    engines = {p.device: p.engine for p in points() if name in {p.kind, p.engine.backend}}
    ratios = [e.tflops / e.bandwidth_gbs for e in engines.values() if e.tflops and e.bandwidth_gbs]
    return replace(kind, tflops_per_gbs=float(f"{median(ratios):.3g}")) if ratios else kind


def _of_kind(name: str, residuals: dict[Point, float]) -> float:
    """The spread of one kind; of all GPUs, where the kind has too few machines to tell, if that is more."""
    own = [r for p, r in residuals.items() if p.kind == name]
    machines = {p.device for p in residuals if p.kind == name}
    everyone = [r for p, r in residuals.items() if p.engine.backend != "cpu"]
    return _up(spread(own) if len(machines) >= FEW else max(spread(everyone), spread(own) if own else 1.0))


def _up(value: float) -> float:
    return -(-value * 100 // 1) / 100


def _rounded(fitted: Fitted) -> Fitted:
    kinds = {name: replace(kind, **_three(kind)) for name, kind in fitted.kinds.items()}
    processors = {key: replace(processor, **_three(processor)) for key, processor in fitted.processors.items()}
    return replace(fitted, kinds=kinds, processors=processors, **_three(fitted))


def _three(record: Fitted | Kind | Processor) -> dict[str, Any]:
    """The numbers of a record, rounded to three digits."""
    values = ((f.name, getattr(record, f.name)) for f in fields(record))
    return {name: float(f"{value:.3g}") for name, value in values if isinstance(value, float | int)}


def unseen(fitted: Fitted) -> float:
    """Part of the points inside their range if their machine is left out of the fit of its kind."""
    alone = [p for p in points() if p.alone and p.generation is not None]
    inside = 0
    for device in {p.device for p in alone}:
        own = [p for p in alone if p.device == device]
        others = [p for p in alone if p.kind == own[0].kind and p.device != device]
        without = _refitted(fitted, own[0].kind, others) if others else fitted
        inside += sum(abs(generation_residual(p, without)) <= log(spreads(p.kind, fitted)[0]) for p in own)
    return inside / len(alone)


def _refitted(fitted: Fitted, kind: str, chosen: Sequence[Point]) -> Fitted:
    """The constants of one kind fitted on some points, all else as it is."""
    numbers = {name: key for key, name in PROCESSORS.items()}

    def moved(now: Fitted, name: str, by: float) -> Fitted:
        return _faster(now, numbers[kind], name, by) if kind in numbers else _scaled(now, kind, name, by)

    names = ("gbs", "gbs_power") if kind in numbers else ("efficiency", "block_us")
    for _ in range(5):
        for name in names:
            candidates = [fitted, moved(fitted, name, 1.04), moved(fitted, name, 1 / 1.04)]
            fitted = min(candidates, key=lambda f: sum(abs(generation_residual(p, f)) for p in chosen))
    return fitted


def constants(fitted: Fitted) -> str:
    """What was fitted for each kind, in Markdown."""
    lines = ["| GPUs | efficiency | µs per block | prompt | TFLOPS per GB/s |", "|---|---|---|---|---|"]
    for name, k in fitted.kinds.items():
        lines.append(f"| {name} | {k.efficiency:g} | {k.block_us:g} | {k.prompt:g} | {k.tflops_per_gbs:g} |")
    lines += ["", "| processors | GB/s | GFLOPS |", "|---|---|---|"]
    for key, p in fitted.processors.items():
        bandwidth, arithmetic = f"{p.gbs:g} * n^{p.gbs_power:g}", f"{p.gflops:g} * n^{p.gflops_power:g}"
        lines.append(f"| {PROCESSORS[key].split(maxsplit=1)[1]} | {bandwidth} | {arithmetic} |")
    return "\n".join(lines)


def table(fitted: Fitted) -> str:
    """Per kind, in Markdown: points, median distance, part of the points inside the range."""
    lines = ["| kind | points | median error | range | inside | prompt: points | median error | range | inside |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name in [*(k for k in fitted.kinds if k != "cuda"), *PROCESSORS.values()]:
        alone = [p for p in points() if p.kind == name and p.alone]
        generation = [generation_residual(p, fitted) for p in alone if p.generation is not None]
        prompt = [prompt_residual(p, fitted) for p in alone if p.prompt is not None]
        wide, prompt_wide = spreads(name, fitted)
        lines.append(f"| {name} | {_cells(generation, wide)} | {_cells(prompt, prompt_wide)} |")
    return "\n".join(lines)


def spreads(kind: str, fitted: Fitted) -> tuple[float, float]:
    """Factors of a kind's ranges: of generating, and of reading a prompt."""
    names = {name: fitted.processors[key] for key, name in PROCESSORS.items()}
    found = names.get(kind) or fitted.kinds[kind]
    return found.spread, found.prompt_spread


def _cells(residuals: Sequence[float], wide: float) -> str:
    if not residuals:
        return f"0 | | x/÷ {wide:g} | "
    middle = exp(median(abs(r) for r in residuals)) - 1
    inside = sum(abs(r) <= log(wide) for r in residuals) / len(residuals)
    return f"{len(residuals)} | {middle:.0%} | x/÷ {wide:g} | {inside:.0%}"


def _values(record: Kind | Processor) -> str:
    return ", ".join(f"{getattr(record, f.name):g}" for f in fields(record))


def main() -> int:
    """Fit, and print."""
    fitted = fit()
    lines = [f'        "{name}": Kind({_values(kind)}),' for name, kind in fitted.kinds.items()]
    lines += [f"    {name}={value}," for name, value in _three(fitted).items()]
    lines += [f"        {key}: Processor({_values(p)})," for key, p in fitted.processors.items()]
    lines += [
        "",
        f"loss {loss(FITTED):.2f} -> {loss(fitted):.2f}",
        "",
        constants(fitted),
        "",
        table(fitted),
        "",
        f"of machines that are left out of the fit: {unseen(fitted):.0%} inside",
        "",
    ]
    sys.stdout.write("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
