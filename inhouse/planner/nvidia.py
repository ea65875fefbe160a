"""What NVIDIA's GPUs of a host are good for now, and what mends those that are not: a pure mapping from facts."""

import re

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.drivers import too_old
from inhouse.catalogue.releases import releases
from inhouse.catalogue.version import version
from inhouse.facts.model import PASSED_THROUGH, DriverState, HostFacts, NvidiaGpu, Virtualization
from inhouse.planner import by_hand, driver, mig
from inhouse.planner.card import NO_CHECKSUM, Card, Found, in_steps, kept
from inhouse.planner.driver import AS_IS, Outlook, Owner
from inhouse.planner.nvidia_names import names, of_id, short

_BLIND = frozenset({Virtualization.CONTAINER, Virtualization.WSL})
"""Here the driver tells how much memory is held, but lists no programs, so Ollama's part of it is not known."""


def judge(facts: HostFacts, elsewhere: str, outlook: Outlook = AS_IS) -> Found:
    """Say what NVIDIA's GPUs are good for.

    Args:
        facts: of the host.
        elsewhere: what models run on where they cannot run here: "the CPU".
        outlook: what the roles make of the driver before models run.
    """
    if outlook.removed:
        return Found(reasons=(f"NVIDIA's driver is taken away, as the inventory says: models run on {elsewhere}.",))
    if outlook.mended and (facts.nvidia.state is not DriverState.WORKING or _not_shown(facts)):
        return _future(facts)
    if facts.nvidia.state is DriverState.WORKING:
        return _working(facts, elsewhere, outlook)
    if given_away(facts):
        return Found(
            reasons=(f"{names(facts)} is handed to a virtual machine (vfio-pci): models run on {elsewhere} here.",)
        )
    if facts.nvidia.state is DriverState.NO_DEVICE:
        return Found()
    return Found(warnings=(_mend(facts, elsewhere, outlook),))


def _future(facts: HostFacts) -> Found:
    """The cards as the catalogue has them: how they will be when their driver is there."""
    cards: list[Card] = []
    reasons: list[str] = []
    for device in driver.usable(facts):
        if row := catalogue.find(device.device_id):
            cards.append(_from_row(row))
        else:
            reasons.append(
                f"{of_id(device.device_id)} is not in the catalogue: how much memory it has is known when its driver "
                "is there, and models are planned for it then."
            )
    return Found(tuple(cards), tuple(dict.fromkeys(reasons)))


def _from_row(row: catalogue.Gpu) -> Card:
    return Card(
        name=short(row.name),
        memory_mib=row.memory_mib,
        bandwidth_gbs=row.bandwidth_gbs,
        compute=row.compute,
        tflops=row.tflops,
        kept_mib=kept(row.memory_mib),
    )


def present(facts: HostFacts) -> bool:
    """Whether a card by NVIDIA is there for this host, in order or not."""
    there = bool(facts.nvidia_devices) or facts.nvidia.state is not DriverState.NO_DEVICE
    return there and not given_away(facts)


def given_away(facts: HostFacts) -> bool:
    """Whether all of NVIDIA's cards are kept for virtual machines."""
    devices = facts.nvidia_devices
    return bool(devices) and all(d.kernel_driver in PASSED_THROUGH for d in devices)


def _working(facts: HostFacts, elsewhere: str, outlook: Outlook) -> Found:
    whole: list[Card] = []
    slices: list[Card] = []
    reasons: list[str] = []
    warnings: list[str] = []
    for gpu in facts.nvidia.gpus:
        card = _card(gpu, facts)
        if fault := _fault(gpu, facts, elsewhere, outlook) or mig.fault(gpu, elsewhere):
            warnings.append(fault)
        elif gpu.mig:
            slices += mig.cards(gpu, card, 0 if facts.virtualization in _BLIND else None)
            reasons += _unknown(gpu, card, facts)
        else:
            whole.append(card)
            reasons += _about(gpu, card, facts)
    cards, why = mig.offered(tuple(whole), tuple(slices))
    if seen := _not_shown(facts):
        warnings.append(seen)
    return Found(cards, tuple(dict.fromkeys((*reasons, *why))), tuple(dict.fromkeys(warnings)))


