"""Whether a host gets Open-WebUI, and why not."""

from dataclasses import dataclass

from inhouse.catalogue.releases import releases
from inhouse.facts.model import HostFacts
from inhouse.planner import preflight
from inhouse.settings import HostSettings

OPEN_WEBUI_RAM_MIB = 4096
"""RAM from which a host gets Open-WebUI unasked: less would leave too little to the models."""


@dataclass(frozen=True)
class Webui:
    """The decision."""

    planned: bool
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def memory_mib(self) -> int:
        """RAM kept for it."""
        return releases().open_webui.memory_mib if self.planned else 0


def decide(settings: HostSettings, facts: HostFacts) -> Webui:
    """Decide about Open-WebUI: asked for, refused, or left to the planner."""
    if settings.open_webui is False:
        return Webui(False)
    why_not = preflight.open_webui_problem(facts, releases().open_webui)
    if settings.open_webui:
        way_out = "Set open_webui: false, or put it on a host with Debian 12 or Ubuntu 24.04."
        return Webui(True, problems=(f"{why_not}. {way_out}",) if why_not else ())
    if why_not:
        return Webui(False, reasons=(f"Open-WebUI is left out: {why_not}.",))
    if facts.memory_total_mib < OPEN_WEBUI_RAM_MIB:
        found = f"{facts.memory_total_mib} MiB of RAM found, it is planned from {OPEN_WEBUI_RAM_MIB} MiB on"
        return Webui(False, reasons=(f"Open-WebUI is left out: {found} (open_webui: true insists).",))
    return Webui(True)
