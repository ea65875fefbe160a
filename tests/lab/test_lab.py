"""The lab itself: hosts are what they pretend to be, can install packages, and go without a trace."""

import json
import re
import socket
import subprocess
from pathlib import Path

import docker
import pytest
import testinfra
from docker.models.containers import Container

from inhouse.errors import LabError
from inhouse.facts.gather import gather
from inhouse.facts.model import DriverState, HostFacts
from inhouse.inventory import Inventory, load
from inhouse.lab import lab as labs
from inhouse.lab import network, profiles
from inhouse.lab.mirror_host import BLOBS
from inhouse.lab.paths import LAB_LABEL, ROLE_LABEL, object_name
from inhouse.lab.standin import faults as standin_faults
from tests.lab.conftest import HOSTS, LabHandle

pytestmark = pytest.mark.lab

CARDS = {
    "cpu-small": "ASPEED Technology, Inc. ASPEED Graphics Family",
    "rtx-4090": "NVIDIA Corporation AD102 [GeForce RTX 4090]",
    "dual-a100-80g": "NVIDIA Corporation GA100 [A100 PCIe 80GB]",
    "old-driver": "NVIDIA Corporation GA102 [GeForce RTX 3090]",
    "broken-driver": "NVIDIA Corporation GA102 [GeForce RTX 3090]",
    "software-gpu": "NVIDIA Corporation AD102 [GeForce RTX 4090]",
    "bookworm": "ASPEED Technology, Inc. ASPEED Graphics Family",
    "trixie": "NVIDIA Corporation AD102 [GeForce RTX 4090]",
}
DRIVERS = {
    "cpu-small": (DriverState.NO_DEVICE, None, None, 0),
    "rtx-4090": (DriverState.WORKING, "580.178.04", "580.178.04", 1),
    "dual-a100-80g": (DriverState.WORKING, "595.91.07", "595.91.07", 2),
    "old-driver": (DriverState.WORKING, "535.309.01", "535.309.01", 1),
    "broken-driver": (DriverState.CANNOT_TALK, "580.173.02", "580.178.04", 0),
    "software-gpu": (DriverState.WORKING, "580.178.04", "580.178.04", 1),
    "bookworm": (DriverState.NO_DEVICE, None, None, 0),
    "trixie": (DriverState.WORKING, "580.178.04", "580.178.04", 1),
}


@pytest.fixture(scope="module")
def inventory(lab: LabHandle) -> Inventory:
    return load(lab.folder)


@pytest.fixture(scope="module")
def facts(inventory: Inventory) -> dict[str, HostFacts]:
    found = gather(inventory.hosts)
    return {name: one for name, one in found.items() if isinstance(one, HostFacts)}


@pytest.mark.parametrize("host", HOSTS)
def test_systemd_runs_and_no_unit_failed(lab: LabHandle, host: str) -> None:
    assert lab.run(host, "systemctl is-system-running").strip() == "running"


def test_pretended_hardware_does_not_meet_the_boots_own_ldconfig(lab: LabHandle) -> None:
    after = lab.run("rtx-4090", "systemctl show --property After --value inhouse-lab-hardware.service")
    assert "ldconfig.service" in after.split()


@pytest.mark.parametrize("host", HOSTS)
def test_lspci_shows_the_pretended_card(lab: LabHandle, host: str) -> None:
    assert CARDS[host] in lab.run(host, "lspci -s '*:*.0' -d ::03xx || lspci")


@pytest.mark.parametrize("host", HOSTS)
def test_the_probe_finds_the_profile_and_its_driver_state(facts: dict[str, HostFacts], host: str) -> None:
    profile, found = profiles.load(HOSTS[host]), facts[host]
    nvidia = found.nvidia
    assert (nvidia.state, nvidia.module_version, nvidia.library_version, len(nvidia.gpus)) == DRIVERS[host]
    assert profile.memory is None or found.memory_total_mib == profile.memory.total_mib
    assert found.cpu.model == profile.cpu.model
    assert found.os.version_id == {"bookworm": "12", "trixie": "13"}[profile.suite]


def test_a_broken_driver_fails_with_the_real_text_and_status(lab: LabHandle) -> None:
    said = lab.run("broken-driver", "nvidia-smi; echo status $?")
    assert said.splitlines()[0] == "Failed to initialize NVML: Driver/library version mismatch"
    assert said.splitlines()[-1] == "status 18"


