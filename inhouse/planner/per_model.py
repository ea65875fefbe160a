"""What is worked out once for each model, when it is first asked for."""

from collections.abc import Callable
from typing import Generic, TypeVar

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
