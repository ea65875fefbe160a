"""Which driver a host gets: every system with every generation of cards, mixes, what is stated, and who owns it."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.catalogue import gpus as catalogue
from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.drivers import drivers
from inhouse.catalogue.releases import releases
from inhouse.facts.machine import DriverOrigin, Kernel, MachineFacts, RoleRecord
from inhouse.facts.model import DisplayDevice, DriverState, HostFacts, NvidiaDriver, OperatingSystem, Virtualization
from inhouse.planner import driver, layer_driver
from inhouse.planner.driver import Impossible, Wanted
from inhouse.planner.hardware import parse
from inhouse.planner.layer_driver import ROLE, DriverPart
from inhouse.role_variables import RoleVariables
from tests.hosts_to_plan import broken

MAXWELL, PASCAL, VOLTA, TURING, AMPERE, ADA, HOPPER, BLACKWELL = (
    "13c2", "1b80", "1db4", "1eb8", "2204", "2684", "2330", "2b85",
)  # fmt: skip
OLD, NEW = (MAXWELL, PASCAL, VOLTA), (TURING, AMPERE, ADA, HOPPER, BLACKWELL)
KEPLER, GB300, GRACE_HOPPER, UNKNOWN_OLD, UNKNOWN_NEW = "0fc6", "3182", "2342", "17ff", "29ff"

SYSTEMS = {
    "debian12": ("debian", "12"),
    "debian13": ("debian", "13"),
    "ubuntu22": ("ubuntu", "22.04"),
    "ubuntu24": ("ubuntu", "24.04"),
    "ubuntu26": ("ubuntu", "26.04"),
    "rocky9": ("rocky", "9.6"),
    "rhel10": ("rhel", "10.1"),
}


def bare(*ids: str, system: str = "debian12", architecture: str = "x86_64", **machine: Any) -> HostFacts:
    """A host with these cards and no driver."""
    os = OperatingSystem(*SYSTEMS[system], system, "6.1.0-41-amd64", architecture)
    devices = tuple(DisplayDevice(f"0000:0{n}:00.0", NVIDIA, id_, "030000", None) for n, id_ in enumerate(ids, 1))
    nvidia = NvidiaDriver(DriverState.NO_DRIVER, None, None, "", ())
    facts = replace(parse("ram 32"), host="gpu1", os=os, display_devices=devices, nvidia=nvidia)
    return replace(facts, machine=MachineFacts(driver_origin=DriverOrigin.NONE, **machine))


def stated(**values: Any) -> RoleVariables:
    return RoleVariables.of((f"nvidia_driver_{name}", value) for name, value in values.items())


def wanted(facts: HostFacts, **values: Any) -> Wanted:
    found = driver.decide(facts, stated(**values))
    assert isinstance(found, Wanted), found
    return found


def refused(facts: HostFacts, **values: Any) -> Impossible:
    found = driver.decide(facts, stated(**values))
    assert isinstance(found, Impossible), found
    return found


def triple(facts: HostFacts) -> tuple[str, str, str] | None:
    found = driver.decide(facts)
    return (found.source, found.branch, found.module) if isinstance(found, Wanted) else None


THEIRS_OLD, THEIRS_NEW = ("nvidia", "580", "proprietary"), ("nvidia", "595", "open")
OWN_OLD, OWN_NEW = ("distribution", "580", "proprietary"), ("distribution", "595", "open")
EXPECTED = {
    **{(s, c): THEIRS_OLD for s in ("debian12", "rocky9", "rhel10") for c in OLD},
    **{(s, c): THEIRS_NEW for s in ("debian12", "debian13", "rocky9", "rhel10") for c in NEW},
    **{(s, c): OWN_OLD for s in ("ubuntu22", "ubuntu24", "ubuntu26") for c in OLD},
    **{(s, c): OWN_NEW for s in ("ubuntu22", "ubuntu24", "ubuntu26") for c in NEW},
    ("debian13", MAXWELL): None,
    ("debian13", PASCAL): None,
    ("debian13", VOLTA): ("distribution", "550", "proprietary"),
    **{(s, KEPLER): None for s in SYSTEMS},
    **{(s, UNKNOWN_NEW): OWN_NEW if s.startswith("ubuntu") else THEIRS_NEW for s in SYSTEMS},
    ("debian12", UNKNOWN_OLD): THEIRS_OLD,
    ("debian13", UNKNOWN_OLD): None,
}


@pytest.mark.parametrize(("system", "card"), EXPECTED)
def test_every_system_with_every_generation(system: str, card: str) -> None:
    assert triple(bare(card, system=system)) == EXPECTED[system, card]


@pytest.mark.parametrize(
    ("cards", "minimum", "maximum"),
    [
        ((MAXWELL,), "570", "580"),
        ((PASCAL,), "570", "580"),
        ((VOLTA,), "550", "580"),
        ((HOPPER,), "550", ""),
        ((BLACKWELL,), "570", ""),
        ((GB300,), "580", ""),
        ((PASCAL, ADA), "570", "580"),
        ((UNKNOWN_OLD,), "570", "580"),
    ],
)
def test_versions_that_are_good_enough(cards: tuple[str, ...], minimum: str, maximum: str) -> None:
    found = wanted(bare(*cards))
    assert (found.minimum, found.maximum_branch) == (minimum, maximum)


def test_mixed_cards_get_what_all_of_them_know() -> None:
    assert triple(bare(PASCAL, ADA)) == THEIRS_OLD
    assert triple(bare(VOLTA, AMPERE, system="debian13")) == ("distribution", "550", "proprietary")
    assert triple(bare(KEPLER, ADA)) == THEIRS_NEW


def test_cards_that_exclude_each_other_are_named() -> None:
    found = refused(bare(PASCAL, BLACKWELL))
    assert "No driver knows all of them: Maxwell and Pascal need branch 580" in found.why
    assert "take cards out" in found.advice


def test_grace_hopper_takes_the_open_module_alone_and_other_hoppers_either() -> None:
    assert wanted(bare(HOPPER), module="proprietary").module == "proprietary"
    assert triple(bare(GRACE_HOPPER, architecture="aarch64")) == THEIRS_NEW
    assert "Grace Hopper an open one" in refused(bare(VOLTA, GRACE_HOPPER)).why
    at_fault = broken(DriverState.CANNOT_TALK, module_version="580.1", library_version="580.1")
    found = replace(at_fault, display_devices=bare(GRACE_HOPPER).display_devices)
    found = replace(found, machine=replace(found.machine, open_module=False))
    ran(decided(found), "proprietary modules now, which do not drive the cards")


def test_debian_13_says_what_a_pascal_card_could_have_elsewhere() -> None:
    found = refused(bare(PASCAL, system="debian13"))
    assert "its own is 550, NVIDIA's repository for it has 595" in found.why
    assert found.advice.startswith("Reinstall the host with Debian 12, Ubuntu 22.04")
    assert "where a repository of yours has branch 580, set nvidia_driver_branch" in found.advice


@pytest.mark.parametrize("kernel", ["7.3.4+deb13-amd64", "6.12.107+deb13-cloud-amd64"])
def test_debians_own_driver_does_not_go_with_newer_kernels(kernel: str) -> None:
    facts = bare(VOLTA, system="debian13", kernels=(Kernel(kernel, True, None),))
    assert "cannot be built for kernels newer than 6.12.106" in refused(facts).why
    assert refused(facts).advice.startswith("Keep to kernels up to 6.12.106, or reinstall the host with Debian 12")


def test_debians_own_driver_goes_with_the_kernel_it_was_made_for() -> None:
    facts = bare(VOLTA, system="debian13", kernels=(Kernel("6.12.95+deb13-amd64", True, None),))
    assert triple(facts) == ("distribution", "550", "proprietary")


def test_nvidias_repository_for_debian_13_has_nothing_for_arm() -> None:
    assert triple(bare(AMPERE, system="debian13", architecture="aarch64")) == ("distribution", "550", "open")
    assert "none for aarch64" in refused(bare(BLACKWELL, system="debian13", architecture="aarch64")).why


def test_a_screen_is_served_where_somebody_uses_one() -> None:
    assert wanted(bare(ADA, desktop=True)).desktop
    assert not wanted(bare(ADA, desktop=True), desktop=False).desktop


@pytest.mark.parametrize(
    ("card", "values", "said"),
    [
        (PASCAL, {"branch": "595"}, "595, but GTX 1080 needs branch 570 or newer for Ollama, and 580 is"),
        (PASCAL, {"branch": "550"}, "Take one from 570 on to 580, or leave it out."),
        (ADA, {"branch": "535"}, "RTX 4090 needs branch 550 or newer"),
        (ADA, {"branch": "5955"}, "known branches are 535, 550"),
        (ADA, {"version": "123.4"}, "nvidia_driver_version is 123"),
        (ADA, {"version": "580.95.05", "branch": "595"}, "nvidia_driver_branch is 595. Let them agree."),
        (PASCAL, {"module": "open"}, "proprietary kernel module alone"),
        (BLACKWELL, {"module": "proprietary"}, "open kernel module alone"),
        (GRACE_HOPPER, {"module": "proprietary"}, "GH200 480GB works with NVIDIA's open kernel module alone. Leave it"),
        (ADA, {"module": "proprietary", "branch": "615"}, "branch 615 has open modules alone"),
        (ADA, {"source": "distribution"}, "source is distribution, but Debian 12 has no driver of branch 550"),
        (ADA, {"minimum": "new"}, "nvidia_driver_minimum is new"),
    ],
)  # fmt: skip
def test_what_is_stated_and_cannot_be_is_a_problem(card: str, values: dict[str, Any], said: str) -> None:
    part = layer_driver.decide(bare(card), stated(**values)).part
    assert said in part.problems[0]
    assert not part.runs


def test_a_branch_that_no_source_has_is_a_problem() -> None:
    part = layer_driver.decide(bare(ADA, system="debian13", architecture="aarch64"), stated(branch="595")).part
    assert part.problems[0].startswith("nvidia_driver_branch is 595, but Debian 13 has no driver of branch 595")


def test_what_is_stated_counts_and_the_plan_says_so() -> None:
    found = layer_driver.decide(bare(ADA), stated(branch="610", source="nvidia"))
    assert found.wanted is not None
    assert found.wanted.branch == "610"
    assert "nvidia_driver_branch is 610, as the inventory states; the planner would take 595." in found.part.reasons
    assert wanted(bare(VOLTA, system="debian13"), source="nvidia", branch="580").source == "nvidia"


def decided(facts: HostFacts, **values: Any) -> DriverPart:
    return layer_driver.decide(facts, stated(**values))


def ran(found: DriverPart, now: str) -> None:
    assert found.part.runs
    assert found.outlook.mended
    assert f"({now})" in found.part.reasons[0]


def left(found: DriverPart) -> None:
    assert not found.part.runs
    assert not found.outlook.mended


def test_a_missing_driver_is_installed() -> None:
    ran(decided(bare(ADA)), "no driver now")
    nouveau = bare(ADA)
    bound = replace(nouveau, display_devices=(replace(nouveau.display_devices[0], kernel_driver="nouveau"),))
    ran(decided(bound), "nouveau now, which cannot compute")
    assert "left to you (nvidia_driver_reboot: if_needed" in decided(bound).part.reasons[0]
    assert "is restarted if it must be" in decided(bound, reboot="if_needed").part.reasons[0]


def working(version: str, *hardware: str, **machine: Any) -> HostFacts:
    facts = parse(f"{', '.join(hardware) or 'rtx-4090'}, ram 64")
    gpus = tuple(replace(g, driver_version=version) for g in facts.nvidia.gpus)
    nvidia = replace(facts.nvidia, module_version=version, library_version=version, gpus=gpus)
    machine = {"driver_origin": DriverOrigin.NVIDIA, **machine}
    return replace(facts, nvidia=nvidia, machine=MachineFacts(**machine))


@pytest.mark.parametrize("version", ["550.163.01", "580.95.05", "595.91.07", "615.71.09"])
@pytest.mark.parametrize("origin", DriverOrigin)
def test_a_driver_that_is_good_enough_stays_whoever_installed_it(version: str, origin: DriverOrigin) -> None:
    found = decided(working(version, driver_origin=origin))
    left(found)
    assert found.part.reasons == ()
    assert found.part.variables["nvidia_driver_branch"] == "595"


def test_a_driver_that_is_not_good_enough_is_replaced() -> None:
    ran(decided(working("535.309.01")), "535.309.01 now, 550 or newer is needed")
    ran(decided(working("595.91", "gtx-1080", "rtx-3090")), "595.91 now, 580 is the last that knows every card")
    ran(decided(working("550.163.01", "gtx-1080")), "550.163.01 now, 570 or newer is needed")


def test_a_driver_that_does_not_tell_its_version_is_left_alone() -> None:
    facts = working("")
    left(decided(replace(facts, nvidia=replace(facts.nvidia, library_version=None))))


def test_a_driver_that_others_made_is_not_replaced_but_told_how() -> None:
    found = decided(working("535.309.01", driver_origin=DriverOrigin.RUNFILE))
    left(found)
    assert found.outlook.remedy == "sudo nvidia-uninstall; then here: inhouse up --limit imagined"
    assert "no package owns" in decided(working("535.1", driver_origin=DriverOrigin.FILES)).outlook.remedy
    assert "which others made" in decided(working("535.1", driver_origin=DriverOrigin.OTHER)).outlook.remedy


def test_others_newer_libraries_need_no_more_than_a_restart() -> None:
    found = broken(DriverState.CANNOT_TALK, module_version="580.173", library_version="580.178")
    facts = replace(found, machine=MachineFacts(driver_origin=DriverOrigin.RUNFILE))
    assert decided(facts).outlook.remedy.startswith("sudo systemctl reboot; then here: inhouse up")


RECORD = (RoleRecord(ROLE),)


def test_what_is_broken_is_mended_if_packages_can_do_that() -> None:
    def facts(module: str | None, library: str | None, message: str = "", **machine: Any) -> HostFacts:
        found = broken(DriverState.CANNOT_TALK, module_version=module, library_version=library, message=message)
        return replace(found, machine=MachineFacts(driver_origin=DriverOrigin.NVIDIA, **machine))

    ran(decided(facts("580.173", "580.178")), "module 580.173 and libraries 580.178 now")
    ran(decided(facts(None, "580.178")), "no kernel module is loaded now")
    ran(decided(facts("580.1", None)), "module 580.1 now, and its programs are missing")
    ran(decided(facts("535.1", "535.1")), "535.1 now, 550 or newer is needed")
    left(decided(facts("580.1", "580.1", "No devices were found", open_module=True)))
    pascal = replace(facts("580.1", "580.1", open_module=True), display_devices=bare(PASCAL).display_devices)
    ran(decided(pascal), "open modules now, which do not drive the cards")


def test_a_restart_that_is_due_is_not_tried_again_and_again() -> None:
    waiting = broken(DriverState.CANNOT_TALK, module_version="580.1", library_version="595.1")
    record = RoleRecord(ROLE, reboot_needed=True)
    due = replace(waiting, machine=MachineFacts(driver_origin=DriverOrigin.NVIDIA, records=(record,)))
    left(decided(due))
    assert decided(due).outlook.remedy.startswith("sudo systemctl reboot; then here: inhouse up")
    assert decided(due, reboot="if_needed").part.runs


def test_a_new_kernel_without_a_module_is_served_before_it_boots() -> None:
    kernels = (Kernel("6.1.0-41-amd64", True, "595.91.07"), Kernel("6.1.0-42-amd64", False, None))
    ran(
        decided(working("595.91.07", kernels=kernels, records=RECORD)),
        "no module yet for kernel 6.1.0-42-amd64, which the next restart boots",
    )
    left(decided(working("595.91.07", kernels=kernels)))


def test_what_the_role_installed_and_is_good_enough_stays_and_is_mended() -> None:
    found = broken(DriverState.CANNOT_TALK, module_version="580.173", library_version="580.178")
    ours = replace(found, machine=MachineFacts(driver_origin=DriverOrigin.NVIDIA, records=RECORD))
    reason = decided(ours).part.reasons[0]
    assert reason.startswith("nvidia_driver: driver 580.178 stays, and its module is seen to (module 580.173 and")
    assert "branch 595" in decided(replace(ours, machine=MachineFacts())).part.reasons[0]


def test_a_held_driver_moves_only_when_told() -> None:
    stays = decided(working("580.95.05"), branch="595")
    left(stays)
    assert any("works and stays, though the inventory states 595" in reason for reason in stays.part.reasons)
    ran(
        decided(working("580.95.05"), branch="595", upgrade=True),
        "580.95.05 now, and nvidia_driver_upgrade lets it move",
    )


def test_a_role_that_looked_for_something_newer_is_not_asked_again() -> None:
    looked = RoleRecord(ROLE, (("nvidia_driver_upgrade", "true"),))
    left(decided(working("595.91.07", records=(looked,)), upgrade=True))
    ran(
        decided(working("595.91.07", records=RECORD), upgrade=True),
        "595.91.07 now, and nvidia_driver_upgrade lets it move",
    )


def test_removal_takes_away_what_the_role_installed() -> None:
    assert decided(working("595.1", records=RECORD), state="absent").outlook.removed
    kept = decided(working("595.1"), state="absent")
    assert not kept.part.runs
    assert not kept.outlook.removed


@pytest.mark.parametrize(
    "facts",
    [
        replace(bare(ADA), virtualization=Virtualization.CONTAINER, virtualization_name="lxc"),
        replace(bare(ADA), virtualization=Virtualization.WSL, virtualization_name="wsl"),
        replace(bare(ADA), display_devices=(replace(bare(ADA).display_devices[0], kernel_driver="vfio-pci"),)),
        bare(KEPLER),
        bare("2e12", system="ubuntu24", architecture="aarch64"),
        parse("jetson-agx-orin 64"),
        parse("rx-7900-xtx, ram 64"),
        parse("ram 64"),
    ],
    ids=["container", "wsl", "passed-through", "kepler", "gb10", "jetson", "amd", "none"],
)
def test_what_is_not_this_hosts_to_change_is_left_alone(facts: HostFacts) -> None:
    found = decided(facts)
    left(found)
    assert found.part.variables == {}
    assert found.part.problems == ()


def test_a_virtual_gpu_has_the_driver_of_its_hypervisor() -> None:
    facts = working("535.183.01")
    gpu = replace(facts.nvidia.gpus[0], name="NVIDIA A16-8Q")
    left(decided(replace(facts, nvidia=replace(facts.nvidia, gpus=(gpu,)))))


def test_a_guest_with_a_whole_card_is_a_host_like_others() -> None:
    ran(decided(replace(bare(ADA), virtualization=Virtualization.VM, virtualization_name="kvm")), "no driver now")


def test_secure_boot_and_nvswitch_are_said_before_they_hurt() -> None:
    assert "Secure Boot is on" in decided(bare(ADA, secure_boot=True)).part.warnings[0]
    assert decided(bare(ADA, secure_boot=True, system="ubuntu24")).part.warnings == ()
    assert "nvidia-fabricmanager" in decided(bare(HOPPER, nvswitch=True)).part.warnings[0]


IDS = sorted({str(id_) for row in catalogue.gpus() if row.vendor == NVIDIA and row.id for id_ in (row.id, *row.also)})


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(st.one_of(st.sampled_from(IDS), st.integers(0, 0xFFFF).map("{:04x}".format)), min_size=1, max_size=4),
    system=st.sampled_from(sorted(SYSTEMS)),
    architecture=st.sampled_from(["x86_64", "aarch64"]),
)
def test_no_choice_violates_what_a_card_needs(ids: list[str], system: str, architecture: str) -> None:
    facts = bare(*ids, system=system, architecture=architecture)
    found = driver.decide(facts)
    assert driver.decide(facts) == found
    if isinstance(found, Impossible):
        assert found.why
        assert found.advice
        return
    ollama, branch = releases().ollama, int(found.branch)
    for id_ in ids:
        number = int(id_, 16)
        if number < 0x1340:
            continue
        old = number < 0x1E00
        assert branch >= (ollama.driver_floor_below_compute_7 if number < 0x1D80 else ollama.driver_floor)
        assert not old or (branch <= 580 and found.module == "proprietary" and found.maximum_branch == "580")
        assert number < 0x2900 or (branch >= 570 and found.module == "open")
    assert int(found.minimum) <= branch


def test_the_table_above_names_every_system_of_the_catalogue() -> None:
    named = {drivers().system(*system) for system in SYSTEMS.values()}
    assert named == set(drivers().systems)
    assert set(product(SYSTEMS, (*OLD, *NEW))) <= EXPECTED.keys()
