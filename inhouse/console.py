"""Where everything meant for a person is printed, and how progress is shown on a terminal and in a log file."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console

from inhouse.errors import HostError


class Progress:
    """Shows what is going on: a live bar on a terminal, a line per finished thing elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def step(self, text: str) -> None:
        """Begin a new part of the story."""
        self.console.print(f"[bold]{text}[/bold]")

    def line(self, text: str) -> None:
        """Show one line of a running part, as it is."""
        self.console.print(text, markup=False, highlight=False)

    @contextmanager
    def counter(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        """Count `total` things; call the yielded function with the name of each that is done."""
        if not self.console.is_terminal:
            finished: list[str] = []

            def report(name: str) -> None:
                finished.append(name)
                self.line(f"{title}: {len(finished)} of {total} ({name})")

            yield report
            return
        from rich import progress  # takes a while to load, and most commands show no bar

        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
        )
        with progress.Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(title, total=total)

            def advance(name: str) -> None:
                bar.update(task, advance=1, description=f"{title}: {name}")

            yield advance


def for_people(*, quiet: bool = False) -> Console:
    """Return the console for a person; standard error, so that standard output stays clean, when `quiet`."""
    # A model's tag has colons too, and the table of emoji takes longer to load than a plan to make.
    return Console(stderr=quiet, soft_wrap=False, emoji=False)


def texts(errors: Mapping[str, HostError]) -> dict[str, str]:
    """Return the errors' messages by host."""
    return {name: error.message for name, error in errors.items()}


def show_errors(errors: Mapping[str, HostError]) -> None:
    """Print each host's error as a paragraph on standard error."""
    for error in errors.values():
        for_people(quiet=True).print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)


def program() -> str:
    """How a person calls this program: by its name where the shell finds it, else as it was called now."""
    return "inhouse" if shutil.which("inhouse") else shlex.quote(sys.argv[0])
