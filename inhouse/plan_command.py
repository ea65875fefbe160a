"""`inhouse plan`: of hosts, of hardware one only thinks of, and of machines side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import typer

from inhouse import exits
from inhouse.console import Progress, for_people, show_errors, texts
from inhouse.errors import HostError, PlanError
from inhouse.planner.wishes import ORIGIN, settings
from inhouse.speeds import NONE, Speeds
from inhouse.units import FEW, few

if TYPE_CHECKING:  # loaded where hosts are asked; hardware one only thinks of needs neither Ansible nor pyinfra
    from inhouse.facts.model import HostFacts
    from inhouse.inventory import Inventory
    from inhouse.planner.explain import Explanation
    from inhouse.planner.plan import Plan
    from inhouse.planner.subject import Subject
    from inhouse.results import DeployResult
    from inhouse.survey import Survey

COMPARE, EXPLAIN = "--compare", "--explain"


def spread(arguments: Sequence[str]) -> list[str]:
    """Give each machine after `--compare` an option of its own, and `--explain` without a name the empty one.

    ["--compare", "a", "b"] becomes ["--compare", "a", "--compare", "b"].
    """
    spread: list[str] = []
    comparing = False
    for place, argument in enumerate(arguments):
        if argument.startswith("-"):
            comparing = argument == COMPARE or argument.startswith(f"{COMPARE}=")
            spread.append(argument)
            if argument == EXPLAIN and (place + 1 == len(arguments) or arguments[place + 1].startswith("-")):
                spread.append("")
        elif comparing and spread[-1] != COMPARE:
            spread += [COMPARE, argument]
        else:
            spread.append(argument)
    return spread


def refuse_contradictions(
    inventory: Path | None,
    limit: str | None,
    hardware: str | None,
    compare: Sequence[str],
    wishes: Sequence[str],
    explain: str | None,
) -> None:
    """Refuse options that belong to different questions, instead of leaving one of them out silently.

    Raises:
        PlanError: names the two, and what to write.
    """
    imagined = "--hardware" if hardware is not None else COMPARE if compare else None
    if hardware is not None and compare:
        raise PlanError("--hardware plans one machine and --compare several: give one of the two.")
    if imagined and (inventory is not None or limit is not None):
        other = f"the inventory {inventory}" if inventory is not None else "--limit"
        raise PlanError(f"{imagined} needs no host, {other} names some: leave out one of the two.")
    if explain is not None and compare:
        raise PlanError(f"{EXPLAIN} is about one machine: give it with --hardware instead of {COMPARE}.")
    if explain and hardware is not None:
        raise PlanError(
            f'{EXPLAIN} "{explain}" names a host, --hardware needs none: write {EXPLAIN} alone, as the last.'
        )
    if explain and limit is not None:
        raise PlanError(f"{EXPLAIN} and --limit both name hosts: give the names to one of the two.")
    if wishes and not imagined:
        raise PlanError(f"{ORIGIN} is for --hardware and --compare. Settings of hosts stand in their inventory.")


def imagined(hardware: str, wishes: Sequence[str], explain: bool, as_json: bool) -> int:
    """Answer what hardware that need not exist could run."""
    from inhouse.planner.choose import make_plan
    from inhouse.planner.hardware import imagined_host, parse
    from inhouse.planner.show import plan_view

    host, facts = imagined_host(settings(wishes)), parse(hardware)
    made = make_plan(host, facts)
    if explain:
        _show_explained({host.name: (made, _explanation(host, facts))}, as_json)
    elif as_json:
        typer.echo(json.dumps(asdict(made), indent=2))
    else:
        for_people().print(plan_view(made), crop=False)
    return exits.FAILED if made.problems else exits.DONE


def compared(machines: Sequence[str], wishes: Sequence[str], as_json: bool) -> int:
    """Put machines side by side."""
    from inhouse.planner.compare import compare
    from inhouse.planner.show_compare import comparison_record, comparison_view

    found = compare(machines, settings(wishes))
    if as_json:
        typer.echo(json.dumps(comparison_record(found), indent=2))
    else:
        for_people().print(comparison_view(found), crop=False)
    return exits.DONE


def explained(inventory: Inventory, as_json: bool) -> int:
    """Say what came close on hosts of an inventory. What would change there is not asked.

    Raises:
        PlanError: there are more hosts than a person reads of; JSON has them all.
    """
    from inhouse.survey import survey

    names = [host.name for host in inventory.hosts]
    if len(names) > FEW and not as_json:
        raise PlanError(f"{len(names)} hosts ({few(names)}) are too many to explain. Name some: {EXPLAIN} {names[0]}")
    found = survey(inventory, Progress(for_people(quiet=as_json)))
    asked = {host.name: host for host in inventory.hosts if host.name in found.plans}
    plans = {
        name: (found.plans[name], _explanation(host, found.facts[name], found.speeds)) for name, host in asked.items()
    }
    _show_explained(plans, as_json, found.errors)
    return exits.FAILED if found.errors or any(made.problems for made, _ in plans.values()) else exits.DONE


def _explanation(host: Subject, facts: HostFacts, speeds: Speeds = NONE) -> tuple[Explanation, ...]:
    from inhouse.planner.choose import decided
    from inhouse.planner.explain import explain

    return explain(*decided(host, facts, speeds))


def _show_explained(
    plans: Mapping[str, tuple[Plan, Sequence[Explanation]]],
    as_json: bool,
    errors: Mapping[str, HostError] = MappingProxyType({}),
) -> None:
    from inhouse.planner.show import plan_view
    from inhouse.planner.show_explain import explanation_record, explanation_view

    if as_json:
        hosts = {
            name: {"plan": asdict(made), "explanation": explanation_record(why)} for name, (made, why) in plans.items()
        }
        typer.echo(json.dumps({"hosts": hosts, "errors": texts(errors)}, indent=2))
        return
    console = for_people()
    for made, why in plans.values():
        console.print(plan_view(made), explanation_view(why), crop=False)
    show_errors(errors)


def hosts(inventory: Inventory, init_folder: Path, as_json: bool) -> int:
    """Plan for the hosts of an inventory, and ask them what would change."""
    from inhouse.survey import survey

    progress = Progress(for_people(quiet=as_json))
    found = survey(inventory, progress)
    pending = _pending(found, progress)
    if as_json:
        typer.echo(json.dumps(_record(found, pending), indent=2))
    else:
        _show(found, pending, init_folder)
    if found.errors or any(made.problems for made in found.plans.values()) or any(r.error for r in pending.values()):
        return exits.FAILED
    to_do = inventory.secrets is None or any(result.changes for result in pending.values())
    return exits.CHANGES_PENDING if to_do else exits.DONE


def _pending(found: Survey, progress: Progress) -> Mapping[str, DeployResult]:
    """Ask what roles and deploys would change; a playbook that started us asks its roles itself."""
    from inhouse import machine_layer
    from inhouse.handover import within_ansible
    from inhouse.runners import run_pyinfra

    roles = {} if within_ansible() else machine_layer.check(found, progress)
    if found.inventory.secrets is None or not found.applicable:
        return machine_layer.together(roles, {})
    progress.step("What would change (nothing is changed now)")
    return machine_layer.together(roles, run_pyinfra(found.inventory, found.applicable, dry=True))


def _record(found: Survey, pending: Mapping[str, DeployResult]) -> dict[str, object]:
    from inhouse.planner.show_fleet import fleet_record

    return {
        "fleet": fleet_record(found.fleet),
        "hosts": {name: asdict(made) for name, made in found.plans.items()},
        "changes": {name: result.model_dump(mode="json") for name, result in pending.items()},
        "errors": texts(found.errors),
    }


def _show(found: Survey, pending: Mapping[str, DeployResult], init_folder: Path) -> None:
    from inhouse.planner.show_fleet import plans_view
    from inhouse.summary import print_changes

    console = for_people()
    console.print(plans_view(tuple(found.plans.values()), found.fleet), crop=False)
    print_changes(console, pending)
    if found.inventory.secrets is None:
        console.print(f"Secrets are not made yet. Run: inhouse init {init_folder}", highlight=False, soft_wrap=True)
    show_errors(found.errors)