def _not_shown(facts: HostFacts) -> str | None:
    seen = len(facts.nvidia_devices)
    if seen <= len(facts.nvidia.gpus):
        return None
    return (
        f"The driver shows {len(facts.nvidia.gpus)} of {seen} NVIDIA cards: the others are lost or not supported. "
        "Look for the cause: sudo dmesg | grep -E 'NVRM|Xid'"
    )


def _card(gpu: NvidiaGpu, facts: HostFacts) -> Card:
    row = _row(gpu, facts)
    unified = gpu.memory_total_mib is None
    return Card(
        name=short(facts.board or gpu.name) if facts.jetson_linux else short(gpu.name),
        memory_mib=facts.memory_total_mib if gpu.memory_total_mib is None else gpu.memory_total_mib,
        bandwidth_gbs=row.bandwidth_gbs if row else None,
        compute=_compute(gpu, facts),
        unified=unified,
        taken_mib=in_steps(_held_by_others(gpu, facts)),
        uuid=gpu.uuid,
        tflops=row.tflops if row else None,
        kept_mib=_kept(gpu),
    )


def _kept(gpu: NvidiaGpu) -> int:
    """What the driver keeps of a GPU for itself: it is neither free nor used."""
    total, free, used = gpu.memory_total_mib, gpu.memory_free_mib, gpu.memory_used_mib
    if total is None:
        return 0
    return kept(total) if free is None or used is None else max(total - free - used, 0)


def _compute(gpu: NvidiaGpu, facts: HostFacts) -> str | None:
    row = _row(gpu, facts)
    return gpu.compute_capability or (row.compute if row else None)


def _row(gpu: NvidiaGpu, facts: HostFacts) -> catalogue.Gpu | None:
    """The catalogue's row of a GPU: by its PCI id, else by its name (WSL and Jetson show no PCI device)."""
    id_ = next((d.device_id for d in facts.nvidia_devices if d.slot == gpu.pci_slot), None)
    by_id = catalogue.find(id_, memory_mib=gpu.memory_total_mib) if id_ else None
    return by_id or _of_board(facts) or catalogue.by_name(gpu.name)


def _of_board(facts: HostFacts) -> catalogue.Gpu | None:
    """The row of a Jetson: the module whose name begins the board's, of the size that is nearest to the RAM."""
    if facts.board is None:
        return None
    board = catalogue.plain(facts.board)
    rows = [g for g in catalogue.gpus() if g.kind == "embedded" and board.startswith(_module(g))]
    return min(rows, key=lambda g: (-len(_module(g)), abs(g.memory_mib - facts.memory_total_mib)), default=None)


def _module(gpu: catalogue.Gpu) -> str:
    """ "NVIDIA Jetson AGX Orin 64GB" → "jetsonagxorin"."""
    return re.sub(r"\d+gb$", "", catalogue.plain(gpu.name))


def _held_by_others(gpu: NvidiaGpu, facts: HostFacts) -> int:
    """MiB that others than Ollama hold, as far as the driver lets it be known.

    A display is no program that computes: it is the difference between what is held and what such programs hold.
    """
    listed = sum(p.memory_mib or 0 for p in gpu.processes or () if not p.ollama)
    ours = [p.memory_mib for p in gpu.processes or () if p.ollama]
    if gpu.processes is None or gpu.memory_used_mib is None or None in ours or facts.virtualization in _BLIND:
        return listed
    return max(gpu.memory_used_mib - sum(mib or 0 for mib in ours), 0)


def _about(gpu: NvidiaGpu, card: Card, facts: HostFacts) -> list[str]:
    """What is worth to know of a GPU that is used."""
    said = _unknown(gpu, card, facts)
    if card.unified:
        said.append(f"{card.name} shares the host's memory (unified memory), so the system needs its part of it.")
    if card.taken_mib:
        programs = ", ".join(dict.fromkeys(p.name.rpartition("/")[2] for p in gpu.processes or () if not p.ollama))
        said.append(
            f"{card.taken_mib} of {card.memory_mib} MiB of {card.name} are held by others "
            f"({programs or 'a display'}) and are left to them."
        )
    return said


def _unknown(gpu: NvidiaGpu, card: Card, facts: HostFacts) -> list[str]:
    """That the catalogue lacks a GPU."""
    if _row(gpu, facts) is not None:
        return []
    ids = [f" ({NVIDIA}:{d.device_id})" for d in facts.nvidia_devices if d.slot == gpu.pci_slot]
    return [
        f"{card.name}{''.join(ids)} is not in the catalogue: planned by what its driver reports, "
        f"{card.memory_mib} MiB and compute capability {card.compute or 'unknown'}; its speed is not known."
    ]


