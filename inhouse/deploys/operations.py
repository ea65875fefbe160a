"""Operations that every component uses: files, folders, packages, and commands whose output is shown as it comes."""

import hashlib
import shlex
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.api.state import State
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import host

_SHOWN_ON_FAILURE = 25
"""Lines of a live command's output that pyinfra prints again when it fails."""

# Silent, unless it fails.
_INSTALL = (
    "out=$(DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "
    'install --no-install-recommends {names} 2>&1) || {{ printf "%s\\n" "$out"; exit 1; }}'
)

# apt waits for dpkg's lock by itself, but not for the lock of its package lists; a failing third-party source must not
# stop an installation that does not need it, so the install decides.
_UPDATE = (
    "n=0; until out=$(apt-get -q update 2>&1); do "
    'case $out in *"Could not get lock"*) n=$((n+1)); [ $n -lt 120 ] || break; sleep 5;; *) break;; esac; done'
)

# One round trip, one line per path: mode, owner, group, kind, SHA-256 (files), the path.
_STAT = (
    "for f in {paths}; do "
    'if [ -f "$f" ]; then printf "%s file %s %s\\n" "$(stat -L -c "%a %U %G" "$f")" '
    '"$(sha256sum <"$f" | cut -c1-64)" "$f"; '
    'elif [ -d "$f" ]; then printf "%s folder - %s\\n" "$(stat -L -c "%a %U %G" "$f")" "$f"; '
    'else echo "- - - absent - $f"; fi; done'
)

# Whole or not at all: a reader sees the old file or the new one. Nobody else can read the new one before it is done.
_WRITE = (
    "umask 077; cat >{new} && chown {user}:{group} {new} && chmod {mode} {new} && sync {new} && mv -fT {new} {path}"
)


@dataclass(frozen=True)
class PathState:
    """What is at a path of the host."""

    kind: str
    """ "file", "folder" or "absent"."""
    mode: str
    """Octal, without leading zero; "-" if absent."""
    user: str
    group: str
    sha256: str
    """Of a file's content; "-" otherwise."""


class Paths(FactBase[dict[str, PathState]]):
    """State of several paths: dict of path → PathState."""

    default = dict

    def command(self, paths: Sequence[str]) -> str:
        """Print one line for every path."""
        return _STAT.format(paths=" ".join(shlex.quote(path) for path in paths))

    def process(self, output: Iterable[str]) -> dict[str, PathState]:
        """Parse the lines of `command`."""
        found = {}
        for line in output:
            mode, user, group, kind, sha256, path = line.split(" ", 5)
            found[path] = PathState(kind, mode, user, group, sha256)
        return found


@dataclass(frozen=True)
class Folder:
    """A folder as it should be."""

    path: str
    mode: str = "755"
    user: str = "root"
    group: str = "root"


class LiveCommand(StringCommand):
    """A command whose output is shown line by line while it runs; for what takes longer than a moment."""

    def execute(self, state: State, host: Host, connector_arguments: ConnectorArguments) -> tuple[bool, CommandOutput]:
        """Run it; what is kept of a failed command's output is its end."""
        connector_arguments.update(self.connector_arguments)
        done, output = host.run_shell_command(self, print_output=True, **connector_arguments)
        return done, output if done else CommandOutput(output.combined_lines[-_SHOWN_ON_FAILURE:])


def script(body: str, live: bool = False) -> StringCommand:
    """Return the command that runs a POSIX-sh script on the host; its text travels by standard input, not in argv.

    Args:
        body: functions only and one call at the end, so that the shell has read all of it before anything runs.
        live: show its output as it comes.
    """
    return (LiveCommand if live else StringCommand)("sh", "-s", _stdin=[body])


def failure(message: str) -> StringCommand:
    """Return a command that fails the operation with a message.

    An exception in an operation would end the run of all hosts; a failing command ends the run of its host alone.
    """
    return StringCommand("printf", "'%s\\n'", QuoteString(message), ">&2; exit 1")


def pending(causes: Iterable[OperationMeta]) -> bool:
    """Tell whether one of these operations changed something (in a dry run: would)."""
    return any(cause.did_change() if cause.is_complete() else cause.will_change for cause in causes)


@operation()
def file(path: str, body: str, mode: str = "644", user: str = "root", group: str = "root") -> Generator[StringCommand]:
    """Have a file with this content, owner and mode.

    The content travels by standard input of an encrypted connection, never through a temporary file that others can
    read, and is neither logged nor part of a command line: secrets may be written with it.
    """
    now = host.get_fact(Paths, paths=(path,)).get(path)
    wanted = PathState("file", mode, user, group, hashlib.sha256(body.encode()).hexdigest())
    if now == wanted:
        host.noop(f"{path} is as it should be")
        return
    new = shlex.quote(f"{path}.inhouse-new")
    command = _WRITE.format(new=new, path=shlex.quote(path), mode=mode, user=user, group=group)
    yield StringCommand(command, _stdin=[body])


@operation()
def folders(wanted: Sequence[Folder]) -> Generator[StringCommand]:
    """Have these folders, with owner and mode."""
    now = host.get_fact(Paths, paths=tuple(folder.path for folder in wanted))
    for folder in wanted:
        if now.get(folder.path) != PathState("folder", folder.mode, folder.user, folder.group, "-"):
            yield StringCommand(
                "install", "-d", "-m", folder.mode, "-o", folder.user, "-g", folder.group, QuoteString(folder.path)
            )


class MissingPackages(FactBase[list[str]]):
    """Those of the named Debian packages that are not installed."""

    default = list

    def command(self, packages: Sequence[str]) -> str:
        """Print the missing names, one a line."""
        return (
            f"for p in {' '.join(packages)}; do "
            "dpkg-query -W -f '${Status}' \"$p\" 2>/dev/null | grep -q 'ok installed' || echo \"$p\"; done"
        )

    def process(self, output: Iterable[str]) -> list[str]:
        """Return the names."""
        return [line for line in output if line]


@operation()
def packages(names: Sequence[str]) -> Generator[StringCommand]:
    """Have these Debian packages, of whatever version the host's own sources offer.

    Waits up to ten minutes for another apt: fresh hosts run unattended upgrades.
    """
    missing = host.get_fact(MissingPackages, packages=tuple(names))
    if missing:
        names_shown = shlex.quote(f"installing {', '.join(missing)}")
        yield LiveCommand(f"echo {names_shown}; {_UPDATE}; {_INSTALL.format(names=' '.join(missing))}")
