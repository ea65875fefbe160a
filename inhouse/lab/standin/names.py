"""Names of models: `host/namespace/model:tag`, of which only the model must be given."""

import re
from dataclasses import dataclass
from pathlib import PurePath

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_PATTERNS = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(_PART),
    "tag": re.compile(_PART),
}


@dataclass(frozen=True)
class Name:
    """A full name; made from text by `parse`."""

    host: str
    namespace: str
    model: str
    tag: str
    scheme: str = "https"

    @property
    def valid(self) -> bool:
        """Every part is of the letters it may have."""
        return all(pattern.fullmatch(getattr(self, part)) for part, pattern in _PATTERNS.items())

    @property
    def path(self) -> PurePath:
        """Where its manifest lies below the store's `manifests`."""
        return PurePath(self.host, self.namespace, self.model, self.tag)

    @property
    def repository(self) -> str:
        """`namespace/model`, as in a registry's URLs."""
        return f"{self.namespace}/{self.model}"

    @property
    def short(self) -> str:
        """Without the parts that are the default."""
        start = ""
        if self.host.lower() != DEFAULT_HOST:
            start = f"{self.host}/{self.namespace}/"
        elif self.namespace.lower() != DEFAULT_NAMESPACE:
            start = f"{self.namespace}/"
        return f"{start}{self.model}:{self.tag}"

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"


def parse(text: str) -> Name:
    """Fill in what is left out. The result may be invalid: ask it."""
    tag = DEFAULT_TAG
    if text.rfind(":") > text.rfind("/"):
        text, _, tag = text.rpartition(":")
    text, slash, model = text.rpartition("/")
    if not slash:
        return Name(DEFAULT_HOST, DEFAULT_NAMESPACE, model, tag)
    host, slash, namespace = text.rpartition("/")
    if not slash:
        return Name(DEFAULT_HOST, namespace, model, tag)
    scheme, mark, rest = host.partition("://")
    return Name(rest, namespace, model, tag, scheme) if mark else Name(host, namespace, model, tag)
