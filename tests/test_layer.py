"""The machine layer of a plan: toolkit and engine, roles that run again, and the contract with the roles themselves."""

import io
import json
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest
from rich.console import Console

from inhouse import role_variables
from inhouse.facts.machine import DriverOrigin, MachineFacts, RoleRecord
from inhouse.facts.model import DriverState, HostFacts, Virtualization
from inhouse.planner import layer
from inhouse.planner.choose import make_plan
from inhouse.planner.hardware import parse
from inhouse.planner.layer import Layer
from inhouse.planner.plan import Plan
from inhouse.planner.show import plan_view
from inhouse.role_variables import RoleVariables
from inhouse.settings import HostSettings
from tests.hosts_to_plan import Host, broken
from tests.test_layer_driver import ADA, BLACKWELL, GB300, PASCAL, VOLTA, bare, working


def decided(facts: HostFacts, *, stated: dict[str, Any] | None = None, **settings: Any) -> Layer:
    return layer.decide(HostSettings.of(**settings), RoleVariables.of((stated or {}).items()), facts)


def planned(facts: HostFacts, **settings: Any) -> Plan:
    return make_plan(Host(HostSettings.of(**settings)), facts)


def test_a_host_that_is_fine_starts_no_ansible() -> None:
    plan = planned(working("595.91.07"))
    assert plan.machine_roles == ()
    assert plan.role_variables("nvidia_driver")["nvidia_driver_minimum"] == "550"


def test_a_host_without_driver_is_planned_for_what_its_card_will_be() -> None:
    plan = planned(broken(DriverState.NO_DRIVER))
    assert plan.machine_roles == ("nvidia_driver",)
    assert plan.accelerator == "cuda"
    assert plan.memory_total_mib == 24576
    assert plan.hardware.startswith("RTX 3090 24 GiB")
    assert plan.warnings == ()
    assert plan.reasons[0] == "nvidia_driver: branch 595 from NVIDIA's repository, open modules (no driver now)."


def test_without_the_layer_the_command_to_type_stays() -> None:
    plan = planned(broken(DriverState.NO_DRIVER), machine_layer=False)
    assert plan.machine_roles == ()
    assert plan.role_variables("nvidia_driver") == {}
    assert plan.accelerator == "cpu"
    assert "Run: curl" in plan.warnings[0]


def test_a_card_nobody_knows_gets_its_driver_first_and_its_models_later() -> None:
    plan = planned(bare("29ff"))
    assert plan.machine_roles == ("nvidia_driver",)
    assert plan.accelerator == "cpu"
    assert any("NVIDIA card 10de:29ff is not in the catalogue" in reason for reason in plan.reasons)


def test_a_card_that_a_newer_driver_hides_is_counted_again() -> None:
    facts = working("595.91", "gtx-1080", "rtx-3090")
    hidden = replace(facts, nvidia=replace(facts.nvidia, gpus=facts.nvidia.gpus[1:]))
    plan = planned(hidden)
    assert plan.machine_roles == ("nvidia_driver",)
    assert plan.hardware.startswith("GTX 1080 8 GiB, RTX 3090 24 GiB")


def test_what_stands_in_the_way_of_the_role_is_told_as_the_command() -> None:
    plan = planned(working("535.1", driver_origin=DriverOrigin.RUNFILE))
    assert plan.machine_roles == ()
    assert plan.warnings[0].endswith("Run: sudo nvidia-uninstall; then here: inhouse up --limit imagined")


def test_a_driver_that_is_taken_away_leaves_the_models_to_the_cpu() -> None:
    host = Host(HostSettings(), role_variables=RoleVariables.of([("nvidia_driver_state", "absent")]))
    plan = make_plan(host, working("595.1", records=(RoleRecord("nvidia_driver"),)))
    assert (plan.machine_roles, plan.nvidia_driver_state, plan.accelerator) == (("nvidia_driver",), "absent", "cpu")


