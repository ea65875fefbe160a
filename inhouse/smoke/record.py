"""Results of smoke tests on disk: as JSON beside the inventory, and as JUnit XML for a CI system."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from inhouse.inventory import Inventory
from inhouse.results import SmokeResult
from inhouse.state import write_private


def keep_results(inventory: Inventory, results: Mapping[str, SmokeResult], at: datetime | None = None) -> Path:
    """Write `results` to results.json in the inventory's state folder; results of other hosts stay.

    Args:
        inventory: whose state folder is meant.
        results: by host.
        at: when they were made (aware); now, when not given.

    Returns:
        The file: host → {"date": ISO 8601, "result": a SmokeResult}.
    """
    file = inventory.state_dir / "results.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    date = (at or datetime.now(UTC)).isoformat(timespec="seconds")
    known |= {name: {"date": date, "result": result.model_dump(mode="json")} for name, result in results.items()}
    write_private(file, json.dumps(dict(sorted(known.items())), indent=2, ensure_ascii=False) + "\n")
    return file


def write_junit(results: Mapping[str, SmokeResult], file: Path) -> None:
    """Write `results` as JUnit XML: one suite per host, one case per test."""
    xml = JUnitXml("inhouse verify")
    for name, result in sorted(results.items()):
        suite = TestSuite(name)
        suite.add_testcases([_case(name, test.name, test.seconds, test.outcome, test.message) for test in result.tests])
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    file.parent.mkdir(parents=True, exist_ok=True)
    xml.write(str(file), pretty=True)


def _case(host: str, name: str, seconds: float, outcome: str, message: str) -> TestCase:
    case = TestCase(name, classname=host, time=seconds)
    if outcome == "failed":
        case.result = [Failure(message)]
    elif outcome == "skipped":
        case.result = [Skipped(message)]
    return case
