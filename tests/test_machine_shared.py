"""GPUs that are split, shared, unified, unknown or AMD's: from what a probe printed to what models run on."""

from dataclasses import replace
from pathlib import Path

import pytest

from inhouse.facts.model import (
    DisplayDevice,
    DriverState,
    GpuProcess,
    HostFacts,
    MigSlice,
    OperatingSystem,
    Virtualization,
)
from inhouse.facts.parse import parse as parse_probe
from inhouse.planner import mig
from inhouse.planner.card import in_steps
from inhouse.planner.choose import make_plan
from inhouse.planner.machine import Machine, judge
from tests.hosts_to_plan import card, host

RECORDINGS = Path(__file__).parent / "facts"
DEBIAN_12 = OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)", "6.1.0-41-cloud-amd64", "x86_64")
UBUNTU = OperatingSystem("ubuntu", "24.04", "Ubuntu 24.04.3 LTS", "6.8.0", "x86_64")
FEDORA = OperatingSystem("fedora", "43", "Fedora Linux 43", "6.17.0", "x86_64")


def recorded(name: str) -> HostFacts:
    return parse_probe("gpu1", (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8"), 1795620082.0)


def on(name: str) -> Machine:
    return judge(recorded(name))


@pytest.mark.parametrize(
    ("held", "counted"), [(0, 0), (214, 0), (299, 0), (300, 512), (512, 512), (513, 768), (19135, 19200)]
)
def test_what_others_hold_is_counted_in_steps(held: int, counted: int) -> None:
    assert in_steps(held) == counted


def test_of_a_split_gpu_the_slice_with_most_room_is_the_card() -> None:
    machine = on("mig-h100")
    (found,) = machine.cards
    assert (found.name, found.memory_mib, found.taken_mib) == ("H100 80GB HBM3 MIG 3g.40gb", 40448, 0)
    assert found.uuid == "MIG-00000000-0000-0000-0000-000000000000"
    assert found.bandwidth_gbs == pytest.approx(3352 * 40448 / 81559, rel=0.02)
    assert machine.warnings == ()
    assert machine.reasons == (
        "The GPU is split by MIG and a process uses one slice: models run on H100 80GB HBM3 MIG 3g.40gb (40448 MiB), "
        "which has most room; left to others: H100 80GB HBM3 MIG 2g.20gb, 2 x H100 80GB HBM3 MIG 1g.10gb.",
    )


def test_a_slice_that_others_fill_is_left_to_them() -> None:
    facts = recorded("mig-h100")
    gpu = replace(facts.nvidia.gpus[0], processes=())
    full = replace(gpu.slices[0], memory_used_mib=30000)
    gpu = replace(gpu, slices=(full, *gpu.slices[1:]))
    (found,) = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=(gpu,)))).cards
    assert found.name == "H100 80GB HBM3 MIG 2g.20gb"


def test_what_others_hold_of_the_slice_that_is_used_is_said() -> None:
    facts = recorded("mig-h100")
    gpu = replace(facts.nvidia.gpus[0], processes=())
    held = replace(gpu, slices=(replace(gpu.slices[0], memory_used_mib=5000), *gpu.slices[1:]))
    machine = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=(held,))))
    assert "which has most room, though others hold 5120 MiB of it; left to others" in machine.reasons[0]


def test_a_slice_beside_a_whole_gpu_that_is_used_is_left_alone_for_the_right_reason() -> None:
    facts = recorded("mig-one-of-two-a100-old-uuids")
    gpus = tuple(replace(gpu, driver_version="580.126.09") for gpu in facts.nvidia.gpus)
    plan = make_plan(host(), replace(facts, nvidia=replace(facts.nvidia, gpus=gpus)))
    assert plan.ollama_visible_devices.startswith("GPU-8fd")
    (left,) = [r for r in plan.reasons if "left alone" in r]
    assert left.startswith("A100-SXM4-80GB MIG 1c.3g.40gb")
    assert left.endswith("a process uses whole GPUs or one MIG slice, and the whole ones serve better here.")


