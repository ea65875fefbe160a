"""What the role cuda_toolkit is to do on a host: a toolkit that its cards and its driver know."""

from collections.abc import Iterator
from dataclasses import dataclass

from inhouse.catalogue.drivers import Origin, drivers
from inhouse.catalogue.version import version
from inhouse.facts.model import HostFacts
from inhouse.planner.driver import Cards, Owner, Wanted, owner, usable
from inhouse.planner.nvidia_names import names
from inhouse.planner.part import Part
from inhouse.role_variables import RoleVariables

ROLE = "cuda_toolkit"


def decide(facts: HostFacts, stated: RoleVariables, wanted: Wanted | None) -> Part:
    """Say which toolkits there are to be.

    Args:
        facts: of the host.
        stated: by the inventory for the roles.
        wanted: the driver that the host will have; None where roles leave it alone.
    """
    if stated.get("cuda_toolkit_state") == "absent":
        return Part(ROLE, {"cuda_toolkit_state": "absent"}, facts.machine.record(ROLE) is not None)
    if who := {Owner.WINDOWS: "WSL", Owner.JETPACK: "JetPack", Owner.DGX_OS: "DGX OS"}.get(owner(facts)):
        return Part(ROLE, warnings=(f"cuda_toolkit: true changes nothing here: {who} has a toolkit of its own.",))
    limits = _limits(facts, wanted)
    if problems := tuple(_refused(facts, stated, limits)):
        return Part(ROLE, problems=problems)
    found = _Choice(facts, stated, wanted, limits).made()
    if found is None:
        return Part(ROLE, warnings=(_nothing(facts, limits),))
    return found


@dataclass(frozen=True)
class Limits:
    """Toolkits that make sense on a host."""

    oldest: str | None
    """From which on toolkits compile for all its cards."""
    newest: str | None
    """Up to which they do, and up to which its driver runs what they make."""

    def allow(self, toolkit: str) -> bool:
        """Whether a version lies between them."""
        low, high = version(self.oldest or "0"), version(self.newest or "999")
        return low <= version(toolkit) <= high


def _limits(facts: HostFacts, wanted: Wanted | None) -> Limits:
    if not usable(facts) and not facts.nvidia.gpus:
        return Limits(None, None)
    cards = Cards(facts)
    oldest = [*(f.oldest_cuda for f in cards.families), *(chip.oldest_cuda for chip in cards.chips)]
    driver = facts.nvidia.gpus[0].driver_version if facts.nvidia.gpus else ""
    if wanted and version(driver) < version(wanted.minimum):
        driver = wanted.branch
    newest = [*(f.newest_cuda for f in cards.families), drivers().cuda_of(driver) if driver else None]
    return Limits(
        max((one for one in oldest if one), key=version, default=None),
        min((one for one in newest if one), key=version, default=None),
    )


@dataclass(frozen=True)
class _Choice:
    facts: HostFacts
    stated: RoleVariables
    wanted: Wanted | None
    limits: Limits

    def made(self) -> Part | None:
        """The toolkits of the first source that has a fitting one; None where none has."""
        for source in self._sources():
            versions = tuple(self.stated.get("cuda_toolkit_versions") or ()) or self._of(source)
            if versions:
                return self._part(source, versions)
        return None

    def _sources(self) -> tuple[Origin, ...]:
        """The driver's own source first, since packages of two makers do not go together; else the distribution."""
        asked: Origin | None = self.stated.get("cuda_toolkit_source")
        if asked:
            return (asked,)
        if self.stated.get("cuda_toolkit_versions"):
            return ("nvidia",)
        return (
            ("nvidia", "distribution") if self.wanted and self.wanted.source == "nvidia" else ("distribution", "nvidia")
        )

    def _of(self, source: Origin) -> tuple[str, ...]:
        system = drivers().system(self.facts.os.id, self.facts.os.version_id)
        if source == "distribution":
            own = system.own_cuda if system else None
            return (own,) if own and self.limits.allow(own) else ()
        if system is None or self.facts.os.architecture not in system.nvidia_architectures:
            return ()
        known = [row.cuda for row in drivers().branches if row.cuda and self.limits.allow(row.cuda)]
        return (max(known, key=version),) if known else ()

    def _part(self, source: Origin, versions: tuple[str, ...]) -> Part:
        default = self.stated.get("cuda_toolkit_default") or max(versions, key=version)
        variables = {
            "cuda_toolkit_state": "present",
            "cuda_toolkit_source": source,
            "cuda_toolkit_versions": versions if source == "nvidia" else (),
            "cuda_toolkit_default": default if source == "nvidia" else "",
            "cuda_toolkit_maximum": self.stated.get("cuda_toolkit_maximum") or self.limits.newest or "",
        }
        missing = [one for one in versions if one not in self.facts.machine.cuda_toolkits]
        if not missing:
            return Part(ROLE, variables)
        maker = "NVIDIA's repository" if source == "nvidia" else "the distribution's own packages"
        now = ", ".join(self.facts.machine.cuda_toolkits) or "none"
        said = f"{ROLE}: CUDA {', '.join(versions)} from {maker} ({now} now); Ollama does not need it."
        return Part(ROLE, variables, True, (said,))


def _refused(facts: HostFacts, stated: RoleVariables, limits: Limits) -> Iterator[str]:
    """Stated versions that do not compile for the cards, or whose programs the driver does not run."""
    for one in stated.get("cuda_toolkit_versions") or ():
        if not limits.allow(one):
            yield f"cuda_toolkit_versions has {one}, but {_about(facts, limits)}. Take it out of the list."
    versions, default = stated.get("cuda_toolkit_versions") or (), stated.get("cuda_toolkit_default")
    if default and versions and default not in versions:
        yield f"cuda_toolkit_default is {default}, which is not among cuda_toolkit_versions. Add it there."


def _about(facts: HostFacts, limits: Limits) -> str:
    low = f" {limits.oldest} or newer" if limits.oldest else ""
    high = f" {limits.newest} or older" if limits.newest else ""
    if not low and not high:
        return 'versions such as "12.9" are needed'
    return f"{names(facts)} and the driver need{low}{' and' if low and high else ''}{high}"


def _nothing(facts: HostFacts, limits: Limits) -> str:
    return f"No CUDA toolkit for {facts.os.name} is known that fits: {_about(facts, limits)}."
