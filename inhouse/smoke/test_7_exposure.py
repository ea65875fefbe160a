"""What must not be reachable: Ollama asks nobody for a password, and Open-WebUI must be met through the proxy only."""

import ipaddress

from testinfra.host import Host

from inhouse.planner.plan import Plan
from inhouse.smoke.backend import output
from inhouse.smoke.expect import expect
from inhouse.smoke.marks import inside, with_open_webui
from inhouse.smoke.subject import Subject
from inhouse.smoke.web import accepts_connections

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
"""At these a port is our own machine's, and says nothing about the outside."""


@inside
def test_ollama_is_inside(host: Host, subject: Subject, plan: Plan) -> None:
    """Ollama's port {plan.ollama_port} is open on loopback only"""
    _inside_only(host, subject, plan.ollama_port)


@with_open_webui
@inside
def test_open_webui_is_inside(host: Host, subject: Subject, plan: Plan) -> None:
    """Open-WebUI's port {plan.open_webui_port} is open on loopback only"""
    _inside_only(host, subject, plan.open_webui_port)


def _inside_only(host: Host, subject: Subject, port: int) -> None:
    """Look from both sides: a firewall in between hides an open port from us, not from the next network."""
    open_at = [address for address in _listening(host, port) if not _is_loopback(address)]
    reached = [a for a in _outside_addresses(host, subject) if accepts_connections(a, port)]
    found = [f"it listens on {address}" for address in open_at] + [f"{address} is reachable" for address in reached]
    expect(
        not found,
        found=f"port {port}: {', '.join(found)}",
        expected="127.0.0.1 and nothing else",
        cause="somebody changed the unit's settings (OLLAMA_HOST, --host), or another program has the port",
        run=subject.here("up"),
    )


def _listening(host: Host, port: int) -> list[str]:
    """Return the addresses on which something listens at this TCP port."""
    lines = output(host, "ss -Hltn %s", f"sport = :{port}").splitlines()
    return [line.split()[3].rsplit(":", 1)[0] for line in lines if line.strip()]


def _is_loopback(address: str) -> bool:
    name = address.strip("[]").split("%")[0]
    return name != "*" and ipaddress.ip_address(name).is_loopback


def _outside_addresses(host: Host, subject: Subject) -> list[str]:
    """Return the addresses at which others meet the host."""
    if subject.connection.kind == "local":
        return str(host.run("hostname -I").stdout).split()
    return [subject.plan.address] if subject.plan.address not in LOOPBACK_NAMES else []
