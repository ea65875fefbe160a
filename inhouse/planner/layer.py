"""The machine layer of a plan: which roles a host needs, what they are told, and why. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inhouse import role_variables
from inhouse.facts.model import HostFacts
from inhouse.planner import layer_driver, layer_toolkit
from inhouse.planner.driver import AS_IS, Outlook
from inhouse.planner.part import Part
from inhouse.role_variables import RoleVariables
from inhouse.settings import HostSettings

_ENGINE = "container_engine"
_WHILE_RUNNING = ("reboot", "reboot_timeout", "adopt", "drain", "apt_lock_timeout")
"""Variables that say how a role works, and leave nothing behind on the host."""


@dataclass(frozen=True)
class Layer:
    """What Ansible is to do on a host before the deploys."""

    parts: tuple[Part, ...] = ()
    outlook: Outlook = AS_IS
    """What becomes of NVIDIA's driver."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that run, in their order."""
        return tuple(part.role for part in self.parts if part.runs)

    @property
    def variables(self) -> dict[str, Any]:
        """What was decided for the roles, by the names that the plan and the roles share."""
        return {name: value for part in self.parts for name, value in part.variables.items()}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why."""
        return tuple(reason for part in self.parts for reason in part.reasons)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may go wrong."""
        return tuple(warning for part in self.parts for warning in part.warnings)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the inventory states and cannot be."""
        return tuple(problem for part in self.parts for problem in part.problems)


def decide(settings: HostSettings, stated: RoleVariables, facts: HostFacts) -> Layer:
    """Say what the roles do on a host, by what it is and by what is wanted."""
    if not settings.machine_layer:
        return Layer()
    driver = layer_driver.decide(facts, stated)
    parts = [driver.part]
    if settings.cuda_toolkit or stated.get("cuda_toolkit_state") == "absent":
        parts.append(layer_toolkit.decide(facts, stated, driver.wanted))
    if settings.container_engine or stated.get("container_engine_state") == "absent":
        parts.append(_engine(facts, stated))
    return Layer(tuple(_with_changes(part, facts, stated) for part in parts), driver.outlook)


def _engine(facts: HostFacts, stated: RoleVariables) -> Part:
    """A container engine is there once the role has been: it takes over one that others installed."""
    record = facts.machine.record(_ENGINE)
    if stated.get("container_engine_state") == "absent":
        return Part(_ENGINE, {"container_engine_state": "absent"}, record is not None)
    variables = {"container_engine_state": "present"}
    version = facts.installed.docker
    if version is None or record is None:
        now = f"Docker {version} now, which it configures" if version else "none now"
        return Part(_ENGINE, variables, True, (f"{_ENGINE}: Docker Engine for containers of your own ({now}).",))
    gpu = bool(facts.nvidia.gpus) and stated.get("container_engine_gpu") is not False
    if gpu and not facts.machine.container_gpu:
        return Part(_ENGINE, variables, True, (f"{_ENGINE}: containers get the GPUs (not yet described for them).",))
    return Part(_ENGINE, variables)


def _with_changes(part: Part, facts: HostFacts, stated: RoleVariables) -> Part:
    """A role that was cut off, or whose settings are others than when it last ran, runs again."""
    if part.runs or part.problems or not part.variables or "absent" in part.variables.values():
        return part
    record = facts.machine.record(part.role)
    changed = tuple(_changed(part, facts, stated))
    if record and not record.finished:
        said = f"{part.role}: it was cut off when it last ran."
    elif changed:
        said = f"{part.role}: {', '.join(changed)} changed since it last ran."
    else:
        return part
    return Part(part.role, part.variables, True, (*part.reasons, said), part.warnings)


def _changed(part: Part, facts: HostFacts, stated: RoleVariables) -> Iterator[str]:
    """Names of variables that the role's record has with another value.

    What the planner decided unasked is judged by facts, and a default that is a template only Ansible can work out.
    """
    record = facts.machine.record(part.role)
    then = dict(record.variables) if record else {}
    for name, option in role_variables.options(part.role).items() if then else ():
        asked = name in stated
        if (
            name not in then
            or name.removeprefix(f"{part.role}_") in _WHILE_RUNNING
            or (name in part.variables and not asked)
        ):
            continue
        value = stated.get(name) if asked else option["default"]
        if "{{" not in str(value) and json.dumps(value, sort_keys=True) != then[name]:
            yield name
