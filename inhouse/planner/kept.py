"""What is worked out when it is first asked for, and kept."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from inhouse.catalogue.models import Model

T = TypeVar("T")


class PerModel(Generic[T]):
    """One value for each model: the catalogue's models bound its size."""

    def __init__(self, work_out: Callable[[Model], T]) -> None:
        """Take what works a value out."""
        self._work_out = work_out
        self._found: dict[str, tuple[Model, T]] = {}

    def of(self, model: Model) -> T:
        """The value of a model."""
        found = self._found.get(model.tag)
        if found is None or found[0] is not model:
            found = self._found[model.tag] = (model, self._work_out(model))
        return found[1]


class Kept(Generic[T]):
    """A property that is worked out when it is first read. For one thread: functools has a lock, which takes longer."""

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        """Take what works it out."""
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    def __get__(self, one: Any, _: type) -> T:
        """Work it out: from then on the instance has it as an attribute of its own, which Python finds first."""
        value = one.__dict__[self._name] = self._work_out(one)
        return value


class Row(Generic[T]):
    """What an iterator yields, taken no further than somebody went. For one thread."""

    def __init__(self, source: Iterator[T]) -> None:
        """Take the iterator."""
        self._source = source
        self._seen: list[T] = []

    def __iter__(self) -> Iterator[T]:
        """Go through it from its beginning."""
        yield from self._seen
        number = len(self._seen)
        while number < len(self._seen) or self._take():
            yield self._seen[number]
            number += 1

    def _take(self) -> bool:
        """Take one more; False if there is none."""
        before = len(self._seen)
        self._seen.extend(islice(self._source, 1))
        return len(self._seen) > before