def test_a_card_by_amd_that_the_catalogue_lacks_is_planned_and_that_is_said_once() -> None:
    facts = recorded("amd-instinct-mi210")
    (gpu,) = facts.amd
    new = replace(facts, amd=(replace(gpu, name="AMD Radeon RX 99999"),), display_devices=(unknown(facts),))
    plan = make_plan(host(), new)
    said = [r for r in plan.reasons if "not in the catalogue" in r]
    assert said == [
        "RX 99999 is not in the catalogue: planned by what its driver reports, 65520 MiB; its speed is not known."
    ]


def unknown(facts: HostFacts) -> DisplayDevice:
    (device,) = facts.amd_devices
    return replace(device, device_id="ffff")


def test_in_a_container_what_is_used_of_a_slice_may_be_ollamas_own() -> None:
    facts = recorded("mig-h100")
    gpu = replace(facts.nvidia.gpus[0], processes=())
    inside = replace(facts, virtualization=Virtualization.CONTAINER, nvidia=replace(facts.nvidia, gpus=(gpu,)))
    (found,) = judge(inside).cards
    assert (found.memory_mib, found.taken_mib) == (40448, 0)


def test_a_gpu_in_mig_mode_without_slices_is_of_no_use_and_the_command_is_named() -> None:
    machine = on("mig-h100-without-slices")
    assert machine.cards == ()
    assert machine.has_nvidia
    (warning,) = machine.warnings
    assert "is in MIG mode and no slice of it was found" in warning
    assert "models run on the CPU" in warning
    assert warning.endswith("sudo nvidia-smi -i 0 -mig 0")


def test_a_slice_whose_size_nobody_tells_has_at_least_what_its_name_promises() -> None:
    (found,) = on("mig-h100-xml-cut-off").cards
    assert 0.8 * 40 * 1024 < found.memory_mib < 40448


def test_whole_gpus_are_offered_beside_the_slice_with_most_room() -> None:
    facts = recorded("mig-one-of-two-a100-old-uuids")
    gpus = tuple(replace(gpu, driver_version="580.126.09") for gpu in facts.nvidia.gpus)
    machine = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=gpus)))
    assert [(c.name, c.uuid[:7]) for c in machine.cards] == [
        ("A100-SXM4-80GB", "GPU-8fd"),
        ("A100-SXM4-80GB MIG 1c.3g.40gb", "MIG-GPU"),
    ]
    assert machine.reasons == (
        "A process uses whole GPUs or one MIG slice, not both. Of the slices A100-SXM4-80GB MIG 1c.3g.40gb has most "
        "room; left to others: A100-SXM4-80GB MIG 1g.10gb+me.",
    )


def test_a_profile_without_a_size_in_its_name_is_never_the_better_one() -> None:
    facts = recorded("mig-h100-xml-cut-off")
    gpu = facts.nvidia.gpus[0]
    odd = MigSlice(9, "7g", "MIG-9", None, None)
    machine = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=(replace(gpu, slices=(odd, *gpu.slices)),))))
    assert machine.cards[0].name.endswith("3g.40gb")


def test_what_ollama_holds_of_one_slice_is_not_taken_from_what_others_hold_of_the_next() -> None:
    facts = recorded("mig-h100-xml-cut-off")
    ollama = GpuProcess(1, "/opt/inhouse/ollama/llama-server", 9000, ollama=True)
    slices = (MigSlice(0, "4g.40gb", "MIG-1", 40448, 30000), MigSlice(1, "3g.40gb", "MIG-0", 40448, 9100))
    gpu = replace(facts.nvidia.gpus[0], processes=(ollama,), slices=slices)
    (found,) = judge(replace(facts, nvidia=replace(facts.nvidia, gpus=(gpu,)))).cards
    assert (found.uuid, found.taken_mib) == ("MIG-0", 0)
    assert [c.taken_mib for c in mig.cards(gpu, found)] == [in_steps(30000), 0]


def test_what_a_display_draws_is_left_to_it() -> None:
    machine = on("display-on-rtx-4080-super")
    (found,) = machine.cards
    assert (found.memory_mib, found.taken_mib, found.room_mib) == (16376, 768, 16376 - 768 - 367)
    assert found.kept_mib == 367  # neither free nor used: the driver's own
    assert machine.reasons == (
        "768 of 16376 MiB of RTX 4080 SUPER are held by others (a display) and are left to them.",
    )


