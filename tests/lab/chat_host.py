"""A lab host with the whole service layer, for tests of Open-WebUI; deployed as `inhouse up` does it."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from inhouse.console import Progress, for_people
from inhouse.inventory import Inventory, load
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult
from inhouse.runners import run_pyinfra
from inhouse.survey import survey
from tests.lab.conftest import LabHandle

NAME = "cpu-small"


@dataclass(frozen=True)
class ChatHost:
    """One host of the lab, and the plan it is deployed by."""

    lab: LabHandle
    inventory: Inventory
    """With this host only."""
    plan: Plan

    def run(self, command: str) -> str:
        """Run a shell command as root on the host, past SSH."""
        return self.lab.run(NAME, command)

    def deploy(self, **changes: Any) -> DeployResult:
        """Deploy the plan with `changes` to its fields."""
        return run_pyinfra(self.inventory, [replace(self.plan, **changes)], dry=False)[NAME]

    def with_secrets(self, copy: Path, **values: str) -> "ChatHost":
        """Return the same host in a copy of the inventory whose vault holds other secrets."""
        shutil.copytree(self.lab.folder, copy, symlinks=True)
        (copy / "group_vars/all/secrets_of_the_test.yml").write_text(yaml.safe_dump(values))
        return replace(self, inventory=load(copy).limited_to((NAME,)))


def deployed(lab: LabHandle) -> ChatHost:
    """Deploy the host, or find it deployed already."""
    inventory = load(lab.folder).limited_to((NAME,))
    found = survey(inventory, Progress(for_people(quiet=True)))
    assert not found.errors, found.errors
    chat = ChatHost(lab, inventory, found.plans[NAME])
    assert not chat.plan.problems, chat.plan.problems
    assert chat.plan.open_webui, chat.plan.reasons
    result = chat.deploy()
    assert result.status in ("changed", "unchanged"), result.error
    return chat
