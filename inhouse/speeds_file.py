"""What `verify` measured, kept beside the inventory: a measured speed replaces a predicted one in later plans.

A speed belongs to a device (the GPUs by name, or the processor) and a model's tag, so that one host's measurement
serves all hosts of an inventory that are alike. Each inventory keeps its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from inhouse.speeds import Speeds

if TYPE_CHECKING:
    from inhouse.inventory import Inventory
    from inhouse.planner.plan import Plan, PlannedModel
    from inhouse.results import SmokeResult

SPEED_TEST = "{model.tag} generates at least {plan.min_tokens_per_second} tokens/s"
"""Title of the smoke test that must have passed; it runs only if the model lies on the GPU or the CPU as planned."""


class Measurement(BaseModel):
    """The latest speed of one model on one device with one release of Ollama."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    device: str
    tag: str
    quantization: str
    ollama: str
    """Version."""
    tokens_per_second: PositiveFloat
    """Latest run; of several hosts with this device the middle one."""
    count: PositiveInt
    """How many runs there were."""
    date: str
    """ISO 8601, of the latest."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later measurement replaces."""
        return self.device, self.tag, self.quantization, self.ollama


_MEASUREMENTS = TypeAdapter(tuple[Measurement, ...], config=ConfigDict(defer_build=True))


def load(inventory: Inventory) -> Speeds:
    """Return what was measured on the hosts of an inventory; nothing, and a warning, where the file is damaged."""
    file = _file(inventory)
    try:
        known = _read(file)
    except (ValidationError, OSError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return Speeds(warning=_unreadable(file, reason))
    by_date = sorted(known, key=lambda m: m.date)
    return Speeds({(m.device, m.tag): m.tokens_per_second for m in by_date})


def remember(inventory: Inventory, plans: Iterable[Plan], results: Mapping[str, SmokeResult]) -> None:
    """Keep the speeds of models that passed their speed test and lie wholly on the GPU or wholly on the CPU.

    Args:
        inventory: whose hosts they are; hosts with `learn_speeds: false` teach nothing.
        plans: what each host was when it was tested.
        results: of the smoke tests, by host.
    """
    learning = {host.name for host in inventory.hosts if host.settings.learn_speeds}
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for plan in plans:
        if plan.host in learning and plan.host in results and plan.device:
            for model, rate in _trusted(plan, results[plan.host]):
                key = (plan.device, model.tag, model.quantization, plan.ollama_version)
                found.setdefault(key, []).append(rate)
    if not found:
        return
    try:
        known = {m.key: m for m in _read(_file(inventory))}
    except (ValidationError, OSError):
        known = {}
    from statistics import median  # with fractions, random and more; plans need none of it

    now = datetime.now(UTC).isoformat(timespec="seconds")
    for key, rates in found.items():
        count = known[key].count + 1 if key in known else 1
        device, tag, quantization, ollama = key
        known[key] = Measurement(
            device=device,
            tag=tag,
            quantization=quantization,
            ollama=ollama,
            tokens_per_second=round(median(rates), 2),
            count=count,
            date=now,
        )
    from inhouse.state import write_private

    records = [known[key].model_dump() for key in sorted(known)]
    write_private(_file(inventory), json.dumps(records, indent=2, ensure_ascii=False) + "\n")


def _trusted(plan: Plan, result: SmokeResult) -> Iterable[tuple[PlannedModel, float]]:
    """Models of a host whose measured speed says something about its device."""
    passed = {test.name for test in result.tests if test.outcome == "passed"}
    for model in plan.chat_models:
        rate = result.tokens_per_second.get(model.tag)
        if rate and model.gpu_share in (0.0, 1.0) and SPEED_TEST.format(model=model, plan=plan) in passed:
            yield model, rate


def _read(file: Path) -> tuple[Measurement, ...]:
    return _MEASUREMENTS.validate_json(file.read_bytes()) if file.exists() else ()


def _unreadable(file: Path, reason: str) -> str:
    return (
        f"{file} cannot be read ({reason}): speeds are predicted, not measured, until the next verify writes it anew."
    )


def _file(inventory: Inventory) -> Path:
    return inventory.state_dir / "speeds.json"
