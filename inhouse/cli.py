"""The commands: parse, call, print, exit. What they do is in the modules they import."""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from inhouse import __version__, exits
from inhouse.catalogue.commands import catalogue_commands
from inhouse.console import Progress, for_people, show_errors, texts
from inhouse.errors import HostError, InhouseError, InventoryError
from inhouse.lab.commands import lab_commands

if TYPE_CHECKING:  # loaded by the commands that need them, so that `inhouse plan --hardware` answers at once
    from inhouse.inventory import Inventory
    from inhouse.planner.plan import Plan


class Paragraphs(typer.core.TyperGroup):
    """Shows our errors as one clear paragraph each, and after Ctrl-C how to go on."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Begin, before what a command needs is loaded."""
        # What a command loads it keeps until its end: searching all of it for garbage took a quarter of a short one's
        # time.
        gc.set_threshold(100_000)
        atexit.register(gc.freeze)
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for any reads every installed package
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InhouseError as error:
            if ctx.params["debug"]:
                raise
            text, code = f"Error: {error}", exits.FAILED
        except KeyboardInterrupt:
            text = "Interrupted. Nothing is lost: run the same command again, it goes on where it stopped."
            code = exits.INTERRUPTED
        for_people(quiet=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(code)


app = typer.Typer(
    cls=Paragraphs,
    help="Bare Linux hosts to a working, tested private AI service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lab_commands, name="lab")
app.add_typer(catalogue_commands, name="catalogue")

InventoryPath = Annotated[
    Path | None, typer.Argument(help="Folder in Ansible's inventory format. Default: inventories/local, this machine.")
]
Limit = Annotated[str | None, typer.Option(help="Only these hosts or groups, with commas between them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Common options."""
    if context.invoked_subcommand in {"lab", "demo"}:
        import logging  # takes longer to load than many a command runs

        logging.getLogger("stamina").setLevel(logging.ERROR)  # waiting is not worth a word; giving up raises


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder of the inventory to begin or to complete.")]) -> None:
    """Write a starter inventory, with secrets made and encrypted."""
    from inhouse.init import init as write_inventory

    for line in write_inventory(folder):
        typer.echo(line)


@app.command()
def facts(inventory: InventoryPath = None, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show hardware and software of every host."""
    from inhouse.facts.show import as_record, facts_view
    from inhouse.survey import gather_facts

    console = for_people(quiet=as_json)
    found, errors = gather_facts(load(inventory, limit), Progress(console))
    if as_json:
        typer.echo(
            json.dumps({"hosts": {name: as_record(one) for name, one in found.items()}, "errors": texts(errors)})
        )
    else:
        for one in found.values():
            console.print(facts_view(one))
        show_errors(errors)
    raise typer.Exit(exits.FAILED if errors else 0)


class PlanCommand(typer.core.TyperCommand):
    """Takes every machine that follows `--compare`, as in a sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse."""
        from inhouse.plan_command import spread

        return super().parse_args(ctx, spread(args))


@app.command(cls=PlanCommand)
def plan(
    inventory: InventoryPath = None,
    limit: Limit = None,
    as_json: AsJson = False,
    hardware: Annotated[
        str | None, typer.Option(help="Plan for hardware you only think of: 'rtx-4090 x2, ram 128, disk 500'.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="MACHINE...", help="Such machines side by side: 'rtx-4090' 'mac-studio-m3-ultra 256'."),
    ] = None,
    wishes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting, as in an inventory, for --hardware and --compare: purposes=vision,code. Repeatable.",
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST]",
            help="What came close on a host of the inventory, and what it would have needed. No HOST with --hardware.",
        ),
    ] = None,
) -> None:
    """Show what would be chosen, why, and what would change. Exit 0: nothing to do, 2: changes pending, 1: error."""
    from inhouse import plan_command as command

    command.refuse_contradictions(inventory, limit, hardware, compare or (), wishes or (), explain)
    if compare:
        code = command.compared(compare, wishes or (), as_json)
    elif hardware is not None:
        code = command.imagined(hardware, wishes or (), explain is not None, as_json)
    elif explain is not None:
        code = command.explained(load(inventory, explain or limit), as_json)
    else:
        hosts = load(inventory, limit)
        code = command.hosts(hosts, folder_of_secrets(inventory, hosts), as_json)
    raise typer.Exit(code)


@app.command()
def up(
    inventory: InventoryPath = None,
    limit: Limit = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Hosts at a time; a failing host stops the batches after it.")
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before changing anything; without a terminal nothing is asked."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Facts, plan, roles, deploys and smoke tests: from bare hosts to a service that is known to work."""
    from inhouse.handover import within_ansible
    from inhouse.machine_layer import left_out
    from inhouse.planner.show_fleet import plans_view
    from inhouse.summary import outcome_record, print_outcome
    from inhouse.survey import survey
    from inhouse.up import apply

    console = for_people(quiet=as_json)
    progress = Progress(console)
    hosts = load(inventory, limit, secrets_needed=True)
    found = survey(left_out(hosts) if within_ansible() else hosts, progress)
    console.print(plans_view(tuple(found.plans.values()), found.fleet), crop=False)
    show_errors(found.errors)
    if not yes and found.applicable and sys.stdin.isatty() and not agreed(len(found.applicable)):
        raise typer.Exit(exits.FAILED)
    outcome = apply(found, progress, batch)
    print_outcome(console, outcome)
    if as_json:
        typer.echo(json.dumps({"hosts": outcome_record(outcome)}, indent=2))
    if outcome.interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(0 if outcome.ok else exits.FAILED)


def agreed(hosts: int) -> bool:
    """Ask whether to go on."""
    return typer.confirm(f"Apply this to {'1 host' if hosts == 1 else f'{hosts} hosts'}?")


@app.command()
def verify(
    inventory: InventoryPath = None,
    limit: Limit = None,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML to this file.")] = None,
) -> None:
    """Run the smoke tests on every host. Exit 0: all pass, 1: not."""
    from inhouse.smoke.run import write_junit
    from inhouse.summary import print_smoke
    from inhouse.up import verify as run_smoke

    console = for_people(quiet=as_json)
    progress = Progress(console)
    hosts = load(inventory, limit, secrets_needed=True)
    results = run_smoke(hosts, plans_to_verify(hosts, progress), progress)
    if junit is not None:
        write_junit(results, junit)
    if as_json:
        typer.echo(json.dumps({name: result.model_dump(mode="json") for name, result in results.items()}, indent=2))
    else:
        print_smoke(console, results.values())
    missing = [host.name for host in hosts.hosts if host.name not in results]
    raise typer.Exit(0 if not missing and all(result.ok for result in results.values()) else exits.FAILED)


def plans_to_verify(inventory: Inventory, progress: Progress) -> list[Plan]:
    """Return what was applied to each host, or, for hosts that others deployed, what would be planned now."""
    from inhouse.state import applied_plans
    from inhouse.survey import survey

    applied = applied_plans(inventory)
    unknown = inventory.limited_to([host.name for host in inventory.hosts if host.name not in applied])
    found = survey(unknown, progress) if unknown.hosts else None
    if found is not None:
        bare = {name for name, one in found.facts.items() if one.fleet is None and one.installed.ollama is None}
        show_errors({**found.errors, **{name: not_deployed(inventory, name) for name in bare}})
        applied |= {name: made for name, made in found.plans.items() if name not in bare}
    return [applied[host.name] for host in inventory.hosts if host.name in applied]


def not_deployed(inventory: Inventory, host: str) -> HostError:
    """Return what is said of a host with nothing to verify: one sentence, not dozens of failed tests."""
    return HostError(host, f"nothing is deployed here yet. Run: inhouse up {inventory.path} --limit {host}")


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep/--down", help="Leave the hosts running at the end, or remove them.")
    ] = True,
) -> None:
    """Three throw-away hosts, everything deployed on them, and a link to click."""
    from inhouse.demo import demo as run_demo

    raise typer.Exit(run_demo(for_people(), keep=keep))


def load(path: Path | None, limit: str | None, *, secrets_needed: bool = False) -> Inventory:
    """Read the inventory, and reduce it to the hosts and groups that `limit` names."""
    from inhouse.inventory import load as read
    from inhouse.paths import default_inventory

    inventory = read(path or default_inventory())
    if secrets_needed and inventory.secrets is None:
        raise InventoryError(
            f"{inventory.path} has no secrets yet (administrator's password, API token, fleet CA). "
            f"They are made and encrypted once. Run: inhouse init {folder_of_secrets(path, inventory)}"
        )
    # An empty limit names no host: `--limit "$HOSTS"` with the variable unset must not mean all hosts.
    return inventory if limit is None else inventory.limited_to(limit.split(","))


def folder_of_secrets(named: Path | None, inventory: Inventory) -> Path:
    """Return the inventory to complete: where none was named one here, not the one inside an installed package."""
    from inhouse.paths import LOCAL_INVENTORY

    return inventory.path if named else LOCAL_INVENTORY


if __name__ == "__main__":
    app()
