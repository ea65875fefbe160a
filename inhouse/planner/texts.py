"""Models for text in a given room: one for each purpose, so that the whole is worth most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import memory, worth
from inhouse.planner.budget import LEAST_SHARE, Budget
from inhouse.planner.kept import PerModel
from inhouse.planner.loads import loads
from inhouse.planner.memory import Use
from inhouse.planner.needs import Needs
from inhouse.planner.options import Option, hope, outlines, partly

Key = tuple[float, float, int]
"""Worth, then tokens/s, then size with a minus: the larger key is the better choice."""


ROUNDED = 1e-6
"""Worths are rounded to that, so that they can be equal."""


@dataclass(frozen=True)
class Pins:
    """Models that are kept whatever their worth."""

    texts: tuple[Model, ...] = ()
    embeddings: tuple[Model, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """A choice for one budget."""

    key: Key
    use: Use
    texts: tuple[Option, ...]
    """Models that generate text; pinned ones first."""
    serving: dict[Purpose, Option]
    embeddings: tuple[Option, ...] = ()
    embedding_stays: bool = True
    """The embedding models stay loaded beside any one of the others."""
    together: bool = True
    """All of them stay loaded."""


@dataclass(frozen=True)
class Search:
    """What is looked for."""

    needs: Needs
    budget: Budget
    texts: tuple[Purpose, ...]
    embeds: bool
    pins: Pins


class Texts:
    """Chooses a model for each purpose, so that the whole is worth most: depth first, cut where nothing can be won."""

    def __init__(
        self,
        search: Search,
        use: Use,
        wholes: PerModel[Option],
        *,
        room: float,
        embeddings: tuple[Option, ...],
        disk: float,
        partial: bool,
        floor: float,
    ) -> None:
        """Take what is looked for.

        Args:
            search: on which host, for what.
            use: context, slots and cache.
            wholes: models with every layer on the accelerator.
            room: MiB that the largest of them may take there.
            embeddings: models that stay loaded beside them.
            disk: MiB that they may take together.
            partial: a part of one may lie in RAM.
            floor: what is worth less is of no use.
        """
        self.use, self.wholes = use, wholes
        self.needs, self.budget, self.purposes = search.needs, search.budget, search.texts
        self.kind = search.budget.kind
        self.room, self.embeddings, self.partial = room, embeddings, partial
        self.wants, self.table = search.needs.wants, loads(use, search.budget.gpus)
        self.most_points = worth.of_use(use, self.wants)
        pins = [self._option(m) for m in search.pins.texts]
        self.pinned = tuple(o for o in pins if o)
        self.disk = disk - sum(o.model.file_mib for o in self.pinned)
        self.counted = max(len(self.purposes) + len(pins), 1)
        self.kept = sum(o.points if o else -worth.WITHOUT_PIN * self.counted for o in pins)
        self.unserved = -worth.UNSERVED * self.counted
        self.floor = floor - ROUNDED if self.counted == 1 else float("-inf")
        self.found: Found | None = None

    def best(self) -> Found:
        """Search."""
        choices = [self._options(p, 0.0) for p in self.purposes]
        self.may_lack = sum(o[0].model.file_mib for o in choices if o) > self.disk
        if len(self.purposes) > 1 or (self.purposes and self.pinned):
            # With room on the disk, the best model for a purpose costs at most this more than one that others use too.
            window = (worth.FURTHER_MODEL + worth.TURNS) * self.counted
            wide = float("inf") if self.may_lack else window
            choices = _undominated([self._options(p, wide) for p in self.purposes], self.purposes, self.budget)
        self.choices = choices
        most = [c[0].worth(p) if c else self.unserved for c, p in zip(choices, self.purposes, strict=True)]
        self.rest = [sum(most[i:]) for i in range(len(most) + 1)]
        self._descend(0, self.kept, {})
        assert self.found is not None  # the way without any model is always open
        return self.found

    def _option(self, model: Model) -> Option | None:
        """The model as it would run in the room; None if it cannot, or not as fast as it must."""
        load = self.table.of(model)
        if self.kind.needed(load) <= self.room:
            if self.kind.in_ram(load) > self.budget.ram:
                return None
            found = self.wholes.of(model)
            return found if found.fast_enough else None
        return partly(model, self.needs, self.budget, self.use, self.room) if self.partial else None

    def _options(self, purpose: Purpose, window: float) -> list[Option]:
        """Options for a purpose that are within a window below the best, the best first."""
        top = max(-worth.UNSERVED, self.floor)
        found: list[tuple[float, Option]] = []
        for most, model in self._hopeful(purpose):
            if most < top - window:
                break
            if option := self._option(model):
                worth_ = option.worth(purpose)
                found.append((worth_, option))
                top = max(top, worth_)
        kept = [pair for pair in found if pair[0] >= top - window]
        kept.sort(key=lambda pair: (-pair[0], -pair[1].likely, pair[1].model.file_mib, pair[1].model.tag))
        return [option for _, option in kept]

    def _hopeful(self, purpose: Purpose) -> Iterator[tuple[float, Model]]:
        """Models that nothing simple rules out, with the most each could be worth, the most first."""
        part = LEAST_SHARE if self.partial else 1.0
        waiting: list[tuple[float, int, Model]] = []
        for place, (quality, outline) in enumerate(outlines(purpose, self.needs.allowed)):
            most = quality + self.most_points
            while waiting and -waiting[0][0] >= most:
                yield -waiting[0][0], heappop(waiting)[-1]
            if outline.file_mib <= self.disk and outline.floor_mib * part <= self.room:
                heappush(waiting, (-hope(most, outline, self.budget, self.wants), place, outline.model))
        while waiting:
            yield -waiting[0][0], heappop(waiting)[-1]

    def _most(self, total: float, depth: int, further: int) -> float:
        """The most a choice can be worth that has come so far."""
        return (total + self.rest[depth]) / self.counted - worth.FURTHER_MODEL * further

    def _descend(self, depth: int, total: float, serving: dict[Purpose, Option]) -> None:
        used = list(dict.fromkeys(serving.values()))
        further = max(len(used) - (0 if self.pinned else 1), 0)
        if depth == len(self.purposes):
            self._take(total, used, serving, further)
            return
        purpose = self.purposes[depth]
        left = self.disk - sum(o.model.file_mib for o in used)
        for option in self.choices[depth]:
            value = total + option.worth(purpose)
            if self.found and self._most(value, depth + 1, further) < self.found.key[0]:
                break
            if option in used or option.model.file_mib <= left:
                self._descend(depth + 1, value, {**serving, purpose: option})
        if not self.choices[depth] or self.may_lack:
            self._descend(depth + 1, total + self.unserved, serving)

    def _take(self, total: float, used: Sequence[Option], serving: dict[Purpose, Option], further: int) -> None:
        texts = tuple(dict.fromkeys((*self.pinned, *used)))
        together = fit_together((*texts, *self.embeddings), self.budget)
        turns = 0.0 if together or len(texts) < 2 else worth.TURNS
        speed = sum(o.likely for o in serving.values())
        size = -sum(o.model.file_mib for o in texts)
        key = (round(self._most(total, len(self.purposes), further) - turns, 6), round(speed, 3), size)
        if self.found is None or key > self.found.key:
            self.found = Found(key, self.use, texts, serving, together=together)


def fit_together(options: Sequence[Option], budget: Budget) -> bool:
    """Whether models stay loaded side by side: all fit, and Ollama, which loads the largest first, does not unload any.

    It does if it takes one for more than 80 % of what is free beside those that are loaded.
    """
    if len(options) < 2:
        return True
    if any(o.placement.share < 1 for o in options) and budget.cards:
        return False
    needs = sorted(((budget.needed(o.load), o.load.predicted) for o in options), reverse=True)
    loaded = needs[0][0]
    for need, predicted in needs[1:]:
        if predicted > memory.SINGLE_GPU_SHARE * (budget.free - loaded):
            return False
        loaded += need
    return loaded <= budget.usable and sum(budget.in_ram(o.load) for o in options) <= budget.ram


def _undominated(choices: list[list[Option]], purposes: Sequence[Purpose], budget: Budget) -> list[list[Option]]:
    """Leave out options that another one beats or equals in every purpose, on the disk and in memory."""

    def profile(o: Option) -> tuple[float, ...]:
        values = (o.worth(p) if p in o.model.purposes else -worth.UNSERVED for p in purposes)
        return (*values, o.likely, -o.model.file_mib, -budget.needed(o.load), -o.placement.ram, -o.load.predicted)

    profiles = {o: profile(o) for o in dict.fromkeys(o for options in choices for o in options)}
    kept: dict[Option, None] = {}
    for option, mine in sorted(profiles.items(), key=lambda pair: (*(-v for v in pair[1]), pair[0].model.tag)):
        if not any(all(a >= b for a, b in zip(profiles[other], mine, strict=True)) for other in kept):
            kept[option] = None
    return [[o for o in options if o in kept] for options in choices]