def _fault(gpu: NvidiaGpu, facts: HostFacts, elsewhere: str, outlook: Outlook) -> str | None:
    """Why Ollama would not use a GPU whose driver works, and what mends it."""
    ollama = releases().ollama
    compute = _compute(gpu, facts)
    if compute and version(compute) < version(ollama.compute_floor):
        return (
            f"{short(gpu.name)} has compute capability {compute}, Ollama needs {ollama.compute_floor} or newer: "
            f"its models run on {elsewhere}, and no driver changes that."
        )
    older = compute is not None and version(compute) < (7, 0)
    floor = ollama.driver_floor_below_compute_7 if older else ollama.driver_floor
    if (version(gpu.driver_version) or (0,))[0] >= floor or outlook.mended:
        return None
    if driver.owner(facts) is Owner.JETPACK:
        return (
            f"{facts.board or short(gpu.name)} runs Jetson Linux {facts.jetson_linux} with driver "
            f"{gpu.driver_version}, {floor} or newer is needed by Ollama (its archive for JetPack is not used: "
            f"{NO_CHECKSUM}): models run on {elsewhere}. The driver comes with JetPack alone; "
            "to see newer ones, run: apt list --upgradable 'nvidia-l4t-*'"
        )
    return _sentence(
        facts,
        elsewhere,
        f"NVIDIA driver {gpu.driver_version} found for {names(facts)}, {floor} or newer is needed by Ollama",
        outlook.remedy,
    )


def _mend(facts: HostFacts, elsewhere: str, outlook: Outlook) -> str:
    """What is wrong with a driver that is missing or does not answer, and what mends it."""
    nvidia = facts.nvidia
    devices = facts.nvidia_devices
    if devices and all(too_old(d.device_id) for d in devices):
        return (
            f"{names(facts)} is older than any card Ollama supports: models run on {elsewhere}, and no driver "
            "changes that."
        )
    if nvidia.state is DriverState.NO_DRIVER:
        rival = next((d.kernel_driver for d in devices if d.kernel_driver == "nouveau"), None)
        bound = ", its kernel driver is nouveau, which cannot compute" if rival else ""
        return _sentence(facts, elsewhere, f"{names(facts)} found without NVIDIA's driver{bound}", outlook.remedy)
    module, library = nvidia.module_version, nvidia.library_version
    if module and library and module != library:
        found = f"NVIDIA's kernel module is {module}, its libraries are {library}; they must be equal"
        return _sentence(facts, elsewhere, found, outlook.remedy or "sudo systemctl reboot")
    said = f' (nvidia-smi: "{" ".join(nvidia.message.split())}")' if nvidia.message else ""
    if module is None and library:
        headers = "sudo apt-get install -y linux-headers-$(uname -r)"
        steps = f"{headers} && sudo dkms autoinstall && sudo modprobe -a nvidia nvidia-uvm"
        found = f"NVIDIA's libraries {library} are there but no kernel module is loaded{said}"
        by_apt = steps if facts.os.id in {"debian", "ubuntu"} else ""
        return _sentence(facts, elsewhere, found, outlook.remedy or by_apt)
    why = f"NVIDIA's driver does not answer{said}; the kernel says why: sudo dmesg | grep NVRM"
    return _sentence(facts, elsewhere, why, outlook.remedy)


def _sentence(facts: HostFacts, elsewhere: str, found: str, command: str) -> str:
    """Found, what follows, and the command, typed where the driver belongs; "" for the one that installs a driver."""
    said = f"{found}: until then models run on {elsewhere}."
    match driver.owner(facts):
        case Owner.WINDOWS:
            return f"{said} Update the NVIDIA driver in Windows, then run there: wsl --shutdown"
        case Owner.DGX_OS:
            upgrade = "sudo apt-get update && sudo apt-get dist-upgrade && sudo systemctl reboot"
            return f"{said} It is part of DGX OS, which the machine comes with. Run: {upgrade}"
        case Owner.HYPERVISOR:
            return f"{said} A virtual GPU needs the guest driver that belongs to its hypervisor: ask who runs that"
    return f"{said} {by_hand.run(facts, command) if command else by_hand.install(facts)}"
