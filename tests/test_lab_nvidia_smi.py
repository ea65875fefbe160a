"""The stand-in for nvidia-smi: the real program's output, texts and exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inhouse.lab import nvidia_smi
from inhouse.lab.profiles import load

Call = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(profile: str, *arguments: str, **changes: object) -> tuple[int, list[str]]:
        nvidia = load(profile).nvidia
        assert nvidia is not None
        answers = tmp_path / "nvidia.json"
        answers.write_text(json.dumps(nvidia.model_dump() | changes))
        monkeypatch.setattr(nvidia_smi, "ANSWERS", answers)
        monkeypatch.setattr(sys, "argv", ["nvidia-smi", *arguments])
        try:
            nvidia_smi.main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().out.splitlines()
        return 0, capsys.readouterr().out.splitlines()

    return run


def test_any_list_of_fields_is_answered_in_its_order(call: Call) -> None:
    assert call("rtx-4090", "--query-gpu=memory.total,name,index", "--format=csv,noheader") == (
        0,
        ["24564 MiB, NVIDIA GeForce RTX 4090, 0"],
    )


def test_the_header_carries_units_and_nounits_takes_them_from_the_values(call: Call) -> None:
    status, lines = call("dual-a100-80g", "--query-gpu=index,memory.total,power.draw", "--format=csv,nounits")
    assert status == 0
    assert lines == ["index, memory.total [MiB], power.draw [W]", "0, 81920, 44.10", "1, 81920, 44.10"]


def test_one_unknown_field_ends_the_whole_query_with_2(call: Call) -> None:
    status, lines = call("rtx-4090", "--query-gpu=name,device_minor", "--format=csv")
    assert (status, lines[0]) == (2, 'Field "device_minor" is not a valid field to query.')


def test_a_library_newer_than_the_module_fails_with_18_and_names_its_version(call: Call) -> None:
    assert call("broken-driver", "-L") == (
        18,
        ["Failed to initialize NVML: Driver/library version mismatch", "NVML library version: 580.178"],
    )


def test_no_module_fails_with_9_and_no_card_with_6(call: Call) -> None:
    status, lines = call("rtx-4090", module=None)
    assert status == 9
    assert lines[0].startswith("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
    assert call("rtx-4090", gpus=[]) == (6, ["No devices were found"])


def test_the_list_names_every_gpu_with_its_uuid(call: Call) -> None:
    status, lines = call("dual-a100-80g", "-L")
    assert status == 0
    assert [line.split(" (UUID: GPU-")[0] for line in lines] == [
        "GPU 0: NVIDIA A100 80GB PCIe",
        "GPU 1: NVIDIA A100 80GB PCIe",
    ]


def test_one_gpu_can_be_chosen_by_its_index(call: Call) -> None:
    assert call("dual-a100-80g", "-i", "1", "--query-gpu=pci.bus_id", "--format=csv,noheader") == (
        0,
        ["00000000:C1:00.0"],
    )


def test_the_plain_table_has_lines_of_one_width(call: Call) -> None:
    status, lines = call("dual-a100-80g")
    assert status == 0
    assert {len(line) for line in lines} == {91}
    assert "Driver Version: 595.91.07" in lines[1]


def test_an_unknown_option_is_refused(call: Call) -> None:
    assert call("rtx-4090", "--make-coffee")[0] == 2
