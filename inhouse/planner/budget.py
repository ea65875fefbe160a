"""What models may take on one host, on its GPUs or on its CPU. MiB."""

from dataclasses import dataclass

from inhouse.catalogue.models import Model
from inhouse.facts.model import HostFacts
from inhouse.planner import memory, speed
from inhouse.planner.machine import Card
from inhouse.planner.memory import Memory, Use
from inhouse.planner.speed import Engine, Speed

SYSTEM_MIB = 1024
"""RAM left to the system and to Ollama itself."""
SYSTEM_SHARE = 0.05
"""On large hosts the system takes this part of the RAM, if that is more."""


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

    def memory(self, model: Model, use: Use) -> Memory:
        """Estimated memory of a model here."""
        return memory.estimate(model, use, gpus=1 if self.alone(model, use) else len(self.cards))

    def alone(self, model: Model, use: Use) -> bool:
        """Whether Ollama will put the model on one GPU (or there is only one)."""
        if len(self.cards) <= 1:
            return True
        limit = max(c.memory_mib for c in self.cards) * memory.SINGLE_GPU_SHARE
        return memory.predicted(model, use.context_length, use.parallel) <= limit

    def need(self, model: Model, use: Use) -> float:
        """Free memory the model must find on the accelerator so that all of it runs there."""
        m = self.memory(model, use)
        if not self.cards:
            return m.cpu
        split = 0.0 if self.alone(model, use) else (len(self.cards) - 1) * m.weights / model.architecture.blocks
        return m.gpu + m.vision_reserve + split

    def need_ram(self, model: Model, use: Use) -> float:
        """RAM the model takes."""
        m = self.memory(model, use)
        return m.beside_gpu if self.cards else m.cpu

    def room(self, model: Model, use: Use) -> float:
        """The most this model may take: one GPU's memory where Ollama will use only one."""
        if len(self.cards) > 1 and self.alone(model, use):
            return max(c.memory_mib for c in self.cards) - memory.MARGIN_MIB
        return self.usable

    def speed(self, model: Model, use: Use) -> Speed | None:
        """Expected speed; None where nothing is known of the device."""
        bandwidths = [c.bandwidth_gbs for c in self.cards]
        known = [b for b in bandwidths if b]
        slowest = min(known) if known and len(known) == len(bandwidths) else None
        powers = [c.tflops for c in self.cards if c.tflops]
        engine = Engine(
            backend=self.cards[0].backend if self.cards else "cpu",
            bandwidth_gbs=slowest,
            tflops=min(powers) if powers and len(powers) == len(self.cards) else None,
            ram_gbs=speed.likely_ram_gbs(self.cores),
            cores=self.cores,
            gpu_share=1.0 if self.cards else 0.0,
            gpus=1 if self.alone(model, use) else len(self.cards),
        )
        return speed.predict(model, use, engine)

    def tokens_per_second(self, model: Model) -> float | None:
        """Expected speed; None where the GPU's bandwidth is not known."""
        if not self.cards:
            return speed.on_cpu(model, self.cores)
        known = [c.bandwidth_gbs for c in self.cards if c.bandwidth_gbs]
        return speed.on_gpu(model, min(known)) if len(known) == len(self.cards) else None


def on_gpus(facts: HostFacts, cards: tuple[Card, ...], services_mib: int) -> Budget:
    """Budget of a host's usable GPUs.

    All of a card's memory counts, not what is free now: models that are loaded must not change the next plan.
    """
    ram = _ram(facts, services_mib)
    usable = sum((ram if c.unified else c.memory_mib) - memory.MARGIN_MIB for c in cards)
    return Budget(cards, sum(c.memory_mib for c in cards), max(usable, 0.0), ram, facts.cpu.cores)


def on_cpu(facts: HostFacts, services_mib: int) -> Budget:
    """Budget of a host's processor."""
    ram = _ram(facts, services_mib)
    return Budget((), facts.memory_total_mib, ram, ram, facts.cpu.cores)


def _ram(facts: HostFacts, services_mib: int) -> float:
    total = facts.memory_total_mib
    return max(total - max(SYSTEM_MIB, total * SYSTEM_SHARE) - services_mib, 0.0)