def test_others_programs_are_left_what_they_hold_and_ollamas_own_models_count_as_free() -> None:
    first, second = on("occupied-by-others-and-ollama").cards
    assert first.taken_mib == in_steps(15005 - 6300 - 512)
    # The driver does not tell what Ollama holds of the second: only what it tells of others is theirs.
    assert second.taken_mib == in_steps(19135)
    assert "(python)" in on("occupied-by-others-and-ollama").reasons[1]


@pytest.mark.parametrize("name", ["processes-not-shown", "processes-do-not-answer"])
def test_where_nobody_tells_who_holds_the_memory_nothing_is_taken_from_ollama(name: str) -> None:
    assert [c.taken_mib for c in on(name).cards] == [0]


@pytest.mark.parametrize("place", [Virtualization.CONTAINER, Virtualization.WSL])
def test_where_programs_are_not_listed_the_same_plan_is_made_with_a_model_loaded(place: Virtualization) -> None:
    facts = replace(recorded("display-on-rtx-4080-super"), virtualization=place)
    assert judge(facts).cards[0].taken_mib == 0


def test_a_card_that_the_catalogue_lacks_is_planned_by_its_driver_and_that_is_said() -> None:
    machine = judge(card(16000))
    (found,) = machine.cards
    assert (found.memory_mib, found.bandwidth_gbs, found.compute) == (16000, None, "8.9")
    assert machine.reasons == (
        "Some Card (10de:ffff) is not in the catalogue: planned by what its driver reports, 16000 MiB and compute "
        "capability 8.9; its speed is not known.",
    )


def test_unified_memory_is_the_hosts_and_others_programs_keep_theirs() -> None:
    machine = on("unified-memory-gb10")
    (found,) = machine.cards
    assert (found.name, found.memory_mib, found.unified, found.compute) == ("GB10", 122572, True, "12.1")
    assert found.taken_mib == in_steps(19135)
    assert "shares the host's memory" in machine.reasons[0]


def test_a_jetson_is_named_by_its_board_and_gets_no_driver_from_elsewhere() -> None:
    machine = on("no-pci-jetson-orin")
    assert machine.cards == ()
    (warning,) = machine.warnings
    assert "NVIDIA Jetson AGX Orin Developer Kit runs Jetson Linux 36.4.3 with driver 540.4.0" in warning
    assert "cuda-keyring" not in warning
    newer = recorded("no-pci-jetson-orin")
    gpu = replace(newer.nvidia.gpus[0], driver_version="580.00")
    (found,) = judge(replace(newer, nvidia=replace(newer.nvidia, gpus=(gpu,)))).cards
    assert (found.name, found.unified) == ("Jetson AGX Orin Developer Kit", True)
    assert found.compute == "8.7"
    assert found.bandwidth_gbs == pytest.approx(204.8, rel=0.01)


def test_a_jetson_of_two_sizes_is_told_by_its_memory() -> None:
    facts = recorded("no-pci-jetson-orin")
    gpu = replace(facts.nvidia.gpus[0], driver_version="580.00")
    nano = replace(
        facts,
        board="NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
        memory_total_mib=7620,
        nvidia=replace(facts.nvidia, gpus=(gpu,)),
    )
    small, large = (judge(replace(nano, memory_total_mib=mib)).cards[0].tflops for mib in (7620, 15600))
    assert small is not None
    assert large is not None
    assert small < large


def test_a_p40_works_with_the_last_branch_that_knows_it() -> None:
    machine = on("p40-two-sockets-debian12")
    assert [(c.name, c.memory_mib, c.compute) for c in machine.cards] == [("Tesla P40", 23040, "6.1")]
    assert machine.warnings == ()
    assert machine.flash_attention


def test_a_card_by_amd_runs_models_by_vulkan_and_ollamas_own_memory_is_not_others() -> None:
    machine = on("amd-rx-7900-xtx-beside-raphael")
    (found,) = machine.cards
    assert (found.name, found.backend, found.memory_mib) == ("RX 7900 XTX", "vulkan", 24560)
    assert (found.compute, found.uuid, found.bandwidth_gbs) == (None, "", 960)
    assert found.tflops == pytest.approx(123, rel=0.02)
    assert found.taken_mib == in_steps(7270 - 6145)
    assert not machine.has_nvidia
    assert machine.flash_attention
    by_vulkan, taken = machine.reasons
    assert "runs models by Vulkan" in by_vulkan
    assert "ROCm is not used, as no checksum of it is known" in by_vulkan
    assert "1280 of 24560 MiB" in taken


