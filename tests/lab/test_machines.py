"""Kinds of machines that the session's lab has none of: what a probe finds there, and a GPU by AMD put to use.

A small lab of their own, made for this file alone: hosts cost little, but two cores feel every one of them.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from inhouse import layout
from inhouse.console import Progress
from inhouse.facts import gather as gathering
from inhouse.facts.gather import gather
from inhouse.facts.model import HostFacts
from inhouse.inventory import Inventory, load
from inhouse.lab import lab as labs
from inhouse.lab import profiles
from inhouse.planner.machine import judge
from inhouse.planner.plan import Plan
from inhouse.runners import run_pyinfra
from inhouse.survey import survey
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

HOSTS = ("h100-mig", "gb10", "rx-7900-xtx")
RADEON = "rx-7900-xtx"
CARDS = {
    "h100-mig": "NVIDIA Corporation GH100",
    "gb10": "NVIDIA Corporation Device 2e12",
    "rx-7900-xtx": "Advanced Micro Devices, Inc. [AMD/ATI] Navi 31 [Radeon RX 7900",
}
SETTINGS = {
    # Small, since a processor that plays a GPU is slow, and pinned, since it is the host's GPU that is tested here.
    RADEON: {"models": ["qwen3:8b"], "context_length": 4096, "min_tokens_per_second": 0.1, "open_webui": False},
}
PROBE_CPU_S = 1.0
"""Seen: 0.3 s, most of it for four calls of a stand-in written in Python."""
LOAD_S = 900


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHandle]:
    name = "test-" + hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:6]
    folder = labs.up(name, {host: host for host in HOSTS}, tmp_path_factory.mktemp("machines") / "inventory")
    for host, settings in SETTINGS.items():
        file = folder / "host_vars" / host / "tests.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    yield LabHandle(name, folder, None)
    labs.down(name)


@pytest.fixture(scope="module")
def inventory(machines: LabHandle) -> Inventory:
    return load(machines.folder)


@pytest.fixture(scope="module")
def facts(inventory: Inventory) -> dict[str, HostFacts]:
    found = gather(inventory.hosts)
    return {name: one for name, one in found.items() if isinstance(one, HostFacts)}


@pytest.mark.parametrize("host", HOSTS)
def test_lspci_shows_the_pretended_card_and_every_unit_runs(machines: LabHandle, host: str) -> None:
    assert CARDS[host] in machines.run(host, "lspci -d ::03xx")
    assert machines.run(host, "systemctl is-system-running").strip() == "running"


def test_the_probe_finds_the_slices_of_a_split_gpu(facts: dict[str, HostFacts]) -> None:
    nvidia = profiles.load("h100-mig").nvidia
    assert nvidia is not None
    (gpu,) = facts["h100-mig"].nvidia.gpus
    assert gpu.mig
    assert gpu.processes == ()
    assert [(s.profile, s.uuid, s.memory_total_mib, s.memory_used_mib) for s in gpu.slices] == [
        (s.profile, s.uuid, s.total_mib, s.used_mib) for s in nvidia.gpus[0].slices
    ]
    assert [card.memory_mib for card in judge(facts["h100-mig"]).cards] == [40448]


def test_the_probe_finds_unified_memory(facts: dict[str, HostFacts]) -> None:
    (gpu,) = facts["gb10"].nvidia.gpus
    assert (gpu.pci_slot, gpu.memory_total_mib, gpu.memory_used_mib) == ("000f:01:00.0", None, None)
    (card,) = judge(facts["gb10"]).cards
    assert (card.unified, card.memory_mib) == (True, facts["gb10"].memory_total_mib)


def test_the_probe_finds_amds_card_and_tells_the_processors_graphics_from_it(facts: dict[str, HostFacts]) -> None:
    card, graphics = facts[RADEON].amd
    assert (card.pci_slot, card.memory_total_mib, card.gfx) == ("0000:03:00.0", 24560, "gfx1100")
    assert (card.integrated, card.render_node, card.ollama_mib) == (False, "/dev/dri/renderD128", 0)
    assert (graphics.gfx, graphics.integrated) == ("gfx1036", True)
    assert [(c.name, c.backend) for c in judge(facts[RADEON]).cards] == [("RX 7900 XTX", "vulkan")]


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_laid_over_sysfs_hides_nothing_of_it(machines: LabHandle, host: str) -> None:
    assert "lo" in machines.run(host, "ls /sys/class/net").split()
    assert machines.run(host, "cat /sys/class/net/lo/ifindex").strip() == "1"


def test_the_probe_is_quick(machines: LabHandle) -> None:
    script = Path(gathering.__file__).with_name("probe.sh").read_text(encoding="utf-8")
    machines.run("h100-mig", f"cat >/run/probe.sh <<'PROBE'\n{script}PROBE\n")
    call = "sh /run/probe.sh /var/lib/ollama/models /opt/inhouse /o /w /f /c"
    # The processor's time, since the machine's other work is nothing the probe can help.
    said = machines.run(
        "h100-mig", f"bash -c 'TIMEFORMAT=%U+%S; time {call} >/run/probe.out' 2>&1; tail -n 1 /run/probe.out"
    )
    spent, end = said.split()
    assert end == "@end"
    assert sum(map(float, spent.split("+"))) < PROBE_CPU_S


@pytest.fixture(scope="module")
def radeon(inventory: Inventory) -> tuple[Inventory, Plan]:
    """The host with AMD's card alone, and its plan."""
    alone = inventory.limited_to((RADEON,))
    found = survey(alone, Progress(Console(quiet=True)))
    assert not found.errors
    return alone, found.plans[RADEON]


