"""One virtual lab host: a QEMU process with a disk of its own, for what a container cannot do.

It boots a kernel, loads modules, reboots and checks signatures at boot. KVM is not used, so it runs wherever Docker
does, and slowly: one or two of them occupy two cores while they boot.
"""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import stamina

from inhouse.errors import LabError
from inhouse.lab.network import Endpoint
from inhouse.lab.ssh import USER, ClientFiles
from inhouse.lab.vm_image import FIRMWARE

PROGRAM = "qemu-system-x86_64"
CPU = "Nehalem"
"""Without the vector instructions of newer ones, which are slow without KVM: a boot takes 74 s of processor time, with
`max` and the kernel's mitigations 109 s."""
CORES = 2
MEMORY_MIB = 2048
BOOT_TIMEOUT_S = 900.0
"""The cores are shared with whatever else runs: seen were 4 minutes with a load of 16 on two of them."""
STOP_TIMEOUT_S = 30.0
GUEST_FILES = "opt/inhouse-lab/files"
"""Under this name the firmware's configuration device carries the archive of the host's own files."""


@dataclass(frozen=True)
class Machine:
    """A virtual machine as it lies in its folder."""

    folder: Path
    endpoint: Endpoint
    secure_boot: bool
    """The firmware trusts Microsoft's keys and starts only what they vouch for; Debian's kernel then locks itself."""

    @property
    def name(self) -> str:
        """The host's."""
        return self.folder.name

    @property
    def disk(self) -> Path:
        """What the host wrote, over a disk that others use too."""
        return self.folder / "disk.qcow2"

    @property
    def variables(self) -> Path:
        """The firmware's memory: boot order, trusted keys."""
        return self.folder / "variables.fd"

    @property
    def files(self) -> Path:
        """Archive of the host's own files, unpacked at its first boot."""
        return self.folder / "files.tar"

    @property
    def console(self) -> Path:
        """All that the host printed on its console."""
        return self.folder / "console.log"

    @property
    def pid(self) -> Path:
        """Holds the number of the process while it runs."""
        return pid_file(self.folder)


def pid_file(folder: Path) -> Path:
    """Where QEMU writes the number of its process."""
    return folder / "pid"


def command(machine: Machine) -> list[str]:
    """QEMU's command line; it returns when the machine runs and its SSH port is taken."""
    code = FIRMWARE / ("OVMF_CODE_4M.ms.fd" if machine.secure_boot else "OVMF_CODE_4M.fd")
    # The firmware keeps its keys from the system by system management mode.
    guarded = ["-global", "driver=cfi.pflash01,property=secure,value=on"] if machine.secure_boot else []
    forwards = ",".join(
        f"hostfwd=tcp:{address}:{port}-:{inside.removesuffix('/tcp')}"
        for inside, (address, port) in machine.endpoint.published.items()
    )
    return [
        PROGRAM,
        *("-name", machine.name),
        *("-machine", f"q35,smm={'on' if machine.secure_boot else 'off'}"),
        *("-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", str(CORES), "-m", str(MEMORY_MIB)),
        *guarded,
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={machine.variables}"),
        # Nobody needs the disk after this machine's power fails.
        *("-drive", f"if=virtio,format=qcow2,cache=unsafe,discard=unmap,file={machine.disk}"),
        *("-netdev", f"user,id=net,restrict=on,{forwards}", "-device", "virtio-net-pci,netdev=net"),
        *("-device", "virtio-rng-pci"),
        *("-fw_cfg", f"name={GUEST_FILES},file={machine.files}"),
        *("-display", "none", "-vga", "none", "-monitor", "none"),
        *("-serial", f"file:{machine.console}"),
        *("-pidfile", str(machine.pid), "-daemonize"),
    ]


def create(machine: Machine, base: Path) -> None:
    """Makes the machine's disk on top of `base`, and its firmware's memory; its files are there already."""
    _run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(machine.disk)])
    variables = "OVMF_VARS_4M.ms.fd" if machine.secure_boot else "OVMF_VARS_4M.fd"
    shutil.copyfile(FIRMWARE / variables, machine.variables)


def start(machine: Machine) -> None:
    """Switches the machine on, without waiting for its system.

    Raises:
        LabError: QEMU says why not.
    """
    _run(command(machine))


def stop(folder: Path) -> None:
    """Ends the machine's process, as pulling the plug would; none is fine.

    Raises:
        LabError: the process does not end.
    """
    if (pid := running(folder)) is None:
        return
    os.kill(pid, signal.SIGTERM)
    for attempt in stamina.retry_context(on=_NotYetError, timeout=STOP_TIMEOUT_S, attempts=None, wait_max=1.0):
        with attempt:
            if running(folder) is not None:
                raise _NotYetError(f"virtual machine {folder.name}, process {pid}, does not end")


def running(folder: Path) -> int | None:
    """Number of the machine's process; None where it is off, also when another program has its number by now."""
    try:
        pid = int(pid_file(folder).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if str(pid_file(folder)).encode() in words else None


def await_ssh(machine: Machine, client: ClientFiles) -> None:
    """Returns when systemd says that the host runs.

    Raises:
        LabError: it ended, or does not answer in time, or a unit failed; gives the end of its console.
    """
    ask = ["ssh", "-F", str(client.config), "-p", str(machine.endpoint.ssh_port), "-o", "BatchMode=yes"]
    ask += ["-o", "ConnectTimeout=20", f"{USER}@{machine.endpoint.address}", "systemctl is-system-running --wait"]
    for attempt in stamina.retry_context(
        on=_NotYetError, timeout=BOOT_TIMEOUT_S, attempts=None, wait_initial=1.0, wait_max=2.0, wait_jitter=0.1
    ):
        with attempt:
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            state = done.stdout.strip()
            if running(machine.folder) is None or state == "degraded":
                raise LabError(f"virtual machine {machine.name}: {state or 'ended'}; its console:\n{_tail(machine)}")
            if state != "running":
                raise _NotYetError(
                    f"virtual machine {machine.name}: {state or done.stderr.strip()}; its console:\n{_tail(machine)}"
                )


class _NotYetError(LabError):
    """The machine has not started, or not ended, yet."""


def _tail(machine: Machine) -> str:
    return "\n".join(machine.console.read_text(errors="replace").splitlines()[-15:]) if machine.console.exists() else ""


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"`{words[0]}` ended with {done.returncode}:\n{done.stderr.strip()}")
