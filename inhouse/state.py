"""What a controller remembers of an inventory between runs: the plans that were applied."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from inhouse.files import write_whole
from inhouse.inventory import Inventory
from inhouse.planner.plan import Plan


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` as a whole or not at all, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, text, mode=0o600)


def applied_plans(inventory: Inventory) -> dict[str, Plan]:
    """Return the plan last applied to each host, without hosts never deployed or deployed by another release."""
    file = _plans_file(inventory)
    if not file.exists():
        return {}
    plans = {}
    for name, record in json.loads(file.read_text(encoding="utf-8")).items():
        try:
            plans[name] = Plan.of(record)
        except ValidationError:  # written by a release with another contract: that host is planned anew
            continue
    return plans


def remember_plans(inventory: Inventory, plans: Iterable[Plan]) -> None:
    """Keep `plans` as what their hosts are now; other hosts' plans stay."""
    known = {**applied_plans(inventory), **{plan.host: plan for plan in plans}}
    records = {name: asdict(plan) for name, plan in sorted(known.items())}
    write_private(_plans_file(inventory), json.dumps(records, indent=2) + "\n")


def _plans_file(inventory: Inventory) -> Path:
    return inventory.state_dir / "applied.json"
