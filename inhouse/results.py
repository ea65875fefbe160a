"""What came of it: outcome of deploys and of smoke tests, per host. Written as JSON beside the inventory."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class FileChange(BaseModel):
    """What a role's task changed in a file or a list of packages (in check mode: would change)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    difference: str
    """As `diff -u` shows it, or as the package manager says it."""


class DeployResult(BaseModel):
    """One host after the service layer ran (or, in a dry run, would have)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    status: Literal["changed", "unchanged", "failed", "skipped"]
    changes: tuple[str, ...]
    """Names of the operations that changed something, in order."""
    error: str = ""
    """What happened and why, if failed or skipped."""
    differences: tuple[FileChange, ...] = ()
    """Of a plan: what roles of the machine layer would change in files and packages."""
    told: tuple[str, ...] = ()
    """Of a plan: what those roles say of the host."""


class RoleResult(BaseModel):
    """One host after the roles of the machine layer ran (or, in check mode, would have)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    status: Literal["changed", "unchanged", "failed"]
    changes: tuple[str, ...]
    """Names of the tasks that changed something, in order."""
    differences: tuple[FileChange, ...] = ()
    error: str = ""
    """What happened and why, if failed."""
    told: tuple[str, ...] = ()
    """What roles said of the host: why nothing is installed, that a reboot is needed."""
    reboot_setting: str = ""
    """Where a reboot completes what a role did, and is not allowed: the setting that allows it."""


class RolesInterrupted(KeyboardInterrupt):
    """Ctrl-C while Ansible ran. It has ended, and what is known is kept.

    Args:
        results: what came of every plan; hosts that were not finished are failed.
    """

    def __init__(self, results: dict[str, RoleResult]) -> None:
        super().__init__()
        self.results = results


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
