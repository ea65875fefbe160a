"""Which of a host's GPUs Ollama may use, and whether it must be told to spread models over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inhouse.catalogue.models import Model
from inhouse.planner import memory
from inhouse.planner.budget import Budget
from inhouse.planner.loads import Load, loads
from inhouse.planner.machine import Card
from inhouse.planner.memory import Use

MIG = "MIG-"
"""How the UUID of a slice of a GPU begins."""


def groups(cards: Sequence[Card]) -> Iterator[tuple[tuple[Card, ...], ...]]:
    """Sets of GPUs that models could run on, in groups of those of which Ollama takes one; in each all cards first.

    Ollama never mixes backends, and a CUDA program gets one MIG slice at most. Fewer than all may be better: a small or
    slow card costs buffers, and one without flash attention takes it from all. They are left out smallest first, which
    Ollama can only be told of cards with a UUID. A set is a part of a later host's sets if that host has more memory.
    """
    for backend in ("cuda", "vulkan"):
        group = [c for c in cards if c.backend == backend and not c.uuid.startswith(MIG)]
        if group:
            fewer = _smaller(group) if backend == "cuda" and all(c.uuid for c in group) else ()
            yield (tuple(group), *fewer)
    if slices := tuple(c for c in cards if c.uuid.startswith(MIG)):  # one: `mig.offered` takes it of all
        yield (slices,)


def _smaller(group: Sequence[Card]) -> Iterator[tuple[Card, ...]]:
    by_room = sorted(group, key=lambda c: (-c.room_mib, -(c.bandwidth_gbs or 0)))
    seen = {frozenset(c.uuid for c in group)}
    of_one_name = (tuple(c for c in group if c.name == name) for name in dict.fromkeys(c.name for c in group))
    largest = (tuple(c for c in group if c in by_room[:count]) for count in range(len(group) - 1, 0, -1))
    for some in (*of_one_name, *largest):
        names = frozenset(c.uuid for c in some)
        if names not in seen:
            seen.add(names)
            yield some


def visible(chosen: Sequence[Card], cards: Sequence[Card]) -> str:
    """CUDA_VISIBLE_DEVICES: "" where Ollama may use every GPU it finds, "-1" where none by CUDA."""
    cuda = [c for c in cards if c.backend == "cuda"]
    if not chosen:
        return ""
    if chosen[0].backend != "cuda":
        return "-1" if cuda else ""
    everything = len(chosen) == len(cuda) and not any(c.uuid.startswith(MIG) for c in chosen)
    return "" if everything else ",".join(c.uuid for c in chosen)


@dataclass(frozen=True)
class Layout:
    """How Ollama lays models over several GPUs."""

    spread: bool
    """It must be told to spread each over all of them (OLLAMA_SCHED_SPREAD)."""
    alone: frozenset[str]
    """Tags of models that it puts on one GPU."""


def layout(groups: Sequence[Sequence[tuple[Model, float]]], use: Use, budget: Budget) -> Layout:
    """Work out what Ollama does by itself, and whether that keeps every model whole.

    Args:
        groups: models that are loaded together, each with the room it wants for images.
        use: of the host.
        budget: of the GPUs.
    """
    if len(budget.cards) < 2:
        return Layout(False, frozenset(m.tag for group in groups for m, _ in group))
    alone: set[str] = set()
    for group in groups:
        whole = _lay(group, use, budget)
        if whole is None:
            return Layout(True, frozenset())
        alone |= whole
    return Layout(False, frozenset(alone))


def _lay(group: Sequence[tuple[Model, float]], use: Use, budget: Budget) -> set[str] | None:
    """Tags of the models that lie on one GPU; None if one of the group would be cut.

    Ollama takes the GPU with the most free memory if its prediction is at most 80 % of that, all of them otherwise. It
    looks with a program of its own, whose context is not free then.
    """
    kind = budget.kind

    def takes(load: Load) -> float:
        return kind.held(load) + kind.program(load)

    free = [float(c.room_mib) for c in budget.cards]
    alone = set()
    for model, image in sorted(group, key=lambda pair: -loads(use, 1).of(pair[0]).gpu):
        one, all_ = loads(use, 1).of(model), loads(use, len(free)).of(model)
        most = max(range(len(free)), key=lambda i: free[i])
        if one.predicted <= memory.SINGLE_GPU_SHARE * (free[most] - kind.context):
            if takes(one) + image > free[most] - memory.MARGIN_MIB:
                return None
            free[most] -= takes(one)
            alone.add(model.tag)
            continue
        rooms = [max(f - memory.MARGIN_MIB, 0.0) for f in free]
        if takes(all_) + image > sum(rooms):
            return None
        free = [f - takes(all_) * room / sum(rooms) for f, room in zip(free, rooms, strict=True)]
    return alone
