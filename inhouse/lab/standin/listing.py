"""The list of models. What was once read from the weights stays in it, even when they are gone."""

import threading
from pathlib import Path
from typing import Any

from . import golang, log, models
from .models import Model
from .store import Store

Facts = tuple[dict[str, Any], list[str]]
"""What the weights add to the details, and what the model can do."""


class Listing:
    """Entries of /api/tags."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Path, Facts] = {}

    def hydrate(self) -> None:
        """Read all heads in the background: the first list is then quick."""
        threading.Thread(target=self.entries, daemon=True).start()

    def models(self) -> list[Model]:
        """All models whose manifest can be read, the youngest first, by whole seconds."""
        found = []
        for name in self._store.all_names():
            try:
                found.append(models.load(self._store, name))
            except (OSError, golang.GoError, KeyError) as error:
                log.line("bad manifest", level="WARN", name=name, error=error)
        return sorted(found, key=lambda model: -int(model.modified))

    def entries(self) -> list[dict[str, Any]]:
        """A line for each model."""
        return [self._entry(model) for model in self.models()]

    def _entry(self, model: Model) -> dict[str, Any]:
        lengths, skills = self._facts(model)
        return {
            "name": model.name.short,
            "model": model.name.short,
            "modified_at": golang.timestamp(model.modified),
            "size": model.size,
            "digest": model.digest,
            "details": model.details() | lengths,
            "capabilities": skills,
        }

    def _facts(self, model: Model) -> Facts:
        """An encoder is listed without lengths and as if it wrote text: so does the real server."""
        if model.file is None or (model.file not in self._known and not model.file.exists()):
            return {}, ["completion"]
        if model.file not in self._known:
            head = model.head()
            if head is None or models.is_encoder(head):
                return {}, ["completion"]
            lengths = {
                "context_length": head.trained_context,
                "embedding_length": head.of_architecture("embedding_length"),
            }
            self._known[model.file] = lengths, model.capabilities
        return self._known[model.file]