def test_what_ollama_holds_of_an_amd_card_is_not_guessed() -> None:
    (found,) = on("amd-memory-of-ollama-not-readable").cards
    assert found.taken_mib == 0


def test_an_instinct_is_a_card_too() -> None:
    (found,) = on("amd-instinct-mi210").cards
    assert (found.name, found.memory_mib) == ("Instinct MI210", 65520)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("amd-strix-halo", "Radeon 8060S (Strix Halo) is not used yet"),
        ("amd-apu-without-topology", "is part of the processor"),
        ("amd-sysfs-garbage", ""),
    ],
)
def test_graphics_of_a_processor_are_passed_over(name: str, says: str) -> None:
    machine = on(name)
    assert machine.warnings == ()
    if says:
        assert machine.cards == ()
        assert says in machine.reasons[0]
        assert "odels run on the CPU" in machine.reasons[0]


def amd_alone(driver: str | None, **changes: object) -> HostFacts:
    facts = recorded("amd-not-bound")
    device = DisplayDevice("0000:03:00.0", "1002", "744c", "030000", driver)
    return replace(facts, display_devices=(device,), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("system", "part"),
    [
        (
            DEBIAN_12,
            "echo 'deb http://deb.debian.org/debian bookworm non-free-firmware' | sudo tee "
            "/etc/apt/sources.list.d/non-free-firmware.list && sudo apt-get update && sudo apt-get install -y "
            "firmware-amd-graphics linux-image-amd64 && sudo systemctl reboot",
        ),
        (UBUNTU, "sudo apt-get install -y linux-firmware linux-modules-extra-$(uname -r) && sudo systemctl reboot"),
        (FEDORA, "as the makers of Fedora Linux 43 describe"),
    ],
)
def test_a_card_without_its_kernel_driver_gets_the_commands_that_bring_it(system: OperatingSystem, part: str) -> None:
    machine = judge(amd_alone(None, os=system))
    assert machine.cards == ()
    (warning,) = machine.warnings
    assert "RX 7900 XT or RX 7900 XTX found, but the kernel driver amdgpu is not bound to it" in warning
    assert part in warning


def test_in_a_container_the_card_needs_its_device() -> None:
    facts = replace(
        recorded("amd-rx-7900-xtx-beside-raphael"), virtualization=Virtualization.CONTAINER, virtualization_name="lxc"
    )
    machine = judge(facts)
    assert machine.cards == ()
    assert "this container (lxc) has no device of it below /dev/dri" in machine.warnings[0]
    given = tuple(replace(gpu, render_node="/dev/dri/renderD128") for gpu in facts.amd)
    assert [c.backend for c in judge(replace(facts, amd=given)).cards] == ["vulkan"]


@pytest.mark.parametrize(
    ("driver", "says"), [("vfio-pci", "virtual machine"), ("radeon", "no driver that can compute")]
)
def test_a_card_bound_to_something_else_is_left_alone(driver: str, says: str) -> None:
    machine = judge(amd_alone(driver))
    assert (machine.cards, machine.warnings) == ((), ())
    assert says in machine.reasons[0]


def test_nvidia_comes_before_amd() -> None:
    nvidia = card(24576, name="NVIDIA GeForce RTX 4090")
    amd = recorded("amd-rx-7900-xtx-beside-raphael")
    both = replace(amd, nvidia=nvidia.nvidia, display_devices=(*nvidia.display_devices, *amd.display_devices))
    machine = judge(both)
    assert [c.backend for c in machine.cards] == ["cuda"]
    assert "is left alone: models run on NVIDIA's GPU" in machine.reasons[-1]


def test_until_nvidias_driver_is_mended_the_card_by_amd_computes() -> None:
    amd = recorded("amd-rx-7900-xtx-beside-raphael")
    card_without_driver = DisplayDevice("0000:01:00.0", "10de", "2204", "030000", None)
    broken = replace(amd.nvidia, state=DriverState.NO_DRIVER)
    machine = judge(replace(amd, nvidia=broken, display_devices=(card_without_driver, *amd.display_devices)))
    assert [c.backend for c in machine.cards] == ["vulkan"]
    assert "until then models run on" in machine.warnings[0]
    assert "the CPU" not in machine.warnings[0]
