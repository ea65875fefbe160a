"""Runs in every Python of a virtual lab host: keeps the code of modules that came in an archive, compiled.

Ansible sends an archive with each task, whose modules Python compiles each time anew. Without KVM that takes most of a
task's time. What is needed here is loaded anyway; pathlib would take a second more.
"""

import _imp
import marshal
import os
import sys
import zipimport
from types import CodeType

CACHE = "/var/cache/inhouse-lab"
compiled = zipimport._compile_source  # type: ignore[attr-defined]


def kept(path: str, source: bytes) -> CodeType:
    """What Python's own function returns for this source, from an earlier time where there was one."""
    name = f"{CACHE}/{sys.implementation.cache_tag}-{_imp.source_hash(1, source).hex()}"
    try:
        with open(name, "rb") as file:  # noqa: PTH123
            known: CodeType = marshal.load(file)
            return known
    except FileNotFoundError:
        code: CodeType = compiled(path, source)
    if os.getuid() == 0:
        os.makedirs(CACHE, exist_ok=True)  # noqa: PTH103
        aside = f"{name}.{os.getpid()}"
        with open(aside, "wb") as new:  # noqa: PTH123
            marshal.dump(code, new)
        os.rename(aside, name)  # noqa: PTH104
    return code


zipimport._compile_source = kept  # type: ignore[attr-defined]
