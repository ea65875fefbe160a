"""What models may take on one host, on some of its GPUs or on its CPU. MiB."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from inhouse.catalogue.models import Model
from inhouse.facts.model import HostFacts
from inhouse.planner import memory, speed
from inhouse.planner.kept import Kept, PerModel
from inhouse.planner.loads import Load, loads
from inhouse.planner.machine import Card
from inhouse.planner.memory import Use
from inhouse.planner.speed import Engine, Speed
from inhouse.speeds import NONE, Speeds, device_name

SYSTEM_MIB = 1024
"""RAM left to the system and to Ollama itself."""
SYSTEM_SHARE = 0.05
"""On large hosts the system takes this part of the RAM, if that is more."""
LEAST_SHARE = 0.25
"""Part of a model's layers that must be on the GPU: with less, the card helps too little to wait for its bus."""


class Placement(NamedTuple):
    """Where a model lies."""

    share: float
    """Part of its layers on GPUs."""
    gpu: float
    ram: float
    """MiB."""


class Kind(NamedTuple):
    """What of a budget, beside its size, decides how much a model needs."""

    gpu: bool
    """On GPUs; else on the CPU."""
    unified: bool
    """Their memory is the host's RAM."""
    images: bool
    """Room is kept on them to work on images."""
    cuda: bool
    """They run on CUDA."""
    context: float
    """What the program of each model holds of every GPU beside its buffers. MiB."""

    amx: bool = False
    """Without GPUs: the processor has AMX."""

    def on_cpu(self, load: Load) -> float:
        """What a model takes of the RAM without GPUs."""
        return load.cpu + load.amx if self.amx else load.cpu

    def copies(self, load: Load) -> float:
        """What a quantized cache costs on these GPUs beside itself."""
        return load.copies if self.cuda else 0.0

    def held(self, load: Load) -> float:
        """What a model takes of GPUs with all its layers there."""
        return load.gpu + self.copies(load)

    def program(self, load: Load) -> float:
        """What its program holds of them beside that."""
        return self.context * load.gpus

    def extra(self, load: Load) -> float:
        """What it must find free there beyond what it takes: its program's own part, and room for images."""
        return self.program(load) + load.image if self.images else self.program(load)

    def needed(self, load: Load) -> float:
        """Free memory a model must find on the accelerator so that all of it runs there."""
        return self.held(load) + self.extra(load) if self.gpu else self.on_cpu(load)

    def fixed(self, load: Load) -> float:
        """Of that the part that is there however few layers are."""
        return load.fixed + self.copies(load) + self.extra(load)

    def least(self, load: Load) -> float:
        """Free memory a model must find on the GPU to be placed there in part."""
        if self.unified or not self.gpu:
            return self.needed(load)
        fixed = self.fixed(load)
        return fixed + LEAST_SHARE * (self.needed(load) - fixed)

    def whole(self, load: Load) -> Placement:
        """Where a model lies with all its layers on the accelerator."""
        return Placement(1.0, self.held(load), load.beside) if self.gpu else Placement(0.0, 0.0, self.on_cpu(load))

    def in_ram(self, load: Load) -> float:
        """RAM that a model takes then, its GPU's part included where that is the host's RAM."""
        if not self.gpu:
            return self.on_cpu(load)
        return load.beside + self.held(load) if self.unified else load.beside


