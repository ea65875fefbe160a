"""The services: running now, started at boot, and not starting over and over."""

from testinfra.host import Host

from inhouse.layout import CADDY_UNIT, OLLAMA_UNIT, OPEN_WEBUI_UNIT
from inhouse.smoke.backend import output
from inhouse.smoke.expect import expect, shortened
from inhouse.smoke.marks import for_units, inside, needs, provides
from inhouse.smoke.subject import Subject

UNITS = (OLLAMA_UNIT, CADDY_UNIT, OPEN_WEBUI_UNIT)
SETTLED_S = 600
"""A service that runs this long is not flapping, however often it was started before."""
RESTARTS = 3
"""So many automatic restarts shortly before are flapping; one after a crash is what Restart= is for."""


@for_units(*UNITS)
@inside
@provides("{unit}")
def test_active(host: Host, unit: str, subject: Subject) -> None:
    """{unit} is active"""
    properties = _properties(host, unit)
    state = f"{properties.get('ActiveState', 'unknown')} ({properties.get('SubState', '')})"
    expect(
        properties.get("ActiveState") == "active",
        found=f"{unit} is {state}{_last_word(host, unit)}",
        expected="active",
        cause=_cause(properties),
        run=subject.on_host(f"systemctl status {unit}"),
    )


@for_units(*UNITS)
@inside
@needs("{unit}")
def test_steady(host: Host, unit: str, subject: Subject) -> None:
    """{unit} stays up, and starts at boot"""
    properties = _properties(host, unit)
    enabled = properties.get("UnitFileState") or "unknown"
    expect(
        enabled == "enabled",
        found=f"{unit} is {enabled}",
        expected="enabled",
        cause="somebody disabled it: it will not come back after a reboot",
        run=subject.here("up"),
    )
    restarts = int(properties.get("NRestarts") or 0)
    running_s = _running_s(host, properties)
    expect(
        restarts < RESTARTS or running_s > SETTLED_S,
        found=f"{unit} was restarted {restarts} times, the last time {running_s:.0f} s ago{_last_word(host, unit)}",
        expected="a service that stays up",
        cause="it crashes again and again",
        run=subject.on_host(f"journalctl -u {unit} -n 50"),
    )


def _properties(host: Host, unit: str) -> dict[str, str]:
    """Return what systemd knows of the unit; testinfra's own module asks ten questions first to find systemd."""
    lines = output(host, "systemctl show %s", unit).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _cause(properties: dict[str, str]) -> str:
    if properties.get("LoadState") == "not-found":
        return "it was never deployed, or removed"
    if properties.get("ActiveState") == "failed":
        return f"it failed ({properties.get('Result', 'unknown')})"
    return "somebody stopped it"


def _running_s(host: Host, properties: dict[str, str]) -> float:
    """Return how long the unit is active, in seconds, by the host's own monotonic clock."""
    uptime = float(output(host, "cat /proc/uptime").split()[0])
    return uptime - int(properties.get("ActiveEnterTimestampMonotonic") or 0) / 1e6


def _last_word(host: Host, unit: str) -> str:
    """Return the end of the unit's journal, if it may be read and holds something."""
    answer = host.run("journalctl --unit %s --lines 1 --output cat --no-pager --quiet", unit)
    text = shortened(answer.stdout) if answer.rc == 0 else ""
    return f"; its journal ends: {text}" if text else ""
