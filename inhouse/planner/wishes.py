"""Settings for hardware that is only thought of: `--set NAME=VALUE`, with the names and errors of an inventory."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

from inhouse.errors import SettingsError
from inhouse.host_variables import HostVariables, Variable
from inhouse.planner.hardware import IMAGINED
from inhouse.settings import HostSettings

ORIGIN = "--set"
EXAMPLE = "--set purposes=vision,code --set context_length=65536"


def settings(given: Sequence[str]) -> HostSettings:
    """Read settings such as "purposes=vision,code" or "context_length=65536"; of two for one name the last holds.

    A value is written as in an inventory (YAML). Lists may be written with commas alone, since brackets mean something
    else to many shells.

    Raises:
        SettingsError: a name is unknown (the nearest is named), a value is of the wrong type (what is needed is named),
            or settings contradict each other.
    """
    if not given:
        return HostSettings()
    from inhouse.validation import SETTINGS, report, settings_of  # with YAML, which takes longer to load than a plan

    host = HostVariables(IMAGINED, (), dict(_variable(one) for one in given))
    made, problems = settings_of(host)
    if made is None:
        raise SettingsError("\n  ".join(["Settings cannot be used:", *report({IMAGINED: problems})]))
    if others := [name for name in host.variables if name not in SETTINGS]:
        raise SettingsError(f"{ORIGIN}: {', '.join(others)} decides nothing about hardware that is only thought of.")
    return made


def _variable(text: str) -> tuple[str, Variable]:
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign or not name:
        raise SettingsError(f'--set "{text}" is not understood: NAME=VALUE is needed. For example: {EXAMPLE}')
    return name, Variable(_value(name, value), ORIGIN)


def _value(name: str, text: str) -> Any:
    if _takes_list(name) and not text.startswith("["):
        # Not YAML: there the language "no" is false.
        return tuple(part.strip() for part in text.split(",") if part.strip())
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"--set {name}={text} is not YAML: {str(error).splitlines()[0]}.") from error
    return tuple(value) if isinstance(value, list) else value


def _takes_list(name: str) -> bool:
    kind = get_type_hints(HostSettings).get(name)
    kinds = (kind, *get_args(kind))
    return any(get_origin(kind) is tuple for kind in kinds)
