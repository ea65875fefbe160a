"""`inhouse up`: facts, plan, roles, deploys, smoke tests of every host; a host that fails does not stop the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from inhouse import machine_layer, speeds_file
from inhouse.console import Progress
from inhouse.errors import HostError
from inhouse.inventory import Inventory
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult, RoleResult, RolesInterrupted, SmokeResult, SmokeTest
from inhouse.runners import Interrupted, run_pyinfra, worth_showing
from inhouse.smoke.run import run as run_smoke_tests
from inhouse.state import remember_plans
from inhouse.survey import Survey

_A_WHILE_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """What came of one run, by host name."""

    survey: Survey
    """With the facts and plans that followed from the roles."""
    prepared: Mapping[str, RoleResult] = field(default_factory=dict)
    """Of hosts that had roles to run."""
    deployed: Mapping[str, DeployResult] = field(default_factory=dict)
    smoke: Mapping[str, SmokeResult] = field(default_factory=dict)
    not_reached: tuple[str, ...] = ()
    """Hosts of later batches, left alone because a batch before them failed."""
    interrupted: bool = False
    """Ctrl-C ended the run; hosts that were finished are good, but were not tested."""

    @property
    def changed(self) -> bool:
        """Whether anything was changed on any host."""
        return any(self.changes(name) for name in {*self.prepared, *self.deployed})

    @property
    def ok(self) -> bool:
        """Every host of the inventory is deployed and passed its smoke tests."""
        return all(self.host_ok(host.name) for host in self.survey.inventory.hosts)

    def host_ok(self, name: str) -> bool:
        """Whether this host is deployed and passed its smoke tests."""
        return name in self.smoke and self.smoke[name].ok and self.deployed[name].status in ("changed", "unchanged")

    def prepared_well(self, name: str) -> bool:
        """Whether nothing speaks against deploying this host: roles, facts and plan."""
        failed = name in self.prepared and self.prepared[name].error
        return not failed and name not in self.survey.errors and not self.survey.plans[name].problems

    def changes(self, name: str) -> tuple[str, ...]:
        """What roles and deploys changed on this host, in order."""
        prepared, deployed = self.prepared.get(name), self.deployed.get(name)
        return (prepared.changes if prepared else ()) + (deployed.changes if deployed else ())

    def why(self, name: str) -> str:
        """In words, what happened to this host; "" if all is well."""
        error: HostError | None = self.survey.errors.get(name)
        if error is not None:
            return error.message
        if name in self.prepared and self.prepared[name].error:
            return self.prepared[name].error
        if self.survey.plans[name].problems:
            return " ".join(self.survey.plans[name].problems)
        if name in self.not_reached:
            before = "the run was interrupted" if self.interrupted else "a batch before it was not finished or failed"
            return f"Left alone, because {before}. Then run the same command again."
        result = self.deployed[name]
        if result.error:
            return result.error
        if name not in self.smoke:
            return "Deployed, but not tested."
        failed = [test for test in self.smoke[name].tests if test.outcome == "failed"]
        return " ".join(f"{test.name}: {test.message}" for test in failed)


def apply(survey: Survey, progress: Progress, batch: int | None = None) -> Outcome:
    """Prepare, deploy and test every host that can take its plan, `batch` hosts at a time (None: all at once).

    With batches, hosts after a batch in which a host failed are left alone.
    """
    plans = survey.applicable
    size = batch or max(len(plans), 1)
    outcome = Outcome(survey)
    for start in range(0, len(plans), size):
        part = plans[start : start + size]
        outcome = _one_batch(outcome, part, progress)
        if outcome.interrupted or (batch and not all(outcome.host_ok(plan.host) for plan in part)):
            rest = (plan.host for plan in plans[start:] if plan.host not in {**outcome.prepared, **outcome.deployed})
            return replace(outcome, not_reached=tuple(rest))
    return outcome


def _one_batch(outcome: Outcome, part: Sequence[Plan], progress: Progress) -> Outcome:
    try:
        survey, prepared = machine_layer.prepare(outcome.survey, part, progress)
    except RolesInterrupted as stop:
        return replace(outcome, prepared={**outcome.prepared, **stop.results}, interrupted=True)
    outcome = replace(outcome, survey=survey, prepared={**outcome.prepared, **prepared})
    plans = [survey.plans[plan.host] for plan in part if outcome.prepared_well(plan.host)]
    if not plans:
        return outcome
    try:
        deployed = _deploy(survey.inventory, plans, progress)
    except Interrupted as stop:
        _remember(survey.inventory, plans, stop.results)
        return replace(outcome, deployed={**outcome.deployed, **stop.results}, interrupted=True)
    ready = [plan for plan in plans if deployed[plan.host].status in ("changed", "unchanged")]
    smoke = verify(survey.inventory, ready, progress)
    return replace(outcome, deployed={**outcome.deployed, **deployed}, smoke={**outcome.smoke, **smoke})


def _deploy(inventory: Inventory, plans: Sequence[Plan], progress: Progress) -> dict[str, DeployResult]:
    progress.step(f"Deploys: {', '.join(plan.host for plan in plans)}")

    def show(line: str) -> None:
        if (shown := worth_showing(line)) is not None:
            progress.line(shown)

    results = run_pyinfra(inventory, plans, dry=False, on_line=show)
    _remember(inventory, plans, results)
    return results


def _remember(inventory: Inventory, plans: Sequence[Plan], results: Mapping[str, DeployResult]) -> None:
    remember_plans(inventory, [plan for plan in plans if results[plan.host].status in ("changed", "unchanged")])


def verify(inventory: Inventory, plans: Sequence[Plan], progress: Progress) -> dict[str, SmokeResult]:
    """Run the smoke tests of every host that `plans` describe; show those that fail or take a while as they end."""
    if not plans:
        return {}

    def show(host: str, test: SmokeTest) -> None:
        if test.outcome == "failed" or test.seconds >= _A_WHILE_S:
            progress.line(f"  {host}: {test.name}: {test.outcome} after {test.seconds:.0f} s")

    with progress.counter("Smoke tests of hosts", len(plans)) as done:
        results = run_smoke_tests(inventory, plans, on_done=lambda result: done(result.host), on_test=show)
    speeds_file.remember(inventory, plans, results)
    return results
