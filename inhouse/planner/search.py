"""The search for the choice of most worth: exact, over every use and every set of models that fits one budget."""

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from inhouse.catalogue.models import Model, Purpose
from inhouse.planner import memory, worth
from inhouse.planner.budget import LEAST_SHARE, Budget
from inhouse.planner.kept import Kept, Row
from inhouse.planner.loads import loads
from inhouse.planner.memory import Use
from inhouse.planner.needs import Needs
from inhouse.planner.options import NOTHING, Option, embedder, embedders, hope, most_of_embedding, outlines, wholes
from inhouse.planner.texts import ROUNDED, Found, Pins, Search, Texts

NO_FLOOR = float("-inf")


def best(needs: Needs, budget: Budget, purposes: Sequence[Purpose], pins: Pins, floor: float = NO_FLOOR) -> Found:
    """Find the choice of most worth; below `floor` any will do.

    What the most modest use could be worth, without its own points, bounds what any other can be: most others need not
    be looked at. Of equals the most modest is taken.
    """
    texts = tuple(p for p in purposes if p != "embedding")
    counts = bool(texts or pins.texts)
    uses = list(needs.uses(bool(budget.cards))) if counts else [needs.use(needs.contexts[0])]
    points = {use: worth.of_use(use, needs.wants) if counts else 0.0 for use in uses}
    modest = _modest(uses)
    search = Search(needs, budget, texts, "embedding" in purposes, pins)
    at_least = _AtUse(search, modest)
    bound = (at_least.hope if pins.texts else at_least.rough_hope) - points[modest]
    found: Found | None = None
    for use in sorted(uses, key=lambda use: -points[use]):
        enough = max(found.key[0], floor) if found else floor
        if use is modest or bound + points[use] <= enough:
            continue
        at = _AtUse(search, use, enough)
        if (found is None or at.close_hope > enough) and at.hope > enough:
            other = at.best()
            found = other if found is None or other.key > found.key else found
    if found and (bound + points[modest] < found.key[0] or at_least.hope < found.key[0]):
        return found
    other = at_least.best()
    return found if found and found.key > other.key else other


def bound(needs: Needs, budget: Budget, purposes: Sequence[Purpose], pins: Pins, floor: float) -> float:
    """What no choice for a budget is worth more than; looked at no closer than needed to find it below `floor`."""
    texts = tuple(p for p in purposes if p != "embedding")
    uses = list(needs.uses(bool(budget.cards)))
    search = Search(needs, budget, texts, "embedding" in purposes, pins)
    at = _AtUse(search, _modest(uses))
    more = 0.0
    if texts or pins.texts:
        more = max(worth.of_use(use, needs.wants) for use in uses) - worth.of_use(at.use, needs.wants)
    for most in (at.rough_hope + more, at.close_hope + more):
        if most <= floor:
            return most
    return most if pins.texts else min(most, at.hope + more)


def _modest(uses: Sequence[Use]) -> Use:
    return min(uses, key=lambda use: (use.context_length, use.parallel, use.kv_cache_type == "f16"))


Way = tuple[tuple[Option, ...], float]
"""Embedding models, and what they are worth."""


class _Fit(Enum):
    """Which models a bound counts; those of MAYBE are too many, and need no estimate."""

    WHOLE = auto()
    """With every layer on the accelerator."""
    PARTLY = auto()
    MAYBE = auto()
    """Those whose file is not too large for that."""
    MAYBE_PARTLY = auto()


