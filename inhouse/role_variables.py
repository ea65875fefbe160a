"""Variables of the roles, as an inventory may set them: names, types and help are those of their argument_specs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from inhouse import paths

if TYPE_CHECKING:
    from pydantic import BaseModel

_TYPES: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": float, "dict": dict[str, Any]}
"""Types of argument_specs; `list` has a type of its own for its elements."""


@dataclass(frozen=True)
class RoleVariables:
    """What an inventory states for one host; what it leaves out has the role's default or is decided by the planner."""

    stated: tuple[tuple[str, str], ...] = ()
    """Name and value, as JSON, so that equal ones compare as equal."""

    @classmethod
    def of(cls, values: Iterable[tuple[str, Any]]) -> "RoleVariables":
        """Keep values of an inventory."""
        return cls(tuple(sorted((name, json.dumps(value, sort_keys=True)) for name, value in values)))

    def __contains__(self, name: str) -> bool:
        return any(name == one for one, _ in self.stated)

    def get(self, name: str) -> Any:
        """The stated value; None if there is none."""
        return next((json.loads(value) for one, value in self.stated if one == name), None)


NOTHING = RoleVariables()


@cache
def names() -> tuple[str, ...]:
    """Names of all roles, sorted."""
    return tuple(sorted(file.parts[-3] for file in paths.roles_folder().glob("*/meta/argument_specs.yml")))


@cache
def options(role: str) -> dict[str, dict[str, Any]]:
    """The variables of a role as its argument_specs describes them, in its order."""
    import yaml  # takes longer to load than a plan to make, and hosts without roles need none of it

    file = paths.roles_folder() / role / "meta" / "argument_specs.yml"
    specs = yaml.safe_load(file.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = specs["argument_specs"]["main"]["options"]
    return found


@cache
def all_options() -> dict[str, dict[str, Any]]:
    """The variables of all roles."""
    return {name: option for role in names() for name, option in options(role).items()}


@cache
def model() -> "type[BaseModel]":
    """What checks values of an inventory as settings are checked: a model with a field for each variable."""
    from pydantic import ConfigDict, Field, create_model

    fields: dict[str, Any] = {
        name: (_type(option), Field(option["default"], description=" ".join(option["description"].split())))
        for name, option in all_options().items()
    }
    return create_model("RoleVariables", __config__=ConfigDict(extra="forbid", strict=True), **fields)


def is_one(name: str) -> bool:
    """Whether a name of an inventory is a variable of a role. The roles are only read where it could be."""
    return any(name.startswith(f"{role}_") for role in names()) and name in all_options()


def _type(option: dict[str, Any]) -> Any:
    """The type of a variable, made of its description; not for type checkers."""
    if "choices" in option:
        return Literal.__getitem__(tuple(option["choices"]))
    if option["type"] == "list":
        return tuple.__class_getitem__((_TYPES[option["elements"]], ...))
    return _TYPES[option["type"]]
