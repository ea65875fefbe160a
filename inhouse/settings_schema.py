"""What settings must be: for checking them, and in words for the docs and for errors."""

import json
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from inhouse.settings import HostSettings

NAMES = tuple(field.name for field in fields(HostSettings) if field.metadata)
"""What an inventory may state: every field but `stated`, which is worked out."""


@cache
def model() -> type[BaseModel]:
    """What checks values of an inventory: a model with a field for each setting."""
    types = get_type_hints(HostSettings, include_extras=True)
    defaults = HostSettings()
    known: dict[str, Any] = {
        field.name: (types[field.name], Field(getattr(defaults, field.name), **field.metadata))
        for field in fields(HostSettings)
        if field.name in NAMES
    }
    return create_model("HostSettings", __config__=ConfigDict(extra="forbid", strict=True), **known)


def checked(**given: Any) -> HostSettings:
    """Settings of the values that an inventory gives.

    Raises:
        pydantic.ValidationError: a name is unknown, or a value is not what is needed.
    """
    found = model()(**given)
    return HostSettings.of(**{name: getattr(found, name) for name in found.model_fields_set})


@dataclass(frozen=True)
class Setting:
    """One row of the documentation."""

    name: str
    needed: str
    """What a value must be, in words: "a whole number from 1 to 65535"."""
    default: str
    """As YAML; "null" where the planner decides."""
    help: str


@cache
def rows() -> tuple[Setting, ...]:
    """All settings, in the order in which they are defined."""
    properties = model().model_json_schema()["properties"]
    defaults = HostSettings()
    return tuple(
        Setting(name, in_words(properties[name]), json.dumps(getattr(defaults, name)), str(field.description))
        for name, field in model().model_fields.items()
    )


def in_words(schema: dict[str, Any]) -> str:
    """Say what a JSON schema accepts: "one of f16, q8_0, q4_0"."""
    if "anyOf" in schema:
        return " or ".join(in_words(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if schema["type"] == "object":
        return "a mapping of names to values"
    if schema["type"] == "array":
        return f"a list, each item {in_words(schema['items'])}"
    if schema["type"] in ("integer", "number"):
        return _number_in_words(schema)
    return schema["title"] if "pattern" in schema else {"boolean": "true or false"}.get(schema["type"], "text")


def _number_in_words(schema: dict[str, Any]) -> str:
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return noun
    return f"{noun} from {low:g} to {high:g}" if high is not None else f"{noun}, {low:g} or more"