TOOLKITS = [
    (bare(PASCAL), "nvidia", ("12.9",), "12.9"),
    (bare(ADA), "nvidia", ("13.2",), "13.2"),
    (bare(VOLTA, system="debian13"), "distribution", (), "12.4"),
    (bare(BLACKWELL, system="ubuntu24"), "nvidia", ("13.2",), "13.2"),
    (working("580.95.05"), "nvidia", ("13.0",), "13.0"),
    (working("550.163.01"), "nvidia", ("12.4",), "12.4"),
    (parse("ram 32"), "distribution", (), ""),
]


@pytest.mark.parametrize(("facts", "source", "versions", "maximum"), TOOLKITS)
def test_toolkits_that_cards_and_driver_know(
    facts: HostFacts, source: str, versions: tuple[str, ...], maximum: str
) -> None:
    found = decided(facts, cuda_toolkit=True)
    assert found.roles[-1] == "cuda_toolkit"
    told = found.variables
    assert (told["cuda_toolkit_source"], told["cuda_toolkit_versions"]) == (source, versions)
    assert told["cuda_toolkit_maximum"] == maximum


def test_no_toolkit_unless_wanted_and_none_twice() -> None:
    assert "cuda_toolkit_state" not in decided(bare(ADA)).variables
    assert decided(working("595.91", cuda_toolkits=("13.2",)), cuda_toolkit=True).roles == ()


@pytest.mark.parametrize(
    ("facts", "stated", "said"),
    [
        (bare(PASCAL), {"cuda_toolkit_versions": ("13.0",)}, "13.0, but GTX 1080 and the driver need 12.9 or older"),
        (bare(BLACKWELL), {"cuda_toolkit_versions": ("12.4",)}, "12.4, but RTX 5090 and the driver need 12.8 or newer"),
        (bare(GB300), {"cuda_toolkit_versions": ("12.8",)}, "12.9 or newer"),
        (parse("ram 32"), {"cuda_toolkit_versions": ("newest",)}, 'has newest, but versions such as "12.9" are needed'),
        (bare(ADA), {"cuda_toolkit_versions": ("12.9",), "cuda_toolkit_default": "13.0"}, "is not among"),
    ],
)  # fmt: skip
def test_a_toolkit_that_cannot_work_is_a_problem(facts: HostFacts, stated: dict[str, Any], said: str) -> None:
    found = decided(facts, stated=stated, cuda_toolkit=True)
    assert said in found.problems[0]
    assert "cuda_toolkit" not in found.roles


def test_stated_toolkits_stand_side_by_side() -> None:
    found = decided(bare(ADA), stated={"cuda_toolkit_versions": ("12.9", "13.0")}, cuda_toolkit=True)
    assert found.variables["cuda_toolkit_versions"] == ("12.9", "13.0")
    assert found.variables["cuda_toolkit_default"] == "13.0"


def test_where_the_system_has_a_toolkit_of_its_own_none_is_installed() -> None:
    wsl = replace(working("595.1"), virtualization=Virtualization.WSL)
    assert "WSL has a toolkit of its own" in decided(wsl, cuda_toolkit=True).warnings[0]
    assert "JetPack" in decided(parse("jetson-agx-orin 64"), cuda_toolkit=True).warnings[0]


def test_no_toolkit_is_known_for_a_blackwell_in_a_system_that_is_not() -> None:
    found = decided(bare(BLACKWELL, system="debian13", architecture="aarch64"), cuda_toolkit=True)
    assert "No CUDA toolkit for debian13 is known that fits" in found.warnings[0]


def engine(docker: str | None, facts: HostFacts, **machine: Any) -> HostFacts:
    found = replace(facts, machine=replace(facts.machine, **machine))
    return replace(found, installed=replace(found.installed, docker=docker))


HAS_RUN = (RoleRecord("container_engine"),)


