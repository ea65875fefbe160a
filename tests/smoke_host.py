"""Commands as the smoke tests find them on a host, in a folder for the PATH: each prints what a test wants."""

from dataclasses import dataclass, field
from pathlib import Path


def active(**changes: str) -> dict[str, str]:
    """Return what systemctl shows of a service that runs, with `changes`."""
    return {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "NRestarts": "0",
        "ActiveEnterTimestampMonotonic": "5000000",
        **changes,
    }


@dataclass
class HostCommands:
    """What is true of the host, and what is wrong with it."""

    fleet: str
    units: dict[str, dict[str, str]] = field(
        default_factory=lambda: {name: active() for name in ("ollama.service", "caddy.service", "open-webui.service")}
    )
    listening: dict[int, list[str]] = field(default_factory=dict)
    ollama: str = '{"version":"0.34.4"}'
    free_mib: int = 100_000
    clock_offset_s: int = 0
    nvidia_smi: str = "echo 'NVIDIA GeForce RTX 4090, 580.95.05, 900 MiB, 24564 MiB'"
    journal: str = ""
    render_nodes: str = "/dev/dri/renderD128"
    vulkan_drivers: str = "radeon_icd.x86_64.json"
    cpu_flags: str = "fpu sse4_2 avx2"

    def write(self, folder: Path) -> Path:
        """Write the commands; returns the folder."""
        show = "\n".join(f"{unit}) {echo(lines(facts))};;" for unit, facts in self.units.items())
        free = f"/dev/vda 0 0 {self.free_mib * 1024} 0% /"
        ports = "\n".join(
            f"'sport = :{port}') {echo(chr(10).join(f'LISTEN 0 128 {a}:{port} *:*' for a in addresses))};;"
            for port, addresses in self.listening.items()
        )
        bodies = {
            "systemctl": f'case "$2" in\n{show}\nesac',
            "journalctl": f"{echo(self.journal)} | case $* in *--grep*) grep 'driver too old';; *) tail -n 1;; esac",
            "ss": f'case "$2" in\n{ports}\nesac',
            "curl": echo(self.ollama),
            "df": echo(f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{free}"),
            "date": f"echo $(( $(/bin/date +%s) + {self.clock_offset_s} ))",
            "nvidia-smi": self.nvidia_smi,
            "ls": f'case "$1" in *icd.d) {echo(self.vulkan_drivers)};; '
            f"*) {echo(self.render_nodes)}; exit {0 if self.render_nodes else 2};; esac",
            "cat": f'case "$1" in /etc/inhouse/fleet) {echo(self.fleet)};; /proc/uptime) echo 9000.0 1.0;; '
            f"/proc/cpuinfo) {echo(f'flags : {self.cpu_flags}')};; "
            '*) exec /bin/cat "$@";; esac',
        }
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in bodies.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder


def lines(facts: dict[str, str]) -> str:
    """Return NAME=VALUE lines."""
    return "\n".join(f"{name}={value}" for name, value in facts.items())


def echo(text: str) -> str:
    """Return a shell command that prints `text`."""
    return f"printf '%s\\n' '{text}'" if text else "printf ''"
