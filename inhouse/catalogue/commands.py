"""`inhouse catalogue …`: parse, call, print."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from inhouse import exits
from inhouse.catalogue.estimating import estimated
from inhouse.console import for_people

if TYPE_CHECKING:
    from inhouse.catalogue.check import Report

catalogue_commands = typer.Typer(help="What is known of models, and whether it is true.", no_args_is_help=True)


@catalogue_commands.callback()
def catalogue() -> None:
    """What is known of models, and whether it is true."""  # keeps a single command a command


catalogue_commands.command("estimate")(estimated)


@catalogue_commands.command("check")
def compared(
    url: Annotated[str, typer.Option(help="A running Ollama.")] = "http://127.0.0.1:11434",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Compare the catalogue with the models a running Ollama has; exits 2 if something differs."""
    from inhouse.catalogue import check

    report = check.check(url)
    if as_json:
        typer.echo(json.dumps(check.as_record(report), indent=2))
    else:
        _show(report)
    raise typer.Exit(exits.DONE if report.agrees else exits.CHANGES_PENDING)


def _show(report: Report) -> None:
    from rich import box
    from rich.table import Table

    console = for_people()
    for one in report.checked:
        other = "" if one.name == one.tag else f"{one.tag}, "
        said = f"{len(one.differences)} different" if one.differences else "as in the catalogue"
        console.print(f"{one.name} ({other}{one.digest}): {said}", markup=False, highlight=False, soft_wrap=True)
    if report.unknown:
        names = ", ".join(report.unknown)
        console.print(f"Not in the catalogue: {names}", markup=False, highlight=False, soft_wrap=True)
    if not report.checked and not report.unknown:
        console.print("No model is installed.")
    if report.agrees:
        return
    table = Table("tag", "field", "catalogue", "Ollama", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for one in report.checked:
        for differs in one.differences:
            table.add_row(one.name, differs.field, differs.catalogue, differs.ollama)
    console.print()
    console.print(table, markup=False, highlight=False)