def test_the_engine_is_installed_configured_and_then_left_alone() -> None:
    plain = parse("ram 32")
    assert "none now" in decided(engine(None, plain), container_engine=True).reasons[0]
    assert "Docker 27.1 now, which it configures" in decided(engine("27.1", plain), container_engine=True).reasons[0]
    assert decided(engine("27.1", plain, records=HAS_RUN), container_engine=True).roles == ()
    assert decided(engine("27.1", working("595.1"), records=HAS_RUN), container_engine=True).roles == (
        "container_engine",
    )
    with_gpu = engine("27.1", working("595.1"), records=HAS_RUN, container_gpu=True)
    assert decided(with_gpu, container_engine=True).roles == ()
    assert decided(engine(None, plain)).roles == ()


def test_absent_is_done_once() -> None:
    off = {"container_engine_state": "absent", "cuda_toolkit_state": "absent"}
    records = (*HAS_RUN, RoleRecord("cuda_toolkit"))
    assert decided(engine("27.1", parse("ram 32"), records=records), stated=off).roles == (
        "cuda_toolkit",
        "container_engine",
    )
    assert decided(engine("27.1", parse("ram 32")), stated=off).roles == ()


def recorded(**then: Any) -> HostFacts:
    pairs = tuple(sorted((f"container_engine_{name}", json.dumps(value)) for name, value in then.items()))
    return engine("27.1", parse("ram 32"), records=(RoleRecord("container_engine", pairs),))


def test_a_setting_that_changed_runs_its_role_again() -> None:
    facts = recorded(log_max_size="10m", docker_repository="anything", apt_lock_timeout=5)
    assert decided(facts, container_engine=True).roles == ()
    changed = decided(facts, stated={"container_engine_log_max_size": "20m"}, container_engine=True)
    assert changed.roles == ("container_engine",)
    assert changed.reasons == ("container_engine: container_engine_log_max_size changed since it last ran.",)
    assert decided(recorded(log_max_size="20m"), container_engine=True).roles == ("container_engine",)


def test_a_role_that_was_cut_off_runs_again() -> None:
    facts = engine("27.1", parse("ram 32"), records=(RoleRecord("container_engine", finished=False),))
    assert decided(facts, container_engine=True).reasons == ("container_engine: it was cut off when it last ran.",)


PLANNED = get_type_hints(Plan)
ROLES = [role for role in role_variables.names() if any(name.startswith(f"{role}_") for name in PLANNED)]


def test_the_plan_has_a_part_for_each_role_of_the_machine() -> None:
    assert set(ROLES) == {"nvidia_driver", "cuda_toolkit", "container_engine"}


@pytest.mark.parametrize("role", ROLES)
def test_the_plans_keys_are_the_roles_variables_with_their_types(role: str) -> None:
    options = role_variables.options(role)
    keys = [name for name in PLANNED if name.startswith(f"{role}_")]
    assert keys
    for name in keys:
        kind, _ = get_args(PLANNED[name])
        option = options[name]
        if "choices" in option:
            assert set(get_args(kind)) == set(option["choices"]), name
        else:
            assert {str: "str", bool: "bool", tuple[str, ...]: "list"}[kind] == option["type"], name


def test_every_role_that_can_run_is_told_only_what_its_plan_can_hold() -> None:
    found = decided(bare(ADA), cuda_toolkit=True, container_engine=True)
    assert found.roles == ("nvidia_driver", "cuda_toolkit", "container_engine")
    assert found.variables.keys() <= PLANNED.keys()
    assert {name for name in PLANNED if name.startswith(tuple(f"{r}_" for r in ROLES))} == found.variables.keys()


def test_nothing_is_known_of_a_host_in_an_old_recording() -> None:
    assert parse("ram 32").machine == MachineFacts()


def test_a_plan_shows_what_a_role_will_do_under_the_roles_name() -> None:
    console = Console(file=io.StringIO(), width=160, highlight=False)
    console.print(plan_view(planned(broken(DriverState.NO_DRIVER))))
    assert isinstance(console.file, io.StringIO)
    assert (
        "nvidia_driver: branch 595 from NVIDIA's repository, open modules (no driver now)." in console.file.getvalue()
    )
