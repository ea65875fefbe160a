"""Whole scenarios, one after another, each from nothing to nothing; called by .ci/molecule.

scenarios.py --all | --quick | SCENARIO…

One that fails does not stop the others. Ends with a table of results and times, and with status 1 if any failed. A
container engine that had to be started is ended as well.
"""

import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from inhouse.errors import LabError
from inhouse.lab import controller

FOLDER = Path(__file__).resolve().parent
MOLECULE = FOLDER.parent / ".ci" / "molecule"
FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes; the last is what a shell says of a command that Ctrl-C ended."""


@dataclass(frozen=True)
class Result:
    """What came of one scenario."""

    scenario: str
    said: str
    """passed, failed, interrupted."""
    seconds: float


def scenarios(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of all scenarios, the quick ones first: what fails soon is known soon."""
    quick = quick_ones(folder)
    heavy = sorted({file.parent.name for file in folder.glob("*/molecule.yml")} - set(quick))
    return (*quick, *heavy)


def quick_ones(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of those that run on every change, from the file that lists them."""
    lines = (folder / "quick").read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def chosen(arguments: Sequence[str], folder: Path = FOLDER) -> tuple[str, ...]:
    """The scenarios that the command line asks for.

    Raises:
        ValueError: one of them does not exist; names those that do.
    """
    match arguments:
        case ["--all"]:
            return scenarios(folder)
        case ["--quick"]:
            return quick_ones(folder)
    unknown = sorted(set(arguments) - set(scenarios(folder)))
    if unknown or not arguments:
        raise ValueError(
            f"No scenario is named {', '.join(map(repr, unknown)) or 'there'}. There are: "
            f"{', '.join(scenarios(folder))}. Run: make molecule SCENARIO=NAME, or make molecule-all"
        )
    return tuple(arguments)


def run(names: Sequence[str], command: Path = MOLECULE) -> tuple[Result, ...]:
    """Run whole scenarios; Ctrl-C removes the hosts of the one that runs and leaves the rest out."""
    results: list[Result] = []
    for name in names:
        began = time.monotonic()
        try:
            status = subprocess.run([command, name, "test"], check=False).returncode
            said = "failed" if status else "passed"
        except KeyboardInterrupt:
            subprocess.run([command, name, "destroy"], check=False)
            said = "interrupted"
        results.append(Result(name, said, time.monotonic() - began))
        if said == "interrupted":
            break
    return tuple(results)


def table(results: Sequence[Result]) -> Table:
    """Results and times, for a person to read."""
    shown = Table("scenario", "result", "time")
    shown.columns[2].justify = "right"
    for result in results:
        colour = "green" if result.said == "passed" else "red"
        minutes, seconds = divmod(round(result.seconds), 60)
        shown.add_row(result.scenario, f"[{colour}]{result.said}[/]", f"{minutes} min {seconds:02} s")
    return shown


def exit_code(results: Sequence[Result]) -> int:
    """0 only if every scenario passed."""
    said = {result.said for result in results}
    return INTERRUPTED if "interrupted" in said else FAILED if said != {"passed"} else 0


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for. Return the exit code.

    Raises:
        ValueError: no such scenario.
        LabError: no container engine answers, and none can be started.
    """
    names = chosen(arguments)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # waiting is not worth a word; giving up raises
    started = controller.start_where_allowed()
    try:
        results = run(names)
    finally:
        if started:
            controller.stop_unless_used()
    Console().print(table(results))
    return exit_code(results)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(USAGE)
    except LabError as error:
        sys.exit(str(error))
