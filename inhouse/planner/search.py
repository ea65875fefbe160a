"""The search for the choice of most worth: exact, over every use and every set of models that fits one budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import memory, worth
from inhouse.planner.budget import LEAST_SHARE, Budget
from inhouse.planner.loads import loads
from inhouse.planner.memory import Use
from inhouse.planner.needs import Needs
from inhouse.planner.options import Option, embedder, embedders, items, partly, wholes

Key = tuple[float, float, int]
"""Worth, then tokens/s, then size with a minus: the larger key is the better choice."""


NO_FLOOR = float("-inf")


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


def best(needs: Needs, budget: Budget, purposes: Sequence[Purpose], pins: Pins, floor: float = NO_FLOOR) -> Found:
    """Find the choice of most worth; below `floor` any will do.

    The most modest use is looked at first: what it is worth without its own points bounds what any other can be, so
    that most others need not be looked at.
    """
    texts = tuple(p for p in purposes if p != "embedding")
    counts = bool(texts or pins.texts)
    uses = list(needs.uses(bool(budget.cards))) if counts else [needs.use(needs.contexts[0])]
    points = {use: worth.of_use(use, needs.wants) if counts else 0.0 for use in uses}
    modest = _modest(uses)
    search = _Search(needs, budget, texts, "embedding" in purposes, pins)
    found = _AtUse(search, modest).best()
    bound = found.key[0] - points[modest]
    for use in sorted(uses, key=lambda use: -points[use]):
        if use is not modest and bound + points[use] > max(found.key[0], floor):
            other = _AtUse(search, use).best()
            found = other if other.key > found.key else found
    return found


def bound(needs: Needs, budget: Budget, purposes: Sequence[Purpose], pins: Pins) -> float:
    """What no choice for a budget is worth more than; cheap."""
    texts = tuple(p for p in purposes if p != "embedding")
    uses = list(needs.uses(bool(budget.cards)))
    search = _Search(needs, budget, texts, "embedding" in purposes, pins)
    at = _AtUse(search, _modest(uses))
    most = max((worth.of_use(use, needs.wants) for use in uses), default=0.0)
    counts = bool(texts or pins.texts)
    return at.bound() + (most - worth.of_use(at.use, needs.wants) if counts else 0.0) + 100 * worth.EMBEDDING_PART


def _modest(uses: Sequence[Use]) -> Use:
    return min(uses, key=lambda use: (use.context_length, use.parallel, use.kv_cache_type == "f16"))


@dataclass(frozen=True)
class _Search:
    needs: Needs
    budget: Budget
    texts: tuple[Purpose, ...]
    embeds: bool
    pins: Pins


Way = tuple[tuple[Option, ...], float]
"""Embedding models, and what they are worth."""


class _AtUse:
    """The search at one use."""

    def __init__(self, search: _Search, use: Use) -> None:
        self.search, self.use = search, use
        self.needs, self.budget = search.needs, search.budget
        self.wholes = wholes(search.needs, search.budget, use)

    def best(self) -> Found:
        """The best of every way to have an embedding model, if one is wanted."""
        if not self.search.embeds and not self.search.pins.embeddings:
            return self._text(self.budget.usable, partial=True)
        whole = self._text(self.budget.usable)
        ways = list(self._embeddings())
        if not ways:
            alone = self._text(self.budget.usable, partial=True)
            return _marked(alone, (), -worth.UNSERVED if self.search.embeds else 0.0, stays=True)
        found = self._beside(whole, ways)
        return self._in_turns(found, ways)

    def _beside(self, whole: Found, ways: Sequence[Way]) -> Found:
        """The best with embedding models that stay loaded; no text is worth more than without them."""
        found: Found | None = None
        for embeddings, points in ways:
            if found and whole.key[0] + points <= found.key[0]:
                break
            room, disk = self._room_beside(embeddings), sum(o.model.file_mib for o in embeddings)
            same = len(whole.texts) < 2 and self._holds(whole, room, disk)
            text = whole if same else self._text(room, embeddings, disk=disk)
            one = _marked(text, embeddings, points, stays=True)
            found = one if found is None or one.key > found.key else found
        assert found is not None  # there is a way at least
        return found

    def _in_turns(self, found: Found, ways: Sequence[Way]) -> Found:
        """That, or the best where embedding models take turns with the others, of which a part may lie in RAM then."""
        most = self.bound()
        alone: Found | None = None
        for embeddings, points in ways:
            disk = sum(o.model.file_mib for o in embeddings)
            points -= worth.EMBEDDING_TURNS + disk / 1024
            if most + points <= found.key[0]:
                continue
            alone = alone or self._text(self.budget.usable, partial=True)
            text = alone
            if not self._holds(alone, self.budget.usable, disk):
                text = self._text(self.budget.usable, partial=True, disk=disk)
            one = _marked(text, embeddings, points, stays=False)
            found = one if text.texts and one.key > found.key else found
        return found

    def _holds(self, found: Found, room: float, disk: float) -> bool:
        """Whether a choice fits a room as well, beside `disk` of others."""
        sizes = (self.budget.needed(o.load) for o in found.texts if o.placement.share == 1 or not self.budget.cards)
        return (
            max(sizes, default=0.0) <= room and disk + sum(o.model.file_mib for o in found.texts) <= self.needs.disk_mib
        )

    def bound(self) -> float:
        """More than any choice of models for text is worth: as if each purpose had the best that fits in part."""
        counted = len(self.search.texts) + len(self.search.pins.texts)
        if not counted:
            return 0.0
        tops = [self._top(p) for p in self.search.texts]
        from_ram = 0.0 if self.budget.cards else worth.in_ram(0.0)
        points = worth.of_use(self.use, self.needs.wants) - from_ram
        return sum(top or 0.0 for top in tops) / counted + points - worth.UNSERVED * tops.count(None)

    def _top(self, purpose: Purpose) -> float | None:
        """Quality of the best model for a purpose that fits in part; None if there is none."""
        room, disk = self.budget.usable, self.needs.disk_mib
        kind, table = self.budget.kind, loads(self.use, self.budget.gpus)
        fitting = (
            float(item.quality)
            for item in items(purpose, self.needs.allowed)
            if item.file_mib <= disk
            and item.floor_mib * LEAST_SHARE <= room
            and kind.least(table.of(item.model)) <= room
        )
        return next(fitting, None)

    def _embeddings(self) -> Iterator[Way]:
        """Embedding models that fit, the best first: those pinned together, or one of the catalogue's."""
        pinned = self.search.pins.embeddings
        if pinned:
            kept = tuple(o for m in pinned if (o := self._whole(m)))
            yield kept, -worth.WITHOUT_PIN * (len(pinned) - len(kept))
            return
        budget, smallest = self.budget, (float("inf"),) * 3
        for one in embedders(self.needs.allowed, self.use, budget.gpus, budget.kind):
            load, file_mib = one.load, one.model.file_mib
            needed = budget.kind.needed(load)
            if needed > budget.usable or budget.kind.in_ram(load) > budget.ram or file_mib > self.needs.disk_mib:
                continue
            if needed < smallest[0] or load.predicted < smallest[1] or file_mib < smallest[2]:
                smallest = min(needed, smallest[0]), min(load.predicted, smallest[1]), min(file_mib, smallest[2])
                yield (one,), one.points  # one that is worse and larger wins nothing

    def _whole(self, model: Model) -> Option | None:
        """The embedding model with all of it on the accelerator, if it fits there when it is alone."""
        load = self.budget.load(model, self.use)
        if self.budget.needed(load) > self.budget.usable or self.budget.in_ram(load) > self.budget.ram:
            return None
        return embedder(model, self.budget, self.use)

    def _room_beside(self, embeddings: Sequence[Option]) -> float:
        """What is left for one model for text, so that Ollama keeps the embedding models loaded beside it.

        Ollama unloads others if it takes a model for more than 80 % of what is free beside them.
        """
        budget = self.budget
        room, free = budget.usable, budget.free
        for one in embeddings:
            room = min(room - budget.needed(one.load), free - one.load.predicted / memory.SINGLE_GPU_SHARE)
            free -= budget.needed(one.load)
        return room

    def _text(
        self, room: float, embeddings: tuple[Option, ...] = (), *, partial: bool = False, disk: float = 0.0
    ) -> Found:
        """The best models for text in a room, beside embedding models that take `disk`."""
        return _Texts(self, room, embeddings, self.needs.disk_mib - disk, partial).best()


