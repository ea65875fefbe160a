"""Reads a catalogue file and checks every row; an error names the file, the row and the field."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from inhouse.catalogue import kept
from inhouse.errors import PlanError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Row:
    """A record of the catalogue, a frozen dataclass: nothing unknown, nothing changed after loading."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def check(self) -> None:
        """Check what no single field shows. Done where a file is read.

        Raises:
            ValueError: fields contradict each other.
        """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Row], handler: GetCoreSchemaHandler) -> CoreSchema:
        """What pydantic asks a class for."""
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(_checked, handler(source))


def _checked(row: Row) -> Row:
    row.check()
    return row


File = TypeVar("File", bound=Row)


def read(name: str, kind: type[File]) -> File:
    """Read a file that lies beside this module; one that was checked before as it was kept then.

    Raises:
        PlanError: the file is not what the planner needs; every wrong field is named.
    """
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    found = kept.load(name, text)
    if not isinstance(found, kind):
        found = check(name, text, kind)
        kept.keep(name, text, found)
    return found


def check(name: str, text: str, kind: type[File]) -> File:
    """Check the text of a catalogue file.

    Raises:
        PlanError: as `read`.
    """
    # These take longer to load than a plan to make, and a catalogue that is kept needs none of them.
    import yaml
    from pydantic import TypeAdapter, ValidationError

    from inhouse.catalogue.rows import rows

    try:
        content = rows(text)
        return TypeAdapter(kind).validate_python(content)
    except yaml.YAMLError as error:
        raise PlanError(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{_where(content, e['loc'])}: {e['msg']}, found {e['input']!r}" for e in error.errors())
        raise PlanError(f"{name} holds rows that cannot be right. {wrong}") from error


def _where(content: Any, location: tuple[int | str, ...]) -> str:
    """Name a place as a person would look for it: rows by their tag, id or version instead of by number."""
    names = []
    for step in location:
        content = _step(content, step)
        label = next((content[k] for k in ("tag", "id", "version") if isinstance(content, dict) and k in content), None)
        names.append(str(label) if isinstance(step, int) and label else str(step))
    return " → ".join(names)


def _step(content: Any, step: int | str) -> Any:
    if isinstance(content, list) and isinstance(step, int) and step < len(content):
        return content[step]
    return content.get(step) if isinstance(content, dict) else None
