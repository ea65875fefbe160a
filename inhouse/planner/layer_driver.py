"""What the role nvidia_driver is to do on a host: nothing where the driver is good enough, whoever put it there."""

from collections.abc import Iterator
from dataclasses import dataclass

from inhouse.catalogue.drivers import drivers
from inhouse.catalogue.version import version
from inhouse.facts.machine import DriverOrigin
from inhouse.facts.model import DriverState, HostFacts
from inhouse.planner import driver
from inhouse.planner.driver import AS_IS, Cards, Impossible, Outlook, Owner, Wanted
from inhouse.planner.part import Part
from inhouse.role_variables import RoleVariables

ROLE = "nvidia_driver"
_AWAY = {
    DriverOrigin.RUNFILE: "sudo nvidia-uninstall",
    DriverOrigin.FILES: "ldconfig -p | grep -E 'libcuda|libnvidia', and remove these files, which no package owns",
    DriverOrigin.OTHER: "dpkg -l '*nvidia*', and remove these packages, which others made",
}
"""How drivers go that the role replaces for nobody."""


NOTHING_TO_DO = Part(ROLE)


@dataclass(frozen=True)
class DriverPart:
    """The role's part of a plan, and what the driver will be."""

    part: Part = NOTHING_TO_DO
    outlook: Outlook = AS_IS
    wanted: Wanted | None = None


def decide(facts: HostFacts, stated: RoleVariables) -> DriverPart:
    """Say what the role does, and why."""
    if not driver.usable(facts) or driver.owner(facts) is not Owner.HOST:
        return DriverPart()
    if stated.get("nvidia_driver_state") == "absent":
        return _removal(facts)
    wanted = driver.decide(facts, stated)
    if isinstance(wanted, Impossible):
        problems = (f"{wanted.why} {wanted.advice}",) if wanted.stated else ()
        return DriverPart(Part(ROLE, problems=problems))
    return _presence(facts, stated, wanted)


def _removal(facts: HostFacts) -> DriverPart:
    """The role takes away what it put there, and leaves a driver that others installed."""
    variables = {"nvidia_driver_state": "absent"}
    if facts.machine.record(ROLE) is None:
        return DriverPart(Part(ROLE, variables))
    return DriverPart(Part(ROLE, variables, runs=True), Outlook(removed=True))


def _presence(facts: HostFacts, stated: RoleVariables, wanted: Wanted) -> DriverPart:
    variables = wanted.variables()
    notes = tuple(_notes(facts, stated, wanted))
    now = _difference(facts, stated, wanted)
    if now is None:
        return DriverPart(Part(ROLE, variables, reasons=notes), AS_IS, wanted)
    if remedy := _hindrance(facts, stated, wanted):
        return DriverPart(Part(ROLE, variables, reasons=notes), Outlook(remedy=remedy), wanted)
    what = _kept(facts, stated, wanted) or in_words(wanted, facts)
    said = f"{ROLE}: {what} ({now}){_restart(facts, stated)}."
    warnings = tuple(_warnings(facts, wanted))
    return DriverPart(Part(ROLE, variables, True, (said, *notes), warnings), Outlook(mended=True), wanted)


def in_words(wanted: Wanted, facts: HostFacts) -> str:
    """ "branch 595 from NVIDIA's repository, open modules"."""
    distribution = facts.os.id.capitalize() if facts.os.id in ("debian", "ubuntu") else "the distribution"
    source = "NVIDIA's repository" if wanted.source == "nvidia" else f"{distribution}'s own packages"
    screen = ", with the parts for a screen" if wanted.desktop else ""
    return f"branch {wanted.branch} from {source}, {wanted.module} modules{screen}"


def _difference(facts: HostFacts, stated: RoleVariables, wanted: Wanted) -> str | None:
    """What is not as wanted, in words; None where the role has nothing to do, or could not help."""
    match facts.nvidia.state:
        case DriverState.WORKING:
            found = facts.nvidia.gpus[0].driver_version or facts.nvidia.library_version or ""
            if not version(found):
                return None
            return _not_good_enough(found, wanted) or _aging(facts, stated, found)
        case DriverState.NO_DRIVER:
            nouveau = any(d.kernel_driver == "nouveau" for d in driver.usable(facts))
            return "nouveau now, which cannot compute" if nouveau else "no driver now"
        case DriverState.CANNOT_TALK:
            return _broken(facts, wanted)
    return None


def _kept(facts: HostFacts, stated: RoleVariables, wanted: Wanted) -> str:
    """What the role installed before stays if it is good enough, whatever is wrong with it; "" otherwise."""
    there = facts.nvidia.library_version
    if there is None or facts.machine.record(ROLE) is None or stated.get("nvidia_driver_upgrade"):
        return ""
    return "" if _not_good_enough(there, wanted) else f"driver {there} stays, and its module is seen to"


