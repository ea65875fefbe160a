"""What forbids applying a plan: checks of a host's facts. Each answers with sentences, or with nothing."""

from collections.abc import Iterator

from inhouse import layout
from inhouse.catalogue.releases import ARCHITECTURES, OpenWebui, releases
from inhouse.catalogue.version import version
from inhouse.facts.model import HostFacts, ListeningPort
from inhouse.settings import HostSettings

OLDEST_SYSTEM = {"debian": "12", "ubuntu": "22.04"}
SUPPORTED = "Debian 12 or newer and Ubuntu 22.04 or newer"
CLOCK_LIMIT_S = 300.0
"""A certificate issued now must be valid on the host now."""
SYSTEM_PYTHON = {
    ("debian", "12"): "3.11",
    ("debian", "13"): "3.13",
    ("ubuntu", "22.04"): "3.10",
    ("ubuntu", "24.04"): "3.12",
}
"""Python that a system without one would install."""


def problems(settings: HostSettings, facts: HostFacts, fleet: str | None, open_webui: bool) -> tuple[str, ...]:
    """Everything that forbids applying a plan to this host, whatever its models."""
    return (
        *_system(facts),
        *_release(settings, facts),
        *_owner(settings, facts, fleet),
        *_ports(settings, facts, open_webui),
    )


def python_of(facts: HostFacts) -> str | None:
    """Version of the system's Python, there or to be installed."""
    return facts.installed.python or SYSTEM_PYTHON.get((facts.os.id, facts.os.version_id))


def open_webui_problem(facts: HostFacts, needs: OpenWebui) -> str | None:
    """Why Open-WebUI cannot run here."""
    found = python_of(facts)
    if found is None or not needs.runs_on_python(found):
        return (
            f"Open-WebUI needs Python {needs.python_from} or newer below {needs.python_below}, "
            f"{facts.os.name} has {found or 'none that is known'}"
        )
    return None


def _system(facts: HostFacts) -> Iterator[str]:
    oldest = OLDEST_SYSTEM.get(facts.os.id)
    if oldest is None or version(facts.os.version_id) < version(oldest):
        yield f"{facts.os.name or facts.os.id} found; supported are {SUPPORTED}. Reinstall the host with one of them."
    if not facts.systemd:
        yield (
            "systemd is not the first process, but the services are systemd units. In a container run /sbin/init; "
            "in WSL write [boot] systemd=true to /etc/wsl.conf and run in Windows: wsl --shutdown"
        )
    if abs(facts.clock_offset_s) > CLOCK_LIMIT_S:
        ahead = "ahead of" if facts.clock_offset_s > 0 else "behind"
        yield (
            f"The host's clock is {abs(facts.clock_offset_s):.0f} s {ahead} this machine's, {CLOCK_LIMIT_S:.0f} s are "
            "allowed: certificates would not be valid. Run on the host: "
            "sudo apt-get install -y systemd-timesyncd && sudo timedatectl set-ntp true"
        )


def _release(settings: HostSettings, facts: HostFacts) -> Iterator[str]:
    ollama = releases().ollama
    wanted = settings.ollama_version
    architecture = ARCHITECTURES.get(facts.os.architecture)
    if architecture is None:
        yield f"Architecture {facts.os.architecture} found; Ollama is released for {' and '.join(ARCHITECTURES)}."
    elif settings.ollama_archive_sha256 is None and ollama.sha256(wanted, architecture) is None:
        known = ", ".join(r.version for r in ollama.releases if r.archive(architecture))
        yield (
            f"No SHA-256 is known for Ollama {wanted} on {architecture}; known are {known}. "
            "Take one of these as ollama_version, or set ollama_archive_sha256 from the release's sha256sum.txt."
        )
    if not version(wanted) or version(wanted) < version(ollama.oldest):
        yield f"Ollama {wanted} is too old to be safe; set ollama_version to {ollama.oldest} or newer."
    if why := ollama.never.get(wanted):
        yield f"Ollama {wanted} must not be deployed: {why}. Set ollama_version to {ollama.default}."


def _owner(settings: HostSettings, facts: HostFacts, fleet: str | None) -> Iterator[str]:
    if facts.fleet and fleet and facts.fleet != fleet:
        yield (
            f"Another fleet manages this host (its CA is {facts.fleet[:16]}…, yours {fleet[:16]}…). "
            f"Use that fleet's inventory, or, if it is gone, run on the host: sudo rm {layout.FLEET_MARKER}"
        )
    foreign = facts.installed.foreign_ollama
    if foreign and not settings.replace_existing_ollama:
        yield (
            f"An Ollama that inhouse did not install is there ({foreign}). Set replace_existing_ollama: true to take "
            "over from it (its unit is stopped and kept aside), or remove it as it was installed, beginning with: "
            "sudo systemctl disable --now ollama"
        )


def _ports(settings: HostSettings, facts: HostFacts, open_webui: bool) -> Iterator[str]:
    here = facts.installed
    ours = here.ollama is not None or facts.fleet is not None
    taking_over = here.foreign_ollama is not None
    wanted = {
        settings.http_port: ("http_port", "caddy" if ours else ""),
        settings.https_port: ("https_port", "caddy" if ours else ""),
        settings.ollama_port: ("ollama_port", "ollama" if here.ollama or taking_over else ""),
    }
    if open_webui:
        wanted[settings.open_webui_port] = ("open_webui_port", "python open-webui uvicorn" if here.open_webui else "")
    for port, (setting, expected) in wanted.items():
        loopback = setting in {"ollama_port", "open_webui_port"}
        taken = [p for p in facts.listening if p.port == port and _collides(p, loopback) and not _is(p, expected)]
        if taken:
            program = taken[0].process or "a program that does not show its name"
            yield (
                f"Port {port} is taken by {program}. Stop it, or set {setting} to a free port. "
                f"To see it, run on the host: sudo ss -ltnp 'sport = :{port}'"
            )


def _collides(listener: ListeningPort, loopback_only: bool) -> bool:
    """Whether a listener is in the way: a service on loopback minds only loopback and "any address"."""
    address = listener.address.strip("[]").partition("%")[0]
    return not loopback_only or address in {"*", "0.0.0.0", "::", "::1"} or address.startswith(("127.", "::ffff:127."))


def _is(listener: ListeningPort, expected: str) -> bool:
    """Whether the listener is one of the expected programs; one without a name is taken for it."""
    if not expected:
        return False
    return listener.process is None or any(listener.process.startswith(name) for name in expected.split())