def test_a_card_by_amd_is_planned_by_vulkan(radeon: tuple[Inventory, Plan]) -> None:
    _, plan = radeon
    assert (plan.accelerator, plan.ollama_nvidia, plan.problems) == ("vulkan", False, ())
    assert plan.models[0].gpu_share == 1.0
    assert plan.ollama_without == ("lib/ollama/cuda_v12", "lib/ollama/cuda_v13")
    assert "RX 7900 XTX 24 GiB" in plan.hardware


def test_its_service_may_open_the_gpus_devices_and_no_others(
    machines: LabHandle, radeon: tuple[Inventory, Plan]
) -> None:
    inventory, plan = radeon
    result = run_pyinfra(inventory, [plan], dry=False)[RADEON]
    assert result.status == "changed", result.error
    shown = machines.run(RADEON, f"systemctl show {layout.OLLAMA_UNIT} --property DevicePolicy,DeviceAllow,ActiveState")
    assert {"DevicePolicy=closed", "DeviceAllow=char-drm rw", "ActiveState=active"} <= set(shown.splitlines())
    pid = machines.run(RADEON, f"systemctl show {layout.OLLAMA_UNIT} -P MainPID").strip()
    groups = machines.run(RADEON, f"grep ^Groups /proc/{pid}/status").split()
    allowed = machines.run(RADEON, "getent group render video | cut -d: -f3").split()
    assert set(allowed) <= set(groups)
    assert "renderD128" in machines.run(RADEON, f"nsenter --mount --target {pid} ls /dev/dri")
    assert "ii " in machines.run(RADEON, "dpkg -l mesa-vulkan-drivers")
    again = run_pyinfra(inventory, [plan], dry=False)[RADEON]
    assert again.status == "unchanged", again.changes


def test_inside_its_sandbox_the_engine_offloads_every_layer_by_vulkan(
    machines: LabHandle, radeon: tuple[Inventory, Plan]
) -> None:
    # No prompt: loading alone compiles shaders for half a minute, and for minutes where many share the cores.
    asked = json.dumps({"model": radeon[1].models[0].tag, "stream": False})
    url = "http://127.0.0.1:11434/api"
    answer = json.loads(machines.run(RADEON, f"curl -sS --max-time {LOAD_S} {url}/generate -d '{asked}'"))
    assert answer["done_reason"] == "load", answer
    (loaded,) = json.loads(machines.run(RADEON, f"curl -sS {url}/ps"))["models"]
    assert loaded["size_vram"] == loaded["size"] > 0
    journal = machines.run(RADEON, f"journalctl -u {layout.OLLAMA_UNIT} -o cat --no-pager")
    assert "Vulkan0" in journal
    assert "offloaded 19/19 layers to GPU" in journal


def test_with_a_model_loaded_the_same_is_planned(inventory: Inventory, radeon: tuple[Inventory, Plan]) -> None:
    facts = gather(inventory.limited_to((RADEON,)).hosts)[RADEON]
    assert isinstance(facts, HostFacts)
    assert [card.taken_mib for card in judge(facts).cards] == [0]
    assert survey(radeon[0], Progress(Console(quiet=True))).plans[RADEON] == radeon[1]
