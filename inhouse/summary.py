"""What a person reads at the end: tables of outcomes, and JSON of the same."""

from collections.abc import Iterable, Mapping

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from inhouse.planner.plan import Plan
from inhouse.results import DeployResult, SmokeResult
from inhouse.units import few, gib
from inhouse.up import Outcome


def outcome_table(outcome: Outcome) -> Table:
    """Return one row per host: hardware, models, memory used of available, speed, tests, URL."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("Host", "Hardware", "Models", "Memory", "tokens/s", "Tests"):
        table.add_column(column, overflow="fold", ratio=2 if column in ("Hardware", "Memory") else None)
    for host in outcome.survey.inventory.hosts:
        table.add_row(*_cells(host.name, outcome))
    return table


def _cells(name: str, outcome: Outcome) -> tuple[RenderableType, ...]:
    plan = outcome.survey.plans.get(name)
    title = Text(name, style="green" if outcome.host_ok(name) else "red")
    if plan is None:
        return (title, "not known", "", "", "", "")
    smoke = outcome.smoke.get(name)
    models = "\n".join(model.tag for model in plan.models)
    if smoke is None:
        return (title, plan.hardware, models, "", "", Text("not run", style="red"))
    title.append(f"\n{plan.url}", style="dim")
    return (title, plan.hardware, models, _memory(plan, smoke), _speeds(plan, smoke), _tests(smoke))


def _memory(plan: Plan, smoke: SmokeResult) -> str:
    where = "GPU" if plan.accelerator != "cpu" else "RAM"
    used = sum(smoke.memory_used_mib.values())
    planned = sum(m.gpu_mib if plan.accelerator != "cpu" else m.ram_mib for m in plan.models)
    return f"{gib(used)} of {gib(plan.memory_total_mib)} {where}\n{gib(planned)} planned"


def _speeds(plan: Plan, smoke: SmokeResult) -> str:
    rates = (smoke.tokens_per_second.get(model.tag) for model in plan.models)
    return "\n".join("-" if rate is None else f"{rate:.1f}" for rate in rates)


def _tests(smoke: SmokeResult) -> Text:
    return Text(f"{smoke.passed} of {len(smoke.tests)}", style="green" if smoke.ok else "red")


def print_outcome(console: Console, outcome: Outcome) -> None:
    """Print the table, then per host what happened and why, then one last line that says it all."""
    console.print()
    console.print(outcome_table(outcome))
    notes = {plan.note for plan in outcome.survey.plans.values() if plan.note}
    for note in sorted(notes):
        hosts = ", ".join(name for name, plan in outcome.survey.plans.items() if plan.note == note)
        console.print(Text(f"{hosts}: {note}", style="dim"))
    for host in outcome.survey.inventory.hosts:
        if not outcome.host_ok(host.name):
            console.print(Text(f"{host.name}: ", style="bold red") + Text(outcome.why(host.name), style=""))
    good = sum(outcome.host_ok(host.name) for host in outcome.survey.inventory.hosts)
    total = len(outcome.survey.inventory.hosts)
    change = "" if outcome.changed else " Nothing had to be changed."
    console.print(f"{good} of {total} hosts serve as planned and passed every smoke test.{change}")


def outcome_record(outcome: Outcome) -> dict[str, object]:
    """Return the outcome as JSON has it, by host."""
    return {host.name: _host_record(outcome, host.name) for host in outcome.survey.inventory.hosts}


def _host_record(outcome: Outcome, name: str) -> dict[str, object]:
    plan, smoke = outcome.survey.plans.get(name), outcome.smoke.get(name)
    ok = outcome.host_ok(name)
    return {
        "ok": ok,
        "why": "" if ok else outcome.why(name),
        "changes": outcome.changes(name),
        "hardware": plan.hardware if plan else "",
        "url": plan.url if plan else "",
        "models": [model.tag for model in plan.models] if plan else [],
        "tokens_per_second": smoke.tokens_per_second if smoke else {},
        "tests": len(smoke.tests) if smoke else 0,
        "tests_passed": smoke.passed if smoke else 0,
    }


def print_changes(console: Console, results: Mapping[str, DeployResult]) -> None:
    """Print what would change: hosts that need the same together, then what roles say and differences host by host."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for result in results.values():
        if result.error:
            console.print(Text(f"{result.host}: {result.error}", style="red"))
        else:
            alike.setdefault(result.changes, []).append(result.host)
    for changes, hosts in alike.items():
        what = f"{len(changes)} changes" if changes else "nothing to do"
        console.print(Text(f"{few(hosts)}: {what}", style="yellow" if changes else "green"))
        for name in changes:
            console.print(f"  ~ {name}", highlight=False, markup=False)
    for result in results.values():
        for told in result.told:
            console.print(Text(f"{result.host}: {told}"))
        for one in result.differences:
            console.print(Text(f"{result.host}: {one.task}", style="bold"))
            console.print(one.difference, highlight=False, markup=False, soft_wrap=True)


def print_smoke(console: Console, results: Iterable[SmokeResult]) -> None:
    """Print the failing tests of every host in full, and one line for each host."""
    for result in results:
        style = "green" if result.ok else "red"
        note = f"  ({result.note})" if result.note else ""
        console.print(Text(f"{result.host}: {result.passed} of {len(result.tests)} passed{note}", style=style))
        for test in result.tests:
            if test.outcome == "failed":
                console.print(Text("  ✗ " + test.name, style="red"))
                console.print(Text("    " + test.message))
            elif test.outcome == "skipped":
                console.print(Text(f"  - {test.name}: {test.message}", style="dim"))
        for tag, rate in result.tokens_per_second.items():
            console.print(f"  {tag}: {rate:.1f} tokens/s", highlight=False)
