"""Facts of every host, and the plan that follows from them: what every command but `init` and `lab` begins with."""

from collections.abc import Mapping
from dataclasses import dataclass

from inhouse import speeds_file, tls
from inhouse.console import Progress
from inhouse.errors import HostError, PlanError, PreflightError
from inhouse.facts.gather import gather
from inhouse.facts.model import HostFacts
from inhouse.inventory import Inventory
from inhouse.planner.choose import make_plan
from inhouse.planner.fleet import Fleet, Member, summarize
from inhouse.planner.plan import Plan
from inhouse.speeds import NONE, Speeds


@dataclass(frozen=True)
class Survey:
    """What was found and what follows, by host name. Every host is in `plans` or in `errors`."""

    inventory: Inventory
    facts: Mapping[str, HostFacts]
    plans: Mapping[str, Plan]
    errors: Mapping[str, HostError]
    speeds: Speeds = NONE
    """What was measured before."""

    @property
    def fleet(self) -> Fleet:
        """The plans at a glance."""
        groups = {host.name: host.groups for host in self.inventory.hosts}
        return summarize([Member(plan, groups[name], self._driver(name)) for name, plan in self.plans.items()])

    def _driver(self, name: str) -> str | None:
        found = self.facts.get(name)
        return found.nvidia.module_version if found else None

    @property
    def applicable(self) -> tuple[Plan, ...]:
        """Plans with nothing in their way."""
        return tuple(plan for plan in self.plans.values() if not plan.problems)


def survey(inventory: Inventory, progress: Progress) -> Survey:
    """Ask every host once, side by side, and plan for those that answered."""
    facts, errors = gather_facts(inventory, progress)
    fleet = tls.fingerprint(inventory.ca_certificate.read_text()) if inventory.ca_certificate.exists() else None
    measured = speeds_file.load(inventory)
    if measured.warning:
        progress.line(measured.warning)
    plans: dict[str, Plan] = {}
    for host in inventory.hosts:
        if host.name not in facts:
            continue
        try:
            plans[host.name] = make_plan(host, facts[host.name], fleet, measured)
        except PlanError as error:
            errors[host.name] = PreflightError(host.name, str(error))
    return Survey(inventory, facts, plans, errors, measured)


def gather_facts(inventory: Inventory, progress: Progress) -> tuple[dict[str, HostFacts], dict[str, HostError]]:
    """Return facts of the hosts that answered, and why the others did not."""
    with progress.counter("Facts of hosts", len(inventory.hosts)) as done:
        answers = gather(inventory.hosts, on_done=done)
    facts = {name: answer for name, answer in answers.items() if isinstance(answer, HostFacts)}
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, HostError)}
    return facts, errors
