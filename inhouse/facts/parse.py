"""Turns what the probe printed into facts. Pure: the same output gives the same facts."""

import re

from inhouse.errors import FactsError
from inhouse.facts.amd import read_amd
from inhouse.facts.machine import read_machine
from inhouse.facts.model import HostFacts
from inhouse.facts.nvidia import read_nvidia
from inhouse.facts.sections import Sections, split
from inhouse.facts.software import read_installed, read_listening
from inhouse.facts.system import (
    read_cpu,
    read_disk,
    read_display_devices,
    read_memory,
    read_os,
    read_virtualization,
)


def parse(host: str, output: str, controller_time: float) -> HostFacts:
    """Return the facts of one host.

    Args:
        host: the inventory's name of the host.
        output: all that probe.sh wrote to standard output.
        controller_time: the controller's clock when the host read its own, in seconds since 1970.

    Raises:
        FactsError: the output was cut off, is not a probe's, or the host is not a Linux that names itself.
    """
    sections = split(host, output)
    system = read_os(host, sections)
    virtualization, virtualization_name = read_virtualization(sections)
    memory_total_mib, memory_available_mib = read_memory(host, sections)
    devices = read_display_devices(sections)
    return HostFacts(
        host=host,
        os=system,
        virtualization=virtualization,
        virtualization_name=virtualization_name,
        cpu=read_cpu(host, sections),
        memory_total_mib=memory_total_mib,
        memory_available_mib=memory_available_mib,
        models_disk=read_disk(host, sections),
        display_devices=devices,
        nvidia=read_nvidia(sections, devices),
        installed=read_installed(sections),
        listening=read_listening(sections),
        fleet=sections["fleet"].first,
        certificate_pem=_certificate(sections),
        clock_offset_s=_clock(host, sections) - controller_time,
        systemd=sections["systemd"].first == "yes",
        amd=read_amd(sections),
        board=sections["board"].value("model"),
        jetson_linux=_jetson_linux(sections),
        machine=read_machine(sections),
    )


def _jetson_linux(sections: Sections) -> str | None:
    """The release of "# R36 (release), REVISION: 4.3, GCID: …" as NVIDIA writes it: "36.4.3"."""
    match = re.search(r"R(\d+) .*REVISION: ([\d.]+)", sections["board"].value("tegra") or "")
    return f"{match[1]}.{match[2]}" if match else None


def _certificate(sections: Sections) -> str | None:
    text = sections["certificate"].text
    return f"{text}\n" if text else None


def _clock(host: str, sections: Sections) -> float:
    """Seconds since 1970 by the host's clock; where its `date` knows no fractions, the middle of the second."""
    said = sections["clock"].first or ""
    match = re.match(r"(\d+)(\.\d+)?", said)
    if not match:
        raise FactsError(host, f"`date +%s` printed {said!r} instead of a number. Install coreutils or busybox.")
    return int(match[1]) + float(match[2] or 0.5)
