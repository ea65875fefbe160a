"""Variables of all hosts in, settings and secrets out; everything that is wrong is reported together, each once."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import ValidationError

from inhouse import role_variables
from inhouse.host_variables import HostVariables, Variable
from inhouse.role_variables import RoleVariables
from inhouse.secret_settings import Secrets
from inhouse.settings import HostSettings, contradictions
from inhouse.settings_schema import NAMES, checked, in_words, model, rows

SETTINGS = frozenset(NAMES)
SECRETS = frozenset(Secrets.model_fields)
_OTHERS = ("ansible_", "x_")
"""Names that belong to Ansible and to the user."""


@dataclass(frozen=True)
class Problem:
    """Something wrong that a person mends in one place."""

    origin: str
    """File and line; empty if it is not known."""
    text: str


def settings_of(host: HostVariables) -> tuple[HostSettings | None, list[Problem]]:
    """Settings of one host, or what is wrong with them."""
    problems = [_unknown(name, variable) for name, variable in host.variables.items() if _is_unknown(name)]
    given = {name: variable for name, variable in host.variables.items() if name in SETTINGS}
    problems += [_untemplated(name, variable) for name, variable in given.items() if variable.error]
    usable = {name: variable.value for name, variable in given.items() if not variable.error}
    try:
        settings = checked(**usable)
    except ValidationError as error:
        problems += [_wrong_value(detail["loc"], detail["input"], given) for detail in error.errors()]
        wrong = {str(detail["loc"][0]) for detail in error.errors()}
        # What is right by itself may still contradict the rest: that is reported now, not in the next run.
        settings = checked(**{name: value for name, value in usable.items() if name not in wrong})
    else:
        wrong = set()
    unsure = wrong | (given.keys() - usable.keys())
    problems += [
        _contradiction(names, why, given) for names, why in contradictions(settings) if unsure.isdisjoint(names)
    ]
    return (None if problems else settings), problems


def role_variables_of(host: HostVariables) -> tuple[RoleVariables, list[Problem]]:
    """What is stated for the roles of the machine layer, and what is wrong with it."""
    given = {name: variable for name, variable in host.variables.items() if role_variables.is_one(name)}
    problems = [_untemplated(name, variable) for name, variable in given.items() if variable.error]
    usable = {name: variable.value for name, variable in given.items() if not variable.error}
    if usable:
        try:
            role_variables.model()(**usable)
        except ValidationError as error:
            problems += [_wrong_value(detail["loc"], detail["input"], given) for detail in error.errors()]
    return RoleVariables.of(usable.items()), problems


def secrets_of(hosts: Sequence[HostVariables]) -> tuple[Secrets | None, list[Problem]]:
    """The secrets of the inventory; None if it has none. They are the same for every host."""
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for name in sorted(SECRETS):
        variables = [host.variables[name] for host in hosts if name in host.variables]
        problems += [_untemplated(name, variable) for variable in variables if variable.error]
        values = list(dict.fromkeys(json.dumps(variable.value) for variable in variables if not variable.error))
        if len(values) > 1 or (values and len(variables) < len(hosts)):
            where = ", ".join(dict.fromkeys(variable.origin for variable in variables))
            problems.append(
                Problem(where, f"{name} differs between hosts; it is one for all. Set it in group_vars/all.")
            )
        elif values:
            found[name] = json.loads(values[0])
    if problems or not found:
        return None, problems
    return _checked_secrets(found, hosts)


def _checked_secrets(found: dict[str, Any], hosts: Sequence[HostVariables]) -> tuple[Secrets | None, list[Problem]]:
    try:
        return Secrets(**found), []
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False)  # the values are secret
        return None, [_wrong_secret(str(one["loc"][0]), one["type"], one["msg"], hosts[0]) for one in details]


def _wrong_secret(name: str, kind: str, message: str, host: HostVariables) -> Problem:
    if kind == "missing":
        return Problem("", f"{name} is not set, other secrets are. `inhouse init` adds what is missing.")
    why = "text is needed" if kind == "string_type" else message.removeprefix("Value error, ")
    return Problem(host.variables[name].origin, f"{name}: {why.rstrip('.')}.")


def report(problems: Mapping[str, Iterable[Problem]]) -> list[str]:
    """One line for each problem, however many hosts have it; hosts are named where no file is known."""
    hosts: dict[Problem, list[str]] = {}
    for host, found in problems.items():
        for problem in found:
            hosts.setdefault(problem, []).append(host)
    return [
        f"{problem.origin or _few(names)}: {problem.text}"
        for problem, names in sorted(hosts.items(), key=lambda item: _in_file_order(item[0]))
    ]


def _in_file_order(problem: Problem) -> tuple[str, int, str]:
    file, _, line = problem.origin.rpartition(":")
    return (file, int(line), problem.text) if line.isdecimal() else (problem.origin, 0, problem.text)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _is_unknown(name: str) -> bool:
    return name not in SETTINGS | SECRETS and not name.startswith(_OTHERS) and not role_variables.is_one(name)


def _unknown(name: str, variable: Variable) -> Problem:
    known = sorted(SETTINGS | SECRETS | role_variables.all_options().keys())
    near = get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    advice = f"Did you mean {near[0]}?" if near else f"A variable of your own begins with x_: x_{name}."
    return Problem(variable.origin, f"{name} is not a setting. {advice}")


def _untemplated(name: str, variable: Variable) -> Problem:
    return Problem(variable.origin, f"{name}: its template cannot be worked out: {variable.error}")


def _wrong_value(place: tuple[int | str, ...], found: Any, given: Mapping[str, Variable]) -> Problem:
    name, steps = str(place[0]), place[1:]
    needed = _needed(name)
    item = "".join(f", item {step + 1}" for step in steps if isinstance(step, int))
    hint = _hint(name, given[name].value)
    return Problem(
        given[name].origin, f"{name}{item} is {json.dumps(found, ensure_ascii=False)}; {needed} is needed.{hint}"
    )


def _needed(name: str) -> str:
    if name in SETTINGS:
        return next(row.needed for row in rows() if row.name == name)
    return in_words(role_variables.model().model_json_schema()["properties"][name])


def _hint(name: str, found: Any) -> str:
    """What a person probably meant, if that would be right."""
    return next((f" {advice}" for advice, meant in _guesses(found) if _fits(name, meant)), "")


def _guesses(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, str):
        with suppress(yaml.YAMLError):
            yield "Leave out the quotes.", yaml.safe_load(found)
        yield f"Write it as a list: [{found}]", tuple(part.strip() for part in found.split(","))
        yield f"Write {found.strip().lower()}.", found.strip().lower()
        yield "Leave out the v.", found.strip().removeprefix("v")
    elif not isinstance(found, tuple | dict):
        yield f'Put it in quotes: "{found}"', str(found)
    elif isinstance(found, tuple) and len(found) == 1:
        yield "Write it without a list.", found[0]


def _fits(name: str, value: Any) -> bool:
    kind = model() if name in SETTINGS else role_variables.model()
    try:
        kind(**{name: value})
    except ValidationError:
        return False
    return True


def _contradiction(names: Sequence[str], why: str, given: Mapping[str, Variable]) -> Problem:
    """Name every setting of a contradiction with its place; the first place that is known leads."""
    places = [f"{name} ({given[name].origin if name in given else 'its default'})" for name in names]
    first = next((given[name].origin for name in names if name in given), "")
    shown = names[0] if len(names) == 1 else " and ".join(places)
    return Problem(first, f"{shown}: {why}.")
