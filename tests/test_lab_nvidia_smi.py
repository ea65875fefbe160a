"""The stand-in for nvidia-smi: the real program's output, texts and exit codes."""

import json
import sys
import xml.etree.ElementTree as ET
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


def test_slices_are_listed_below_their_gpu(call: Call) -> None:
    status, lines = call("h100-mig", "-L")
    assert status == 0
    assert lines[:2] == [
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)",
        "  MIG 3g.40gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000000000000)",
    ]
    assert len(lines) == 5


def test_the_xml_has_the_size_of_each_slice_and_of_none_its_uuid(call: Call) -> None:
    status, lines = call("h100-mig", "-q", "-x")
    root = ET.fromstring("\n".join(line for line in lines if not line.startswith("<!DOCTYPE")))
    slices = root.findall("gpu/mig_devices/mig_device")
    assert status == 0
    assert [one.findtext("fb_memory_usage/total") for one in slices] == [
        "40448 MiB",
        "20096 MiB",
        "9984 MiB",
        "9984 MiB",
    ]
    assert [one.findtext("index") for one in slices] == ["0", "1", "2", "3"]
    assert "MIG-" not in "\n".join(lines)
    assert "\t\t\tNone" in call("h100", "-q", "-x")[1]


def test_programs_that_compute_are_listed_and_there_may_be_none(call: Call) -> None:
    one = {"pid": 812, "uuid": "GPU-1", "memory_mib": 300, "name": "/usr/bin/python3"}
    query = "--query-compute-apps=pid,gpu_uuid,used_memory,process_name"
    assert call("h100", query, "--format=csv,noheader,nounits", processes=[one]) == (
        0,
        ["812, GPU-1, 300, /usr/bin/python3"],
    )
    assert call("h100", query, "--format=csv", processes=[one])[1][0] == (
        "pid, gpu_uuid, used_memory [MiB], process_name"
    )
    assert call("h100", query, "--format=csv,noheader") == (0, [""])
    assert call("h100", "--query-compute-apps=pid,secret", "--format=csv", processes=[one])[0] == 2


def test_unified_memory_has_no_size_in_any_answer(call: Call) -> None:
    query = call("gb10", "--query-gpu=memory.total,memory.used,power.limit", "--format=csv,noheader,nounits")
    assert query == (0, ["[N/A], [N/A], [N/A]"])
    assert any("Not Supported" in line for line in call("gb10")[1])


def test_one_gpu_can_be_chosen_by_its_index(call: Call) -> None:
    assert call("dual-a100-80g", "-i", "1", "--query-gpu=pci.bus_id", "--format=csv,noheader") == (
        0,
        ["00000000:C1:00.0"],
    )


@pytest.mark.parametrize("profile", ["dual-a100-80g", "h100-mig", "gb10", "laptop-4060"])
def test_the_plain_table_has_lines_of_one_width(call: Call, profile: str) -> None:
    status, lines = call(profile)
    assert status == 0
    assert {len(line) for line in lines} == {91}


def test_the_plain_table_names_the_driver(call: Call) -> None:
    lines = call("dual-a100-80g")[1]
    assert "Driver Version: 595.91.07" in lines[1]


def test_an_unknown_option_is_refused(call: Call) -> None:
    assert call("rtx-4090", "--make-coffee")[0] == 2


@pytest.mark.parametrize(
    ("module", "library", "status", "said"),
    [
        ("595.91.07", "595.91.07", 0, "595.91.07, NVIDIA GeForce RTX 4090"),
        ("580.178.04", "595.91.07", 18, "Failed to initialize NVML: Driver/library version mismatch"),
        (None, "595.91.07", 9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
    ],
)
def test_where_packages_bring_the_driver_what_is_loaded_and_installed_counts(
    module: str | None,
    library: str,
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gpus = [gpu.model_dump() for gpu in load("rtx-4090-bare").undriven]
    (tmp_path / "nvidia.json").write_text(json.dumps({"gpus": gpus}))
    (tmp_path / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{library}")
    if module:
        (tmp_path / "version").write_text(f"{module}\n")
    monkeypatch.setattr(nvidia_smi, "ANSWERS", tmp_path / "nvidia.json")
    monkeypatch.setattr(nvidia_smi, "LIBRARY", str(tmp_path / "libnvidia-ml.so.1"))
    monkeypatch.setattr(nvidia_smi, "MODULE", tmp_path / "version")
    monkeypatch.setattr(sys, "argv", ["nvidia-smi", "--query-gpu=driver_version,name", "--format=csv,noheader"])
    ended = 0
    try:
        nvidia_smi.main()
    except SystemExit as end:
        ended = int(end.code or 0)
    assert ended == status
    assert capsys.readouterr().out.startswith(said)
