"""What was published about a model, and where the numbers of a row come from."""

from dataclasses import dataclass
from typing import Annotated, Literal

from inhouse.catalogue import quality
from inhouse.catalogue.checked import Checked
from inhouse.catalogue.load import Row

Purpose = Literal["chat", "code", "vision", "embedding", "reasoning", "tools"]
DATE = r"^20\d\d-\d\d(-\d\d)?$"


@dataclass(frozen=True, kw_only=True)
class Evidence(Row):
    """A published result of a model."""

    purpose: Purpose
    benchmark: str
    """Its name, as in `inhouse.catalogue.quality`."""
    score: Annotated[float, Checked(gt=0, le=100)]
    """As published: percent, or points of ten for MM MTBench."""
    source: str
    """Key of `Models.sources`."""
    date: Annotated[str, Checked(pattern=DATE)]

    def check(self) -> None:
        """Fields and rows fit together."""
        known = quality.SCALES[self.purpose]
        if self.benchmark not in known:
            raise ValueError(f"{self.benchmark} is no benchmark for {self.purpose}; known: {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Source(Row):
    """What a source key stands for."""

    what: Annotated[str, Checked(min_length=8)]
    where: Annotated[str, Checked(min_length=8)]
    """Address, or repository, path and commit."""
    date: Annotated[str, Checked(pattern=DATE)]
    """When it was published or read."""


@dataclass(frozen=True, kw_only=True)
class Sources(Row):
    """Where the numbers of a row come from: keys of `Models.sources`."""

    listing: str
    """That the library has the tag; context, digest and capabilities."""
    size: str
    architecture: str
    """And the number of parameters."""
    licence: str