def _marked(found: Found, embeddings: tuple[Option, ...], points: float, *, stays: bool) -> Found:
    """The same with embedding models, which are worth `points`."""
    worth_, speed, size = found.key
    key = (round(worth_ + points, 6), speed, size - sum(o.model.file_mib for o in embeddings))
    return replace(found, key=key, embeddings=embeddings, embedding_stays=stays, together=stays and found.together)


class _Texts:
    """Chooses a model for each purpose, so that the whole is worth most: depth first, cut where nothing can be won."""

    def __init__(self, at: _AtUse, room: float, embeddings: tuple[Option, ...], disk: float, partial: bool) -> None:
        search, self.use, self.wholes = at.search, at.use, at.wholes
        self.needs, self.budget, self.purposes = search.needs, search.budget, search.texts
        self.kind = search.budget.kind
        self.room, self.embeddings, self.partial = room, embeddings, partial
        self.wants, self.table = search.needs.wants, loads(at.use, search.budget.gpus)
        self.most_points, self.most_gbs = worth.of_use(at.use, self.wants), search.budget.most_gbs
        self.most_liked = worth.most_liked(self.wants)
        pins = [self._option(m) for m in search.pins.texts]
        self.pinned = tuple(o for o in pins if o)
        self.disk = disk - sum(o.model.file_mib for o in self.pinned)
        self.counted = max(len(self.purposes) + len(pins), 1)
        self.kept = sum(o.points if o else -worth.WITHOUT_PIN * self.counted for o in pins)
        self.unserved = -worth.UNSERVED * self.counted
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
        top = -worth.UNSERVED
        found: list[tuple[float, Option]] = []
        part = LEAST_SHARE if self.partial else 1.0
        for quality, file_mib, floor, gigabytes, model in items(purpose, self.needs.allowed):
            most = quality + self.most_points
            if most < top - window:
                break
            if file_mib > self.disk or floor * part > self.room:
                continue
            if self.most_gbs < self.most_liked * gigabytes:
                rate = self.most_gbs / gigabytes
                if rate < self.wants.least_speed or worth.slow(most, rate, model, self.wants) < top - window:
                    continue
            if option := self._option(model):
                found.append((quality + option.points, option))
                top = max(top, quality + option.points)
        kept = [pair for pair in found if pair[0] >= top - window]
        kept.sort(key=lambda pair: (-pair[0], -pair[1].likely, pair[1].model.file_mib, pair[1].model.tag))
        return [option for _, option in kept]

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
