"""The frame of the probe's output: `@NAME [KEY=VALUE…]` lines with raw text below each, `@end` at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inhouse.errors import FactsError

_START = "@inhouse-probe 1"
_END = "@end"


@dataclass(frozen=True)
class Section:
    """One section: what a command or a file on the host said."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    """From the section's first line: {"status": "9"}."""
    lines: tuple[str, ...] = ()
    """Without the empty lines around them."""

    @property
    def text(self) -> str:
        """The lines as one string, without a newline at the end."""
        return "\n".join(self.lines)

    @property
    def first(self) -> str | None:
        """The first line, stripped; None if there is none."""
        return self.lines[0].strip() if self.lines else None

    def value(self, key: str) -> str | None:
        """Text after `KEY:` in the first line that begins so; None if there is no such line or no text."""
        for line in self.lines:
            name, separator, value = line.partition(":")
            if separator and name.strip() == key:
                return value.strip() or None
        return None


class Sections(dict[str, Section]):
    """Sections by name. One that the host did not print reads as an empty one."""

    def __missing__(self, name: str) -> Section:
        """Return an empty section."""
        return Section()


def started(output: str) -> bool:
    """Return whether the probe began to run."""
    return _START in output.splitlines()


def split(host: str, output: str) -> Sections:
    """Split a probe's whole output; what a login shell printed before it is left out.

    Args:
        host: the inventory's name of the host, for errors.
        output: all that came from the host's standard output.

    Raises:
        FactsError: the output is not a probe's, or its end is missing.
    """
    lines = output.splitlines()
    if not started(output):
        raise FactsError(host, _not_a_probe(lines))
    lines = lines[lines.index(_START) + 1 :]
    if _END not in lines:
        raise FactsError(host, _cut_off(host, lines))
    return _sections(lines[: lines.index(_END)])


def _sections(lines: list[str]) -> Sections:
    found = Sections()
    header: str | None = None
    body: list[str] = []
    for line in [*lines, _END]:
        if not line.startswith("@"):
            body.append(line)
            continue
        if header is not None:
            name, attributes = _read_header(header)
            found[name] = Section(attributes, _trimmed(body))
        header, body = line, []
    return found


def _read_header(line: str) -> tuple[str, dict[str, str]]:
    name, *words = line.removeprefix("@").split()
    return name, dict(word.split("=", 1) for word in words if "=" in word)


def _trimmed(lines: list[str]) -> tuple[str, ...]:
    return tuple("\n".join(line.rstrip() for line in lines).strip("\n").splitlines())


def _not_a_probe(lines: list[str]) -> str:
    said = " / ".join(line.strip() for line in lines[:3] if line.strip())[:200]
    found = f"it printed {said!r} instead" if said else "it printed nothing"
    return (
        f"the probe did not start on the host; {found}. The login needs a shell that can run `sh`. "
        "Look at what `ssh HOST sh -c true` prints."
    )


def _cut_off(host: str, lines: list[str]) -> str:
    names = [line.removeprefix("@").split()[0] for line in lines if line.startswith("@") and len(line) > 1]
    where = f"in section {names[-1]!r}" if names else "before its first section"
    again = f"Run the same command again; --limit {host} is enough."
    return f"the probe's output stops {where}: the connection was cut. {again}"
