"""What goes on the disk of a host, and whether it has room. MiB.

Which models a host already has is not among its facts. So what is chosen depends on the disk's size alone, and what is
free now is compared only while Ollama is not installed: a second run on a well-filled disk must not fail here. Every
pull checks the free space again.
"""

from dataclasses import dataclass

from inhouse.catalogue.releases import releases
from inhouse.facts.model import HostFacts
from inhouse.planner.machine import Machine
from inhouse.planner.selection import Selection
from inhouse.settings import HostSettings

LEFTOVER_MIB = 64
"""Units, certificates, logs: what inhouse writes beside the big things."""


@dataclass(frozen=True)
class Space:
    """The models' disk, and what goes on it beside the models."""

    total: int
    free: int | None
    """None once Ollama is installed."""
    beside: int
    """Programs."""
    reserve: int
    path: str
    allowed: int | None = None
    """What all models together may take by the settings; None: whatever there is."""

    @classmethod
    def of(cls, settings: HostSettings, facts: HostFacts, machine: Machine, open_webui: bool) -> "Space":
        """Work out the space of a host."""
        ollama, webui = releases().ollama, releases().open_webui
        unpacked = ollama.unpacked_mib if machine.has_nvidia else ollama.unpacked_without_gpu_mib
        beside = ollama.archive_mib + unpacked + LEFTOVER_MIB + (webui.disk_mib if open_webui else 0)
        disk = facts.models_disk
        free = None if facts.installed.ollama else disk.free_mib
        allowed = settings.models_disk_gib * 1024 if settings.models_disk_gib else None
        return cls(disk.total_mib, free, beside, settings.disk_reserve_mib, disk.path, allowed)

    @property
    def for_models(self) -> int:
        """What all models together may take."""
        there = self.total - self.beside - self.reserve
        return there if self.allowed is None else min(there, self.allowed)

    def problems(self, selection: Selection) -> tuple[str, ...]:
        """Say if the models do not fit."""
        models = sum(c.model.file_mib for c in selection.chosen)
        needed = models + self.beside + self.reserve
        sum_of = f"{models} MiB of models, {self.beside} MiB of programs and {self.reserve} MiB that stay free"
        if self.allowed is not None and models > self.allowed:
            found = f"{models} MiB of models are planned, {self.allowed} MiB are allowed (models_disk_gib)"
            return (f"{found}. Pin smaller models, or raise models_disk_gib.",)
        if needed > self.total:
            found = f"The disk of {self.path} has {self.total} MiB, {needed} MiB are needed"
            return (f"{found} ({sum_of}). Set ollama_models_dir to a larger disk, or pin smaller models.",)
        if self.free is not None and needed > self.free:
            found = f"The disk of {self.path} has {self.free} MiB free, {needed} MiB are needed"
            return (f"{found} ({sum_of}). Free some (sudo du -xh -d2 / | sort -h | tail), or pin smaller models.",)
        return ()