def test_sudo_needs_no_password_and_root_is_reached_from_the_login(inventory: Inventory) -> None:
    host = next(h for h in inventory.hosts if h.name == "cpu-small")
    ssh = ["ssh", "-F", str(host.connection.ssh_config_file), host.connection.address]
    said = subprocess.run([*ssh, "id -un; sudo -n id -un"], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["admin", "root"]


@pytest.mark.parametrize("host", HOSTS)
def test_testinfra_reaches_every_host_with_the_labs_ssh_configuration(lab: LabHandle, host: str) -> None:
    reached = testinfra.get_host(f"ssh://{lab.address(host)}", ssh_config=str(lab.folder / ".lab" / "ssh_config"))
    assert reached.check_output("hostname") == host


def test_a_host_that_cannot_prove_itself_is_refused(lab: LabHandle, tmp_path: Path) -> None:
    address = lab.address("cpu-small")
    known, config = tmp_path / "known_hosts", tmp_path / "ssh_config"
    original = (lab.folder / ".lab" / "known_hosts").read_text().splitlines()
    keys = dict(line.split(" ", 1) for line in original)
    known.write_text(f"{address} {keys[lab.address('rtx-4090')]}\n")
    text = (lab.folder / ".lab" / "ssh_config").read_text()
    config.write_text(text.replace(str(lab.folder / ".lab" / "known_hosts"), str(known)))
    done = subprocess.run(["ssh", "-F", config, address, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


@pytest.mark.parametrize("host", ["cpu-small", "rtx-4090"])
def test_packages_can_be_installed_from_debian_and_from_pypi(lab: LabHandle, host: str) -> None:
    lab.run(host, "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv")
    assert "nvidia-driver" in lab.run(host, "apt-cache policy nvidia-driver")
    lab.run(host, "python3 -m venv /root/try && /root/try/bin/pip install -q idna && rm -r /root/try")


@pytest.mark.parametrize("host", ["cpu-small", "rtx-4090"])
def test_the_mirror_is_trusted_and_serves_the_pinned_release_and_plain_model_names(lab: LabHandle, host: str) -> None:
    settings = next(h.settings for h in load(lab.folder).hosts if h.name == host)
    archive = f"{settings.ollama_mirror}/v{settings.ollama_version}/ollama-linux-amd64.tar.zst"
    assert lab.run(host, f"curl -sSf {archive} | sha256sum").split()[0] == settings.ollama_archive_sha256
    manifest = lab.run(host, "curl -sSf https://registry.ollama.ai/v2/library/qwen3/manifests/8b")
    blob = json.loads(manifest)["layers"][0]["digest"]
    headers = lab.run(host, f"curl -sSI -X GET https://registry.ollama.ai/v2/library/qwen3/blobs/{blob}")
    assert "307" in headers.splitlines()[0]
    assert f"https://{BLOBS}/" in headers


def test_the_registry_misbehaves_when_told_and_behaves_again(lab: LabHandle) -> None:
    mirror = next(h.settings for h in load(lab.folder).hosts if h.name == "cpu-small")
    archive = f"{mirror.ollama_mirror}/v{mirror.ollama_version}/ollama-linux-amd64.tar.zst"
    fetch = f"curl -s -o /dev/null -w '%{{http_code}}' {archive}; echo \" $?\""
    seen = {}
    for fault in ("503", "cut", "none"):
        lab.fault("registry", fault)
        seen[fault] = lab.run("cpu-small", fetch).splitlines()[-1]
    assert seen == {"503": "503 0", "cut": "200 18", "none": "200 0"}


def test_a_hosts_fault_lies_where_its_stand_in_looks_and_a_real_ollama_is_not_told(lab: LabHandle) -> None:
    if lab.release:
        with pytest.raises(LabError, match="real Ollama"):
            lab.fault("cpu-small", "slow")
        return
    for fault in ("slow", "none"):
        lab.fault("cpu-small", fault)
        assert json.loads(lab.run("cpu-small", f"cat {standin_faults.FILE}")) == {"fault": fault}


def test_the_software_gpu_is_found_by_the_engine_with_memory_that_is_free(lab: LabHandle) -> None:
    settings = next(h.settings for h in load(lab.folder).hosts if h.name == "software-gpu")
    drop_in = "/etc/systemd/system/ollama.service.d/lab-software-gpu.conf"
    found = lab.run(
        "software-gpu",
        "mkdir -p /opt/try && cd /opt/try"
        f" && curl -sSf {settings.ollama_mirror}/v{settings.ollama_version}/ollama-linux-amd64.tar.zst | tar --zstd -x"
        f" && env $(sed -n 's/^Environment=//p' {drop_in}) LD_LIBRARY_PATH=lib/ollama:lib/ollama/vulkan"
        " GGML_BACKEND_PATH=/opt/try/lib/ollama/vulkan/libggml-vulkan.so lib/ollama/llama-server --list-devices 2>&1"
        " && rm -r /opt/try",
    )
    device = re.search(r"Vulkan0: llvmpipe .*\((\d+) MiB, (\d+) MiB free\)", found)
    assert device, found
    assert int(device[2]) > int(device[1]) // 4 > 0


def test_a_second_up_leaves_the_lab_as_it_is(lab: LabHandle) -> None:
    started = {c.name: c.attrs["State"]["StartedAt"] for c in containers(lab.name)}
    assert labs.up(lab.name, HOSTS, lab.folder, lab.release) == lab.folder
    assert {c.name: c.attrs["State"]["StartedAt"] for c in containers(lab.name)} == started


def test_up_with_other_hosts_names_what_is_there_and_changes_nothing(lab: LabHandle) -> None:
    with pytest.raises(LabError, match=f"inhouse lab down --name {lab.name}"):
        labs.up(lab.name, {"one": "cpu-small"}, lab.folder)
    assert len([c for c in containers(lab.name) if c.labels[ROLE_LABEL] == "host"]) == len(HOSTS)


def test_another_lab_stands_beside_and_goes_without_a_trace(
    lab: LabHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scratch = tmp_path / "inventories" / "beside", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    labs.up("beside", {"one": "cpu-small", "two": "cpu-small@trixie"}, folder)
    made = everything("beside")
    assert {kind: len(ids) for kind, ids in made.items()} == {"containers": 3, "networks": 1, "volumes": 2}
    bridges = {f"br-{network_id[:12]}" for network_id in made["networks"]}
    assert bridges <= set(network_interfaces())
    addresses = {host.address for one in labs.labs() if one.name == "beside" for host in one.hosts}
    assert addresses.isdisjoint({lab.address(host) for host in HOSTS})
    assert all(network.taken(address, network.SSH_PORT) for address in addresses)

    labs.down("beside")
    assert not any(everything("beside").values())
    assert bridges.isdisjoint(network_interfaces())
    assert not any(network.taken(address, network.SSH_PORT) for address in addresses)
    assert list((tmp_path / "inventories").iterdir()) == []
    assert list(scratch.iterdir()) == []
    with pytest.raises(LabError, match="no lab is named 'beside'"):
        labs.down("beside")


def test_a_lab_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{network.PREFIX}200"
    monkeypatch.setattr(network, "FIRST", 200)
    with socket.socket() as squatter:
        squatter.bind((address, network.HTTPS_PORT))  # taken, though nothing answers there
        with pytest.raises(LabError, match=r"(?s)the engine cannot start it.*127\.0\.1\.200:443"):
            labs.up("squat", {"one": "cpu-small"}, tmp_path / "squat")
    assert not any(everything("squat").values())
    assert list(tmp_path.iterdir()) == []


def containers(name: str) -> list[Container]:
    return docker.from_env().containers.list(all=True, filters={"label": f"{LAB_LABEL}={name}"})


def everything(name: str) -> dict[str, set[str]]:
    """Ids of all that the engine keeps for a lab, by kind; found by name, so what lost its label counts too."""
    client, prefix = docker.from_env(), object_name(name)
    return {
        "containers": {str(c.id) for c in client.containers.list(all=True) if str(c.name).startswith(prefix)},
        "networks": {str(n.id) for n in client.networks.list() if str(n.name).startswith(prefix)},
        "volumes": {str(v.id) for v in client.volumes.list() if str(v.name).startswith(prefix)},
    }


def network_interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]
