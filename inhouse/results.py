"""What came of it: outcome of deploys and of smoke tests, per host. Written as JSON beside the inventory."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class DeployResult(BaseModel):
    """One host after the service layer ran (or, in a dry run, would have)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    status: Literal["changed", "unchanged", "failed", "skipped"]
    changes: tuple[str, ...]
    """Names of the operations that changed something, in order."""
    error: str = ""
    """What happened and why, if failed or skipped."""


class SmokeTest(BaseModel):
    """One smoke test on one host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What must hold, as a sentence."""
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float
    message: str = ""
    """Found, expected and the likely cause, if failed."""


class SmokeResult(BaseModel):
    """All smoke tests of one host."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    note: str = ""
    tests: tuple[SmokeTest, ...]
    tokens_per_second: dict[str, float]
    """Measured, by model tag."""
    memory_used_mib: dict[str, int]
    """What Ollama reports for each loaded model (/api/ps `size`), MiB."""

    @property
    def passed(self) -> int:
        """Number of tests that passed."""
        return sum(t.outcome == "passed" for t in self.tests)

    @property
    def ok(self) -> bool:
        """No test failed and at least one ran."""
        return self.passed > 0 and all(t.outcome != "failed" for t in self.tests)
