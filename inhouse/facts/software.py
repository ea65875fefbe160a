"""Reads the probe's sections on what is installed and what listens."""

import ipaddress
import re
from pathlib import PurePosixPath

from inhouse.facts.model import Installed, ListeningPort
from inhouse.facts.sections import Section, Sections

_LISTEN = "0A"
"""State LISTEN in /proc/net/tcp."""


def read_installed(sections: Sections) -> Installed:
    """Return versions of what inhouse manages or must not collide with."""
    section = sections["installed"]
    return Installed(
        ollama=_release(section, "ollama"),
        foreign_ollama=sections["foreign-ollama"].first,
        open_webui=_release(section, "open-webui"),
        caddy=_version(section, "caddy", r"v?(\d+\.\d+\S*)"),
        docker=_version(section, "docker", r"Docker version ([^\s,]+)"),
        python=_version(section, "python", r"Python (\S+)"),
        curl=section.value("curl") is not None,
        zstd=section.value("zstd") is not None,
    )


def _release(section: Section, name: str) -> str | None:
    """The last part of what inhouse's link `current` points at."""
    target = section.value(name)
    return PurePosixPath(target).name if target else None


def _version(section: Section, name: str, pattern: str) -> str | None:
    match = re.match(pattern, section.value(name) or "")
    return match[1] if match else None


def read_listening(sections: Sections) -> tuple[ListeningPort, ...]:
    """Return the TCP sockets in state LISTEN, by port, from `ss -ltnp` or from /proc/net/tcp and tcp6."""
    found = {_from_ss(line) or _from_proc(line) for line in sections["listening"].lines}
    return tuple(sorted((p for p in found if p), key=lambda p: (p.port, p.address, p.process or "")))


def _from_ss(line: str) -> ListeningPort | None:
    match = re.match(r"LISTEN\s+\d+\s+\d+\s+(\S+):(\d+)\s+\S+\s*(.*)$", line)
    if not match:
        return None
    address, port, users = match.groups()
    address = address.strip("[]").partition("%")[0]
    process = re.search(r'\(\("([^"]+)"', users)
    return ListeningPort("::" if address == "*" else address, int(port), process[1] if process else None)


def _from_proc(line: str) -> ListeningPort | None:
    match = re.match(r"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) ", line)
    if not match or match[3] != _LISTEN:
        return None
    return ListeningPort(_address(match[1]), int(match[2], 16), None)


def _address(digits: str) -> str:
    """The kernel prints addresses in words of 32 bits, each in the processor's order: little-endian on x86 and ARM."""
    words = [bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
