"""What the probe printed, on many kinds of hosts, against what it means. A pair of files in tests/facts is a test."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from inhouse.errors import FactsError
from inhouse.facts.parse import parse
from inhouse.facts.show import as_record

RECORDINGS = Path(__file__).parent / "facts"
NAMES = sorted({file.stem for file in RECORDINGS.glob("*.*") if file.suffix in {".txt", ".yml"}})

CONTROLLER_TIME = 1795620082.0
"""The controller's clock in every recording, in seconds since 1970."""


@pytest.mark.parametrize("name", NAMES)
def test_recording(name: str) -> None:
    output = (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8")
    expected = yaml.safe_load((RECORDINGS / f"{name}.yml").read_text(encoding="utf-8"))
    if "error" in expected:
        with pytest.raises(FactsError) as caught:
            parse("gpu1", output, CONTROLLER_TIME)
        assert expected["error"] in str(caught.value)
        assert str(caught.value).startswith("gpu1: ")
    else:
        found = as_record(parse("gpu1", output, CONTROLLER_TIME))
        assert part_of(found, expected) == expected


def part_of(found: Any, expected: Any) -> Any:
    """Return what was found for the keys that are expected; lists must be as long, their members likewise."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {key: part_of(found[key], value) for key, value in expected.items()}
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return [part_of(one, other) for one, other in zip(found, expected, strict=True)]
    return found


def test_there_are_recordings_of_every_kind() -> None:
    texts = [yaml.safe_load((RECORDINGS / f"{name}.yml").read_text(encoding="utf-8")) for name in NAMES]
    states = {text.get("nvidia", {}).get("state") for text in texts}
    assert {"no device", "no driver", "driver cannot talk", "working"} <= states
    assert sum("error" in text for text in texts) >= 8
    assert len(texts) >= 30


def test_an_output_cut_anywhere_is_an_error_and_never_half_the_facts() -> None:
    output = (RECORDINGS / "working-rtx-4090-debian12.txt").read_text(encoding="utf-8")
    for length in range(len(output) - len("@end\n")):
        with pytest.raises(FactsError, match="gpu1: the probe"):
            parse("gpu1", output[:length], CONTROLLER_TIME)


@pytest.mark.parametrize("nothing", ["[N/A]", "N/A", "[Not Supported]", "Not Supported", "[Unknown Error]", "ERR!", ""])
def test_every_way_of_nvidia_smi_to_say_nothing_is_none(nothing: str) -> None:
    output = (RECORDINGS / "working-rtx-4090-debian12.txt").read_text(encoding="utf-8")
    row = "24564, 24121, 580.126.09, 8.9"
    assert row in output
    facts = parse("gpu1", output.replace(row, f"{nothing}, {nothing}, 580.126.09, {nothing}"), CONTROLLER_TIME)
    gpu = facts.nvidia.gpus[0]
    assert (gpu.memory_total_mib, gpu.memory_free_mib, gpu.compute_capability) == (None, None, None)


def test_a_driver_of_no_package_and_no_installer_is_files() -> None:
    output = (RECORDINGS / "machine-of-the-roles-debian12.txt").read_text(encoding="utf-8")
    before, _, after = output.partition("@nvidia-packages\n")
    bare = f"{before}@nvidia-packages\n{after[after.index('@cuda-toolkits') :]}"
    assert parse("gpu1", bare, CONTROLLER_TIME).machine.driver_origin == "files"
    gone = "\n".join(line for line in bare.splitlines() if not line.startswith("/usr/lib/x86_64-linux-gnu/"))
    assert parse("gpu1", gone, CONTROLLER_TIME).machine.driver_origin == "none"
