"""Profiles of lab hosts: data files that must hold together."""

import pytest

from inhouse.catalogue import gpus
from inhouse.errors import LabError
from inhouse.lab import profiles


@pytest.mark.parametrize("name", profiles.names())
def test_every_shipped_profile_loads_and_describes_one_machine(name: str) -> None:
    profile = profiles.load(name)
    assert profile.memory is None or profile.memory.available_mib < profile.memory.total_mib
    nvidia_displays = [d for d in profile.pci if d.id.startswith("10de:") and d.class_id.startswith("03")]
    answered = profile.nvidia.gpus if profile.nvidia and profile.nvidia.works else nvidia_displays
    assert len(answered) == len(nvidia_displays)
    assert bool(nvidia_displays) == (profile.nvidia is not None)


@pytest.mark.parametrize("name", profiles.names())
def test_nvidia_smi_and_pci_name_the_same_cards_and_memory_adds_up(name: str) -> None:
    profile = profiles.load(name)
    for gpu in profile.nvidia.gpus if profile.nvidia else ():
        device = next(d for d in profile.pci if f"0000{d.slot}".upper() == gpu.fields["pci.bus_id"])
        assert gpu.fields["pci.device_id"] == f"0x{device.id[5:].upper()}10DE"
        sizes = [gpu.fields[f"memory.{kind}"] for kind in ("total", "reserved", "used", "free")]
        if sizes == ["[N/A]"] * 4:  # unified memory
            continue
        total, reserved, used, free = (int(size.removesuffix(" MiB")) for size in sizes)
        assert abs(total - reserved - used - free) <= 2


@pytest.mark.parametrize("name", profiles.names())
def test_slices_fit_into_their_gpu_and_only_a_gpu_in_mig_mode_has_them(name: str) -> None:
    profile = profiles.load(name)
    for gpu in profile.nvidia.gpus if profile.nvidia else ():
        assert bool(gpu.slices) == (gpu.fields["mig.mode.current"] == "Enabled")
        assert sum(one.total_mib for one in gpu.slices) <= int(
            gpu.fields["memory.total"].split()[0] if gpu.slices else 0
        )
        assert len({one.uuid for one in gpu.slices}) == len(gpu.slices)


@pytest.mark.parametrize("name", profiles.names())
def test_the_catalogue_knows_every_gpu_of_a_profile(name: str) -> None:
    profile = profiles.load(name)
    for gpu in profile.nvidia.gpus if profile.nvidia else ():
        total = gpu.fields["memory.total"].removesuffix(" MiB")
        row = gpus.find(gpu.fields["pci.device_id"][2:6], memory_mib=int(total) if total.isdecimal() else None)
        assert row is not None
        assert gpus.plain(row.name) == gpus.plain(gpu.fields["name"])
        assert row.compute == gpu.fields["compute_cap"]
        assert row.unified == (not total.isdecimal())
        assert row.unified or abs(row.memory_mib - int(total)) < 0.08 * row.memory_mib
    for device in profile.pci:
        if device.amdgpu and device.amdgpu.vram_vendor:
            row = gpus.find(device.id[5:], device.id[:4], device.amdgpu.vram_total_mib)
            assert row is not None
            assert row.memory_mib == device.amdgpu.vram_total_mib


def test_the_split_gpu_is_the_whole_one_otherwise() -> None:
    split, whole = profiles.load("h100-mig"), profiles.load("h100")
    assert split.model_dump(exclude={"summary", "nvidia"}) == whole.model_dump(exclude={"summary", "nvidia"})


def test_every_kind_of_machine_has_a_profile() -> None:
    wanted = {"cpu-small", "rtx-4090", "dual-a100-80g", "old-driver", "broken-driver", "software-gpu"}
    wanted |= {"laptop-4060", "quad-3090", "h100", "h100-mig", "gb10", "rx-7900-xtx", "p40", "cpu-192g"}
    assert wanted <= set(profiles.names())


def test_software_gpu_pretends_what_rtx_4090_does() -> None:
    difference = {"summary", "suite", "software_gpu", "memory"}
    software, hardware = profiles.load("software-gpu"), profiles.load("rtx-4090")
    assert software.model_dump(exclude=difference) == hardware.model_dump(exclude=difference)
    assert (software.software_gpu, hardware.software_gpu) == (True, False)


def test_a_suite_after_the_at_sign_changes_the_distribution_only() -> None:
    bookworm, trixie = profiles.load("rtx-4090"), profiles.load("rtx-4090@trixie")
    assert (bookworm.suite, trixie.suite) == ("bookworm", "trixie")
    assert bookworm.model_dump(exclude={"suite"}) == trixie.model_dump(exclude={"suite"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtx-4900", "Did you mean rtx-4090?"),
        ("nonsense", "There are: broken-driver"),
        ("rtx-4090@buster", "no suite is named 'buster'"),
    ],
)
def test_an_unknown_profile_or_suite_names_what_there_is(text: str, said: str) -> None:
    with pytest.raises(LabError, match=said.replace("?", r"\?")):
        profiles.load(text)


def test_hosts_are_named_after_their_profile_unless_told_otherwise() -> None:
    assert profiles.parse_hosts(["cpu-small", "cpu-small@trixie", "gpu1=rtx-4090"]) == {
        "cpu-small": "cpu-small",
        "cpu-small-2": "cpu-small@trixie",
        "gpu1": "rtx-4090",
    }


def test_two_hosts_of_one_name_are_refused() -> None:
    with pytest.raises(LabError, match="two lab hosts are named 'a'"):
        profiles.parse_hosts(["a=cpu-small", "a=rtx-4090"])
