"""The process that tests one host: a subject comes in by standard input, one JSON line per event goes out.

Run as `python -m inhouse.smoke.child` by `inhouse.smoke.run`; a process of its own, so that pytest's state, a hang or a
crash stays with one host.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from inhouse.results import SmokeTest
from inhouse.smoke.plugin import Measured, SmokePlugin
from inhouse.smoke.subject import Subject

TESTS: Final = Path(__file__).parent


def main() -> int:
    """Test the host that standard input describes; returns the exit status."""
    subject = Subject.model_validate_json(sys.stdin.read())
    say = _speaker()
    measured = Measured()
    code = run_tests(
        subject,
        measured,
        begin=lambda title: say({"begin": title}),
        done=lambda test: say({"test": test.model_dump()}),
    )
    speeds = {tag: round(generation.tokens_per_second, 2) for tag, generation in measured.generations.items()}
    sizes = {tag: loaded.size_mib for tag, loaded in measured.loaded.items()}
    say({"end": {"tokens_per_second": speeds, "memory_used_mib": sizes}})
    return 0 if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else 1


def run_tests(
    subject: Subject, measured: Measured, begin: Callable[[str], None], done: Callable[[SmokeTest], None]
) -> int:
    """Run every smoke test that concerns the subject; returns pytest's exit code."""
    # Plugins that happen to be installed, or options in the environment, must not change what a smoke test means.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    where = ["-c", str(TESTS / "pytest.ini"), "--rootdir", str(TESTS), str(TESTS)]
    return pytest.main(
        [*where, "--quiet", "--assert=plain", "--tb=short"], plugins=[SmokePlugin(subject, measured, begin, done)]
    )


def _speaker() -> Callable[[dict[str, object]], None]:
    """Keep standard output for our lines: whatever else prints there goes to standard error from now on."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(event: dict[str, object]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    return say


if __name__ == "__main__":
    sys.exit(main())
