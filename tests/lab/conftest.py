"""One lab for all tests that need hosts: made once per session, removed at its end.

`INHOUSE_KEEP_LAB=1` leaves it up, and the next session takes it as it is: seconds instead of minutes while writing a
test. `OLLAMA_RELEASE=FILE` serves a real release archive of Ollama in place of the stand-in.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from inhouse.lab import lab as labs
from inhouse.lab.faults import set_fault
from inhouse.lab.paths import cache_dir

HOSTS = {
    "cpu-small": "cpu-small",
    "rtx-4090": "rtx-4090@trixie",
    "dual-a100-80g": "dual-a100-80g",
    "old-driver": "old-driver",
    "broken-driver": "broken-driver@trixie",
    "software-gpu": "software-gpu",
    "bookworm": "cpu-small",
    "trixie": "rtx-4090@trixie",
}
"""Host → profile, on both distributions; the last two are for tests that begin with a bare host. Other profiles have
hosts in test_machines.py."""

SETTINGS: dict[str, dict[str, object]] = {
    # The planner's own choice would ask for more free disk than a machine for tests may have.
    "dual-a100-80g": {"models": ["qwen3:8b", "nomic-embed-text"]},
    # A processor that plays a GPU is slow, the slower the more hosts are tested at once.
    "software-gpu": {"context_length": 4096, "min_tokens_per_second": 0.1},
}
"""Host → settings in its host_vars."""


@dataclass(frozen=True)
class LabHandle:
    """A lab that is up, for tests."""

    name: str
    folder: Path
    """Its inventory."""
    release: Path | None
    """The real release archive it serves; None: the stand-in."""

    def run(self, host: str, command: str) -> str:
        """Runs a shell command as root on the host, past SSH, and gives its output; LabError if it fails."""
        return labs.run(self.name, host, command)

    def fault(self, host: str, fault: str) -> None:
        """Tells the host's stand-in, or the `registry`, to misbehave; `none` ends it."""
        set_fault(self.name, host, fault)

    def address(self, host: str) -> str:
        """The host's loopback address."""
        return next(h.address for one in labs.labs() if one.name == self.name for h in one.hosts if h.name == host)


@pytest.fixture(scope="session")
def lab() -> Iterator[LabHandle]:
    """The session's lab: hosts of every profile, nothing deployed yet."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail("lab tests share one lab, so they run in one process: leave -n away, or give -n 0")
    # Two checkouts on one machine each have a lab of their own.
    name = "test-" + hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:6]
    release = Path(os.environ["OLLAMA_RELEASE"]) if "OLLAMA_RELEASE" in os.environ else None
    folder = labs.up(name, HOSTS, cache_dir() / name / "inventory", release)
    for host, settings in SETTINGS.items():
        file = folder / "host_vars" / host / "tests.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(settings))
    yield LabHandle(name, folder, release)
    if not os.environ.get("INHOUSE_KEEP_LAB"):
        labs.down(name)
        folder.parent.rmdir()
