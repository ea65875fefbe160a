"""`inhouse lab …`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inhouse.console import Progress, for_people, program

lab_commands = typer.Typer(help="Throw-away hosts with pretended hardware, to rehearse on.", no_args_is_help=True)


@lab_commands.command("up")
def up(
    hosts: Annotated[
        list[str] | None, typer.Argument(help="PROFILE or NAME=PROFILE, each optionally with @bookworm or @trixie.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the lab; several can run side by side.")] = "lab",
    folder: Annotated[
        Path | None, typer.Option(help="Where the inventory of its hosts is written. Default: inventories/NAME.")
    ] = None,
    ollama_release: Annotated[
        Path | None, typer.Option(help="A real release archive, served in place of the stand-in.")
    ] = None,
) -> None:
    """Make throw-away hosts and an inventory of them."""
    from inhouse.lab import lab as labs
    from inhouse.lab.profiles import default_hosts, parse_hosts

    progress = Progress(for_people())
    wanted = parse_hosts(hosts) if hosts else default_hosts()
    written = labs.up(name, wanted, folder or Path("inventories") / name, ollama_release, progress.line)
    typer.echo(f"Ready. Try: {program()} plan {written}")


@lab_commands.command("down")
def down(
    name: Annotated[str, typer.Option(help="Name of the lab.")] = "lab",
    every: Annotated[bool, typer.Option("--all", help="Remove every lab of this machine.")] = False,
) -> None:
    """Remove a lab's hosts and every trace of them."""
    from inhouse.lab import lab as labs
    from inhouse.lab import vm_lab

    machines = [group for group in vm_lab.groups() if every or group == name]
    for group in machines:
        vm_lab.down(group)
    for one in [lab.name for lab in labs.labs()] if every else [] if machines else [name]:
        labs.down(one)


@lab_commands.command("list")
def list_labs() -> None:
    """List labs and their hosts."""
    from inhouse.lab import lab as labs
    from inhouse.lab import vm_lab

    for line in [*labs.listing(), *vm_lab.listing()] or ["No lab is up. Run: inhouse lab up"]:
        typer.echo(line)


@lab_commands.command("fault")
def fault_of(
    host: Annotated[str, typer.Argument(help="A host of the lab, or `registry`.")],
    fault: Annotated[str, typer.Argument(help="What to do wrong from now on; `none` ends it.")],
    name: Annotated[str, typer.Option(help="Name of the lab.")] = "lab",
) -> None:
    """Tell a stand-in to misbehave."""
    from inhouse.lab.faults import set_fault

    set_fault(name, host, fault)