def _not_good_enough(found: str, wanted: Wanted) -> str | None:
    if version(found) < version(wanted.minimum):
        return f"{found} now, {wanted.minimum} or newer is needed"
    if wanted.maximum_branch and version(found)[0] > version(wanted.maximum_branch)[0]:
        return f"{found} now, {wanted.maximum_branch} is the last that knows every card"
    return None


def _aging(facts: HostFacts, stated: RoleVariables, found: str) -> str | None:
    """A driver that is good enough, and yet not to be left alone."""
    record = facts.machine.record(ROLE)
    # Once: a role that has looked for something newer with this setting is not asked again.
    if stated.get("nvidia_driver_upgrade") and (record is None or not record.had("nvidia_driver_upgrade")):
        return f"{found} now, and nvidia_driver_upgrade lets it move"
    if record is None:
        return None
    newest = facts.machine.newest_kernel
    if newest and newest.module is None:
        return f"no module yet for kernel {newest.name}, which the next restart boots"
    return None


def _broken(facts: HostFacts, wanted: Wanted) -> str | None:
    """A driver that is there and does not answer. The same versions of the right kind are not mended by packages."""
    module, library = facts.nvidia.module_version, facts.nvidia.library_version
    if module is None:
        return "no kernel module is loaded now"
    if library is None or "nvidia-smi not found" in facts.nvidia.message:
        return f"module {module} now, and its programs are missing"
    if module != library:
        return f"module {module} and libraries {library} now"
    flavour = {True: "open", False: "proprietary", None: wanted.module}[facts.machine.open_module]
    if flavour not in Cards(facts).modules:
        return f"{flavour} modules now, which do not drive the cards"
    return _not_good_enough(module, wanted)


def _hindrance(facts: HostFacts, stated: RoleVariables, wanted: Wanted) -> str:
    """What a person has to do, because the role must not; "" where nothing hinders it."""
    again = f"inhouse up --limit {facts.host}"
    record = facts.machine.record(ROLE)
    if away := _AWAY.get(facts.machine.driver_origin or DriverOrigin.NONE):
        module, library = facts.nvidia.module_version, facts.nvidia.library_version
        stale = module and library and module != library and not _not_good_enough(library, wanted)
        return f"{'sudo systemctl reboot' if stale else away}; then here: {again}"
    if record and record.reboot_needed and stated.get("nvidia_driver_reboot") != "if_needed":
        return f"sudo systemctl reboot; then here: {again} (nvidia_driver_reboot: if_needed would restart the host)"
    return ""


def _restart(facts: HostFacts, stated: RoleVariables) -> str:
    """Whether a restart is to be expected: a module that is in use cannot always be swapped."""
    busy = facts.nvidia.module_version or any(d.kernel_driver == "nouveau" for d in driver.usable(facts))
    if not busy:
        return ""
    if stated.get("nvidia_driver_reboot") == "if_needed":
        return "; the host is restarted if it must be"
    return "; should it take a restart, that is left to you (nvidia_driver_reboot: if_needed would do it)"


def _warnings(facts: HostFacts, wanted: Wanted) -> Iterator[str]:
    system = drivers().system(facts.os.id, facts.os.version_id)
    signed = wanted.source == "distribution" and system is not None and system.own_signed
    if facts.machine.secure_boot and not signed:
        yield (
            "Secure Boot is on, and the driver's modules are built on the host: the key that signs them must be "
            "enrolled at its console. If it is not, the role changes nothing and says how; machine_layer: false goes "
            "on without the driver."
        )
    if facts.machine.nvswitch:
        yield (
            "These GPUs are joined by NVSwitch: CUDA starts on them only with nvidia-fabricmanager of exactly the "
            "driver's version, which the role does not install. When the driver is there, install it from the same "
            "source, then run on the host: sudo systemctl enable --now nvidia-fabricmanager"
        )


def _notes(facts: HostFacts, stated: RoleVariables, wanted: Wanted) -> Iterator[str]:
    """Where the inventory's word counts instead of the planner's."""
    if not stated.stated:
        return
    alone = driver.decide(facts)
    for name, value in wanted.variables().items():
        own = None if isinstance(alone, Impossible) else alone.variables()[name]
        if name in stated and name != "nvidia_driver_desktop" and value != own:
            without = f"the planner would take {own}" if own else "the planner would take none"
            yield f"{name} is {value}, as the inventory states; {without}."
    found = facts.nvidia.gpus[0].driver_version if facts.nvidia.gpus else ""
    asked = stated.get("nvidia_driver_version") or stated.get("nvidia_driver_branch")
    other = found and asked and version(found)[: len(version(asked))] != version(asked)
    if other and not _not_good_enough(found, wanted) and not stated.get("nvidia_driver_upgrade"):
        yield (
            f"NVIDIA driver {found} works and stays, though the inventory states {asked}: "
            "nvidia_driver_upgrade: true moves it."
        )