@dataclass(frozen=True)
class Budget:
    """Memory and speed of what models run on."""

    cards: tuple[Card, ...]
    """Empty: the CPU."""
    total: int
    usable: float
    """What all loaded models may take together, on the accelerator."""
    ram: float
    """What they may take of the host's RAM."""
    cores: int
    images: bool = True
    """Room is kept to work on images."""
    device: str = ""
    """Name by which measured speeds are kept."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Tokens/s by tag that were measured on such a device before."""
    avx512: bool = False
    """The processor has AVX-512."""
    amx: bool = False
    """It has AMX."""
    spread: int | None = None
    """Number of GPUs a model is taken to lie on; None: all of them, which takes the most memory."""

    @Kept
    def kind(self) -> Kind:
        """How much models need here."""
        return Kind(
            gpu=bool(self.cards),
            unified=any(c.unified for c in self.cards),
            images=self.images,
            cuda=any(c.backend == "cuda" for c in self.cards),
            context=max((c.context_mib for c in self.cards), default=0.0),
            amx=self.amx and not self.cards,
        )

    @Kept
    def free(self) -> float:
        """What Ollama finds free while no model is loaded: it looks with a program of its own."""
        return self.usable + sum(memory.MARGIN_MIB - c.context_mib for c in self.cards)

    @Kept
    def gpus(self) -> int:
        """Over how many GPUs a model is spread."""
        return self.spread or max(len(self.cards), 1)

    def load(self, model: Model, use: Use) -> Load:
        """What a model takes here; on several GPUs as if spread over all of them, which takes the most."""
        return loads(use, self.gpus).of(model)

    def needed(self, load: Load) -> float:
        """Free memory a model must find on the accelerator so that all of it runs there."""
        return self.kind.needed(load)

    def in_ram(self, load: Load) -> float:
        """RAM it takes then."""
        return self.kind.in_ram(load)

    def short_of(self, load: Load) -> tuple[str, float, float]:
        """What a model that does not fit lacks: where, how much it needs there, and how much can be used. MiB."""
        needed, in_ram = self.needed(load), self.in_ram(load)
        if not self.cards or in_ram - self.ram > needed - self.usable:
            return "in RAM", in_ram, self.ram
        return "on the GPU", needed, self.usable

    def partly(self, load: Load, room: float, blocks: int) -> Placement | None:
        """Where a model of so many layers lies when only a part of it fits in a room; None if too little does."""
        if not self.cards or self.kind.unified:
            return None
        needed, fixed = self.kind.needed(load), self.kind.fixed(load)
        if room <= fixed:
            return None
        share = int((room - fixed) / (needed - fixed) * blocks) / blocks
        on_gpu, in_ram = load.memory.partly(share)
        on_gpu += self.kind.copies(load)
        if not LEAST_SHARE <= share < 1 or in_ram > self.ram:
            return None
        return Placement(share, on_gpu, in_ram)

    def place(self, model: Model, use: Use) -> Placement | None:
        """Where a model lies if it is alone; None if it cannot run here."""
        load = self.load(model, use)
        if self.needed(load) <= self.usable and self.in_ram(load) <= self.ram:
            return self.kind.whole(load)
        return self.partly(load, self.usable, model.architecture.blocks)

    def speed(self, model: Model, use: Use, share: float = 1.0) -> Speed | None:
        """Expected or measured speed; None where nothing is known of the device."""
        whole = share == 1.0 or not self.cards
        measured = self.measured.get(model.tag) if whole else None
        if measured is not None:
            return speed.predict(model, use, self.engine(share), measured)
        return _speeds(use, self.engine(share)).of(model)

    @Kept
    def most_gbs(self) -> float:
        """GB/s beyond which no model is read here."""
        if self.measured or (self.cards and self._power[0] is None):
            return float("inf")
        return max(speed.most_gbs(self.engine(1.0)) if self.cards else 0.0, self.ram_gbs)

    def engine(self, share: float) -> Engine:
        """What a model runs on with a share of its layers on GPUs. With all there, the processor is no matter."""
        bandwidth, tflops = self._power
        in_ram = share < 1.0 or not self.cards
        return Engine(
            backend=self.cards[0].backend if self.cards else "cpu",
            bandwidth_gbs=bandwidth,
            tflops=tflops,
            ram_gbs=self.ram_gbs if in_ram else 1.0,
            cores=self.cores if in_ram else 1,
            gpu_share=share if self.cards else 0.0,
            gpus=self.gpus,
            compute=self.cards[0].compute if self.cards else None,
            avx512=self.avx512 and in_ram,
        )

    @Kept
    def ram_gbs(self) -> float:
        """GB/s at which the processor likely reads weights."""
        return speed.likely_ram_gbs(self.cores, self.avx512)

    @Kept
    def _power(self) -> tuple[float | None, float | None]:
        """Bandwidth and tflops of one GPU; of different ones the mean, as each reads a part as large as its memory."""
        known = [(c.memory_mib, c.bandwidth_gbs) for c in self.cards if c.bandwidth_gbs]
        if not known or len(known) < len(self.cards):
            return None, None
        mean = sum(size for size, _ in known) / sum(size / gbs for size, gbs in known)
        powers = [c.tflops for c in self.cards if c.tflops]
        return mean, min(powers) if len(powers) == len(self.cards) else None

    def alone(self, model: Model, use: Use) -> bool:
        """Whether Ollama will put the model on one GPU (or there is only one)."""
        if len(self.cards) <= 1:
            return True
        limit = max(c.seen_mib for c in self.cards) * memory.SINGLE_GPU_SHARE
        return self.load(model, use).predicted <= limit

    def needed_by(self, model: Model, use: Use) -> float:
        """Free memory the model must find so that all of it runs here, on one GPU if Ollama puts it there."""
        return self.needed(loads(use, 1 if self.alone(model, use) else len(self.cards)).of(model))


@lru_cache(maxsize=4096)
def _speeds(use: Use, engine: Engine) -> PerModel[Speed | None]:
    """Expected speeds of models, kept for the last 4096 devices and uses."""
    return PerModel(lambda model: speed.predict(model, use, engine))


def on_gpus(
    facts: HostFacts, cards: tuple[Card, ...], services_mib: int, *, images: bool = True, speeds: Speeds = NONE
) -> Budget:
    """Budget of a host's usable GPUs.

    What others than Ollama hold of a card (a display, another program) is not counted. What is free now does not
    matter: models that are loaded must not change the next plan.
    """
    ram = _ram(facts, services_mib)
    rooms = ((ram if c.unified else c.room_mib) - memory.MARGIN_MIB for c in cards)
    usable = sum(max(room, 0.0) for room in rooms)
    total = sum(c.memory_mib for c in cards)
    device = device_name(facts, cards)
    measured = _measured(speeds, device)
    return Budget(cards, total, usable, ram, facts.cpu.cores, images, device, measured, _avx512(facts))


def on_cpu(facts: HostFacts, services_mib: int, speeds: Speeds = NONE) -> Budget:
    """Budget of a host's processor."""
    ram, device = _ram(facts, services_mib), device_name(facts, ())
    measured = _measured(speeds, device)
    amx = "amx_int8" in facts.cpu.flags
    return Budget((), facts.memory_total_mib, ram, ram, facts.cpu.cores, False, device, measured, _avx512(facts), amx)


def _measured(speeds: Speeds, device: str) -> Mapping[str, float]:
    return {tag: found for (name, tag), found in speeds.by_device.items() if name == device}


def _avx512(facts: HostFacts) -> bool:
    return "avx512f" in facts.cpu.flags


def _ram(facts: HostFacts, services_mib: int) -> float:
    total = facts.memory_total_mib
    return max(total - max(SYSTEM_MIB, total * SYSTEM_SHARE) - services_mib, 0.0)
