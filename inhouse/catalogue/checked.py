"""Constraints of values, stated with their types and checked by pydantic where a record is read from a file.

pydantic takes longer to load than a plan to make. What is decided from records that were checked before needs none of
it: so records are plain dataclasses, and only what reads them loads it.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Checked:
    """Stands in an annotation: `Annotated[int, Checked(ge=1)]`. For pydantic it is a group of what it iterates over.

    Takes the words of `pydantic.Field`, and `after`: what makes the final value, or raises a ValueError.
    """

    __is_annotated_types_grouped_metadata__ = True

    def __init__(self, after: Callable[[Any], Any] | None = None, **words: Any) -> None:
        self.after = after
        self.words = words

    def __iter__(self) -> Iterator[Any]:
        """Pydantic's own words for it."""
        from pydantic import AfterValidator, Field

        yield Field(**self.words)
        if self.after:
            yield AfterValidator(self.after)


def setting(default: Any, **words: Any) -> Any:
    """A field with a default, its help (`description`) and constraints, in the words of `pydantic.Field`."""
    return field(default=default, metadata=words)


PositiveInt = Annotated[int, Checked(gt=0)]
PositiveFloat = Annotated[float, Checked(gt=0)]
