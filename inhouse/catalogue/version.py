"""Versions as they appear in releases: numbers between dots."""

import re
from functools import lru_cache
from typing import Annotated

from inhouse.catalogue.checked import Checked

_LEADING = re.compile(r"\d+(\.\d+)*")
Version = Annotated[str, Checked(pattern=r"^[0-9]+(\.[0-9]+)+$")]


@lru_cache(maxsize=1024)
def version(text: str) -> tuple[int, ...]:
    """Leading numbers of a version, to compare: "550.163.01" → (550, 163, 1), "3.11.2+" → (3, 11, 2)."""
    head = _LEADING.match(text)
    return tuple(int(part) for part in head.group().split(".")) if head else ()
