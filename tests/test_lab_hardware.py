"""What a lab host pretends to be: files as a kernel and a driver would write them."""

import ctypes
import json
import struct
from pathlib import Path

import pytest

from inhouse.errors import LabError
from inhouse.lab import boot, hardware
from inhouse.lab.elf import shared_object
from inhouse.lab.profiles import Memory, load


def test_meminfo_has_the_profiles_memory_in_kib() -> None:
    rows = dict(line.split(":") for line in hardware.meminfo(Memory(total_mib=64017, available_mib=62105)).splitlines())
    assert rows["MemTotal"].split() == [str(64017 * 1024), "kB"]
    assert rows["MemAvailable"].split() == [str(62105 * 1024), "kB"]


def test_cpuinfo_has_one_block_per_thread_and_numbers_cores_within_their_socket() -> None:
    blocks = hardware.cpuinfo(load("dual-a100-80g").cpu).strip().split("\n\n")
    pairs = [[line.split(":", 1) for line in block.splitlines()] for block in blocks]
    parsed = [{key.strip(): value.strip() for key, value in rows} for rows in pairs]
    assert len(parsed) == 128
    assert len({(cpu["physical id"], cpu["core id"]) for cpu in parsed}) == 64
    assert {cpu["siblings"] for cpu in parsed} == {"64"}


def test_config_space_is_what_lspci_reads() -> None:
    card = next(d for d in load("rtx-4090").pci if d.id == "10de:2684")
    space = hardware.config_space(card)
    assert len(space) == hardware.CONFIG_SPACE_BYTES
    assert struct.unpack_from("<HH", space, 0x00) == (0x10DE, 0x2684)
    assert space[0x08:0x0C] == bytes([0xA1, 0x00, 0x00, 0x03])
    assert struct.unpack_from("<HH", space, 0x2C) == (0x10DE, 0x167C)


def test_mounts_cover_pci_memory_and_processor(tmp_path: Path) -> None:
    targets = {mount.target: mount.source for mount in hardware.write_mounts(load("old-driver"), tmp_path)}
    assert set(targets) == {"/sys/bus/pci/devices", "/proc/meminfo", "/proc/cpuinfo"}
    card = targets["/sys/bus/pci/devices"] / "0000:09:00.0"
    assert (card / "class").read_text() == "0x030000\n"
    assert (card / "driver").readlink().name == "nvidia"


def test_a_library_without_code_can_be_loaded_and_has_no_function(tmp_path: Path) -> None:
    file = tmp_path / "libcuda.so.1"
    file.write_bytes(shared_object("libcuda.so.1"))
    library = ctypes.CDLL(str(file))
    with pytest.raises(AttributeError, match="cuInit"):
        _ = library.cuInit


def test_broken_driver_shows_one_version_in_the_kernel_and_another_in_the_library() -> None:
    profile = load("broken-driver")
    nvidia = profile.nvidia
    assert nvidia is not None
    assert "echo 580.173.02 >$modules/nvidia/version" in str(boot.script(profile))
    assert "/usr/lib/x86_64-linux-gnu/libcuda.so.580.178.04" in hardware.driver_files(nvidia, b"")


def test_the_module_says_whether_it_is_the_open_one() -> None:
    new, old = load("rtx-4090").nvidia, load("old-driver").nvidia
    assert new is not None
    assert old is not None
    assert "Open Kernel Module for x86_64  580.178.04" in boot.module_banner(new)
    assert "NVIDIA UNIX x86_64 Kernel Module  535.309.01" in boot.module_banner(old)


def test_the_software_device_is_named_to_the_service_by_a_drop_in_alone() -> None:
    bundled, debian = hardware.software_gpu_files(bundled=True), hardware.software_gpu_files(bundled=False)
    (drop_in,) = bundled
    assert drop_in == "/etc/systemd/system/ollama.service.d/lab-software-gpu.conf"
    assert b"VK_DRIVER_FILES=/opt/inhouse-lab/software-gpu/lvp_icd.json\n" in bundled[drop_in]
    assert b"VK_DRIVER_FILES=/etc/inhouse-lab/lvp_icd.json\n" in debian[drop_in]
    assert json.loads(debian["/etc/inhouse-lab/lvp_icd.json"])["ICD"]["library_path"].endswith("/libvulkan_lvp.so")


def test_amdgpu_shows_its_memory_and_its_place_in_the_compute_topology(tmp_path: Path) -> None:
    profile = load("rx-7900-xtx")
    hardware.write_mounts(profile, tmp_path)
    card, graphics = tmp_path / "pci" / "0000:03:00.0", tmp_path / "pci" / "0000:0e:00.0"
    assert (card / "mem_info_vram_total").read_text() == "25753026560\n"
    assert (card / "mem_info_vram_vendor").read_text() == "samsung\n"
    assert not (graphics / "mem_info_vram_vendor").exists()
    assert (card / "drm" / "renderD128").is_dir()
    script = str(boot.script(profile))
    assert "location_id 768\\ndomain 0\\ngfx_target_version 110000" in script
    assert "location_id 3584\\ndomain 0\\ngfx_target_version 100306" in script
    assert "mknod -m 660 /dev/dri/renderD128 c 226 128" in script


def test_a_machine_without_a_gpu_needs_nothing_at_boot() -> None:
    assert boot.script(load("cpu-192g")) is None


def test_a_bare_machine_hides_the_container_and_has_no_driver() -> None:
    profile = load("rtx-4090-bare")
    assert (profile.machine, profile.nvidia, len(profile.undriven)) == (True, None, 1)
    assert [d.driver for d in profile.pci if d.id == "10de:2684"] == [None]
    script = str(boot.script(profile))
    assert "rm -f /.dockerenv" in script
    assert "--add /usr/bin/systemd-detect-virt" in script
    assert "mount --bind $modules /sys/module" in script


def test_a_machine_keeps_the_driver_of_its_profile_and_covers_modules_once() -> None:
    profile = load("old-driver-machine")
    assert profile.nvidia == load("old-driver").nvidia
    assert str(boot.script(profile)).count("mount --bind $modules /sys/module") == 1


def test_a_passed_through_card_is_bound_to_vfio() -> None:
    bound = {d.id: d.driver for d in load("rtx-4090-passthrough").pci}
    assert bound["10de:2684"] == "vfio-pci"
    assert bound["10de:22ba"] == "snd_hda_intel"


def test_a_kind_goes_with_another_suite() -> None:
    assert load("p40-bare@trixie").suite == "trixie"
    with pytest.raises(LabError, match="no lab profile is named 'p40-bear'"):
        load("p40-bear")
