"""The machine layer in a run: roles on the hosts whose plan names some, then facts and plans of those hosts anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inhouse.console import Progress
from inhouse.inventory import Inventory
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult, RoleResult
from inhouse.survey import Survey, survey


def left_out(inventory: Inventory) -> Inventory:
    """Return the inventory as if every host's setting `machine_layer` were false."""
    hosts = tuple(replace(host, settings=replace(host.settings, machine_layer=False)) for host in inventory.hosts)
    return replace(inventory, hosts=hosts)


def prepare(found: Survey, plans: Sequence[Plan], progress: Progress) -> tuple[Survey, dict[str, RoleResult]]:
    """Run the roles that plans name, and ask the hosts where they ended well again. No roles: no Ansible is started.

    Returns:
        The survey with new facts and plans of those hosts, and a result for every host that had roles to run.

    Raises:
        DeployError: Ansible failed as a whole.
        RolesInterrupted: Ctrl-C; carries the results.
    """
    due = [plan for plan in plans if plan.machine_roles]
    if not due:
        return found, {}
    from inhouse.ansible_run import run_roles  # loads ansible-runner, which most runs do not need

    named = (f"{plan.host} ({', '.join(plan.machine_roles)})" for plan in due)
    progress.step(f"Roles: {', '.join(named)}")
    results = run_roles(found.inventory, due, check=False, on_line=progress.line)
    results = {plan.host: _with_reboot(found, plan, results[plan.host]) for plan in due}
    well = [name for name, result in results.items() if not result.error]
    if not well:
        return found, results
    again = survey(found.inventory.limited_to(well), progress)
    merged = replace(
        found,
        facts={**found.facts, **again.facts},
        plans={**found.plans, **again.plans},
        errors={**found.errors, **again.errors},
    )
    unfinished = [name for name in well if name in again.plans and again.plans[name].machine_roles]
    return merged, {**results, **{name: _unfinished(merged, results[name]) for name in unfinished}}


def check(found: Survey, progress: Progress) -> dict[str, RoleResult]:
    """Ask Ansible what the roles would change. No roles: no Ansible is started.

    Raises:
        DeployError: Ansible failed as a whole.
        RolesInterrupted: Ctrl-C.
    """
    due = [plan for plan in found.applicable if plan.machine_roles]
    if not due:
        return {}
    from inhouse.ansible_run import run_roles

    progress.step("What roles would change (nothing is changed now)")
    return run_roles(found.inventory, due, check=True)


def together(roles: Mapping[str, RoleResult], deploys: Mapping[str, DeployResult]) -> dict[str, DeployResult]:
    """Return what would change on each host, by roles and then by deploys."""
    return {name: _together(name, roles.get(name), deploys.get(name)) for name in dict.fromkeys([*deploys, *roles])}


def _together(host: str, role: RoleResult | None, deploy: DeployResult | None) -> DeployResult:
    if role is None:
        assert deploy is not None
        return deploy
    changes = role.changes + (deploy.changes if deploy else ())
    error = "\n".join(filter(None, [role.error, deploy.error if deploy else ""]))
    status = "failed" if error else "changed" if changes else "unchanged"
    return DeployResult(
        host=host, status=status, changes=changes, error=error, differences=role.differences, told=role.told
    )


def _with_reboot(found: Survey, plan: Plan, result: RoleResult) -> RoleResult:
    """A host that waits for a reboot is not deployed: what was planned for it cannot work yet."""
    if result.error or not result.reboot_setting:
        return result
    told = f" ({' '.join(result.told)})" if result.told else ""
    return _failed(
        result,
        f"Its roles have done their part, and a reboot is needed to complete it{told}. Reboot it, or set "
        f"{result.reboot_setting}: if_needed for it. Then run: {_again(found, plan.host)}",
    )


def _unfinished(found: Survey, result: RoleResult) -> RoleResult:
    roles = ", ".join(found.plans[result.host].machine_roles)
    told = f" They said: {' '.join(result.told)}" if result.told else ""
    return _failed(
        result,
        f"The roles ended well, and still the host is not as planned: {roles} would be run again.{told} "
        f"See what is found there: inhouse facts {found.inventory.path} --limit {result.host}",
    )


def _again(found: Survey, host: str) -> str:
    return f"inhouse up {found.inventory.path} --limit {host}"


def _failed(result: RoleResult, why: str) -> RoleResult:
    return result.model_copy(update={"status": "failed", "error": why})
