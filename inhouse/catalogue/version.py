"""Versions as they appear in releases: numbers between dots."""

import re
from typing import Annotated

from pydantic import Field

Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")]


def version(text: str) -> tuple[int, ...]:
    """Leading numbers of a version, to compare: "550.163.01" → (550, 163, 1), "3.11.2+" → (3, 11, 2)."""
    head = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in head.group().split(".")) if head else ()