class _AtUse:
    """The search at one use. Below `floor` any choice will do."""

    def __init__(self, search: Search, use: Use, floor: float = NO_FLOOR) -> None:
        self.search, self.use, self.floor = search, use, floor
        self.needs, self.budget = search.needs, search.budget
        self.wholes = wholes(search.needs, search.budget, use)

        self.splits = self.budget.kind.gpu and not self.budget.kind.unified
        self.ways = Row(self._embeddings())

    @property
    def rough_hope(self) -> float:
        """More than its best is worth, without an estimate."""
        return self._hope(self.rough, self.bound(_Fit.MAYBE) if self.splits else NO_FLOOR)

    @property
    def close_hope(self) -> float:
        """The same by estimates, as few as that takes."""
        whole = self.bound(_Fit.WHOLE)
        return self._hope(self.rough if self.splits else whole, whole)

    def _hope(self, partly: float, whole: float) -> float:
        """More than can be made of these worths of texts: one that lies partly in RAM takes turns with embeddings."""
        if self.search.pins.embeddings:
            return partly + ROUNDED
        most = most_of_embedding(self.needs.allowed, self.use, self.budget.kind) if self.search.embeds else None
        if most is None:
            return partly + ROUNDED
        return (max(whole, partly - worth.EMBEDDING_TURNS) if self.splits else partly) + most + ROUNDED

    @Kept
    def hope(self) -> float:
        """More than its best is worth: as if the best embedding model took nothing from the best text."""
        best = next((points for _, points in self.ways), None)
        if best is None:
            return self.alone.key[0]
        in_turns = self.rough if self.splits else NO_FLOOR
        return max(self.whole.key[0], in_turns - worth.EMBEDDING_TURNS) + best

    @Kept
    def whole(self) -> Found:
        """The best text with every layer on the accelerator, without embedding models."""
        best = next((points for _, points in self.ways), 0.0)
        return self._text(self.budget.usable, floor=self.floor - best)

    @Kept
    def alone(self) -> Found:
        """The best text without embedding models; a part of it may lie in RAM."""
        return self._text(self.budget.usable, partial=True)

    def best(self) -> Found:
        """The best of every way to have an embedding model, if one is wanted."""
        if next(iter(self.ways), None) is None:
            return _marked(self.alone, (), -worth.UNSERVED if self.search.embeds else 0.0, stays=True)
        return self._in_turns(self._beside())

    def _beside(self) -> Found:
        """The best with embedding models that stay loaded; no text is worth more than without them."""
        whole, found = self.whole, None
        sure = next((whole.key[0] + points for embeddings, points in self.ways if self._same(embeddings)), NO_FLOOR)
        for embeddings, points in self.ways:
            if found and whole.key[0] + points <= max(found.key[0], self.floor):
                break
            text = whole
            if not self._same(embeddings):
                room, disk = self._room_beside(embeddings), sum(o.model.file_mib for o in embeddings)
                enough = max(found.key[0] if found else NO_FLOOR, sure, self.floor)
                text = self._text(room, embeddings, disk=disk, floor=enough - points)
            one = _marked(text, embeddings, points, stays=True)
            found = one if found is None or one.key > found.key else found
        assert found is not None  # there is a way at least
        return found

    def _same(self, embeddings: Sequence[Option]) -> bool:
        """Whether the best text is the same beside embedding models."""
        disk = sum(o.model.file_mib for o in embeddings)
        return len(self.whole.texts) < 2 and self._holds(self.whole, self._room_beside(embeddings), disk)

    def _in_turns(self, found: Found) -> Found:
        """That, or the best where embedding models take turns with the others, of which a part may lie in RAM then."""
        best = next(points for _, points in self.ways) - worth.EMBEDDING_TURNS
        if self.splits and self.rough + best <= max(found.key[0], self.floor):
            return found
        most = self.bound(_Fit.PARTLY) if self.splits else self.whole.key[0]
        for embeddings, points in self.ways:
            enough = max(found.key[0], self.floor)
            if most + points - worth.EMBEDDING_TURNS <= enough:
                break
            disk = sum(o.model.file_mib for o in embeddings)
            points -= worth.EMBEDDING_TURNS + disk / 1024
            if most + points <= enough:
                continue
            text = self.alone if self.splits else self.whole
            if not self._holds(text, self.budget.usable, disk):
                text = self._text(self.budget.usable, partial=self.splits, disk=disk)
            one = _marked(text, embeddings, points, stays=False)
            found = one if text.texts and one.key > found.key else found
        return found

    def _holds(self, found: Found, room: float, disk: float) -> bool:
        """Whether a choice fits a room as well, beside `disk` of others."""
        sizes = (self.budget.needed(o.load) for o in found.texts if o.placement.share == 1 or not self.budget.cards)
        return (
            max(sizes, default=0.0) <= room and disk + sum(o.model.file_mib for o in found.texts) <= self.needs.disk_mib
        )

    @Kept
    def rough(self) -> float:
        """More than any choice of models for text is worth, a part of which may lie in RAM."""
        return self.bound(_Fit.MAYBE_PARTLY)

    def bound(self, fit: _Fit) -> float:
        """More than any choice of models for text is worth: as if each purpose had the best that fits alone."""
        counted = len(self.search.texts) + len(self.search.pins.texts)
        if not counted:
            return 0.0
        tops = [self._top(p, fit) for p in self.search.texts]
        from_ram = 0.0 if self.budget.cards else worth.in_ram(0.0)
        points, lacking = worth.of_use(self.use, self.needs.wants) - from_ram, tops.count(None)
        served = (counted - lacking) / counted  # what has no model has no points of its use either
        return sum(top or 0.0 for top in tops) / counted + points * served - worth.UNSERVED * lacking

    def _top(self, purpose: Purpose, fit: _Fit) -> float | None:
        """The most a model for a purpose that fits can be worth at its speed; None if there is none."""
        room, disk = self.budget.usable, self.needs.disk_mib
        kind, table = self.budget.kind, loads(self.use, self.budget.gpus)
        partly = self.splits and fit in (_Fit.PARTLY, _Fit.MAYBE_PARTLY)
        estimated, part = fit in (_Fit.PARTLY, _Fit.WHOLE), LEAST_SHARE if partly else 1.0
        takes = kind.least if partly else kind.needed
        best: float | None = None
        for quality, outline in outlines(purpose, self.needs.allowed):
            if best is not None and quality <= best:
                break
            if outline.file_mib > disk or outline.floor_mib * part > room:
                continue
            most = hope(quality, outline, self.budget, self.needs.wants)
            if most > (NOTHING if best is None else best) and (not estimated or takes(table.of(outline.model)) <= room):
                best = most
        return best

    def _embeddings(self) -> Iterator[Way]:
        """Embedding models that fit, the best first: those pinned together, or one of the catalogue's."""
        pinned = self.search.pins.embeddings
        if not pinned and not self.search.embeds:
            return
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
        self,
        room: float,
        embeddings: tuple[Option, ...] = (),
        *,
        partial: bool = False,
        disk: float = 0.0,
        floor: float = NO_FLOOR,
    ) -> Found:
        """The best models for text in a room, beside embedding models that take `disk`; below `floor` any will do."""
        left = self.needs.disk_mib - disk
        return Texts(
            self.search,
            self.use,
            self.wholes,
            room=room,
            embeddings=embeddings,
            disk=left,
            partial=partial,
            floor=floor,
        ).best()


def _marked(found: Found, embeddings: tuple[Option, ...], points: float, *, stays: bool) -> Found:
    """The same with embedding models, which are worth `points`."""
    worth_, speed, size = found.key
    key = (round(worth_ + points, 6), speed, size - sum(o.model.file_mib for o in embeddings))
    together = stays and found.together
    return Found(key, found.use, found.texts, found.serving, embeddings, stays, together)
