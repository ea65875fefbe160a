"""The probe itself, run on this machine by the shells that hosts have."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from inhouse.facts import gather
from inhouse.facts.machine import DriverOrigin, Kernel, RoleRecord
from inhouse.facts.model import DriverState, HostFacts
from inhouse.facts.parse import parse

PROBE = Path(gather.__file__).with_name("probe.sh").read_text(encoding="utf-8")

# dash and bash are on every Debian; busybox joins where it is.
SHELLS = [["dash"], ["bash", "--posix"], *([["busybox", "sh"]] if shutil.which("busybox") else [])]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_every_shell_prints_this_machines_facts(shell: list[str], tmp_path: Path) -> None:
    facts = probe(tmp_path, shell=shell)
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8").split()
    assert facts.memory_total_mib == int(meminfo[meminfo.index("MemTotal:") + 1]) // 1024
    assert facts.cpu.threads == Path("/proc/cpuinfo").read_text(encoding="utf-8").count("\nprocessor\t") + 1
    assert facts.models_disk.total_mib == pytest.approx(shutil.disk_usage(tmp_path).total / 2**20, abs=2)
    assert abs(facts.clock_offset_s) < 5


def test_what_inhouse_put_there_is_told_from_what_it_did_not(tmp_path: Path) -> None:
    (tmp_path / "opt/ollama/0.34.4/bin").mkdir(parents=True)
    (tmp_path / "opt/ollama/current").symlink_to("0.34.4")
    (tmp_path / "opt/open-webui").mkdir()
    (tmp_path / "opt/open-webui/current").symlink_to(tmp_path / "opt/open-webui/0.12.4")
    (tmp_path / "fleet").write_text("SHA256:ab\n", encoding="utf-8")
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", encoding="utf-8")
    own = program(tmp_path / "opt/ollama/0.34.4/bin/ollama", "exit 0")
    output = run(tmp_path, {"ollama": "exit 0"})
    facts = parse("here", output, time.time())
    assert (facts.installed.ollama, facts.installed.open_webui) == ("0.34.4", "0.12.4")
    assert facts.fleet == "SHA256:ab"
    assert facts.certificate_pem == (tmp_path / "cert.pem").read_text(encoding="utf-8")

    # This machine may have an Ollama of its own, so only the one made here is looked for.
    here = str(tmp_path / "bin/ollama")
    assert here in output
    (tmp_path / "bin/ollama").unlink()
    (tmp_path / "bin/ollama").symlink_to(own)
    assert here not in run(tmp_path, {})


def test_a_driver_that_does_not_know_a_field_is_asked_again_without_it(tmp_path: Path) -> None:
    facts = probe(
        tmp_path,
        {
            "nvidia-smi": """case $1 in
            *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
            esac
            echo '0, Tesla P100-PCIE-16GB, GPU-1, 00000000:3B:00.0, 16280, 16270, 470.82.01, 10'"""
        },
    )
    assert facts.nvidia.state == DriverState.WORKING
    assert [(gpu.name, gpu.compute_capability) for gpu in facts.nvidia.gpus] == [("Tesla P100-PCIE-16GB", None)]


MIG = """case $1 in
    --query-gpu=*) echo '0, NVIDIA H100 NVL, GPU-1, 00000000:18:00.0, 81559, 81022, 590.48.01, 59, 9.0, Enabled' ;;
    --query-compute-apps=*) echo "$PPID, GPU-1, 300, /usr/bin/python3, really" ;;
    -L) echo 'GPU 0: NVIDIA H100 NVL (UUID: GPU-1)'; echo '  MIG 3g.40gb     Device  0: (UUID: MIG-1)' ;;
    -q) printf '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "x.dtd">\n<nvidia_smi_log>\n'
        printf '\t<gpu id="00000000:18:00.0">\n\t\t<fb_memory_usage>\n\t\t\t<total>81559 MiB</total>\n'
        printf '\t\t</fb_memory_usage>\n\t\t<mig_devices>\n\t\t\t<mig_device>\n\t\t\t\t<index>0</index>\n'
        printf '\t\t\t\t<fb_memory_usage>\n\t\t\t\t\t<total>40448 MiB</total>\n\t\t\t\t</fb_memory_usage>\n'
        printf '\t\t\t</mig_device>\n\t\t</mig_devices>\n\t\t<uuid>GPU-1</uuid>\n\t</gpu>\n</nvidia_smi_log>\n' ;;
    *) exit 2 ;;
esac"""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_slices_and_programs_of_a_gpu_are_asked_for(shell: list[str], tmp_path: Path) -> None:
    (gpu,) = probe(tmp_path, {"nvidia-smi": MIG}, shell=shell).nvidia.gpus
    assert [(s.profile, s.uuid, s.memory_total_mib) for s in gpu.slices] == [("3g.40gb", "MIG-1", 40448)]
    assert gpu.processes is not None
    assert [(p.name, p.memory_mib, p.ollama) for p in gpu.processes] == [("/usr/bin/python3, really", 300, False)]


def test_slices_are_not_asked_for_where_there_are_none(tmp_path: Path) -> None:
    calls = f"echo $1 >>{tmp_path}/calls; {MIG.replace('Enabled', 'Disabled')}"
    assert probe(tmp_path, {"nvidia-smi": calls}).nvidia.gpus[0].slices == ()
    called = (tmp_path / "calls").read_text(encoding="utf-8").split()
    assert [call.partition("=")[0] for call in called] == ["--query-gpu", "--query-compute-apps"]


def test_a_driver_that_fails_is_asked_once(tmp_path: Path) -> None:
    probe(tmp_path, {"nvidia-smi": f"echo $1 >>{tmp_path}/calls; echo 'No devices were found'; exit 6"})
    assert len((tmp_path / "calls").read_text(encoding="utf-8").split()) == 1


def test_what_ollamas_own_unit_holds_is_asked_of_the_kernel_where_amdgpu_drives_a_card(tmp_path: Path) -> None:
    """This machine has no such card: its folder of PCI devices stands for another's."""
    card = tmp_path / "pci" / "0000:03:00.0"
    card.mkdir(parents=True)
    (card / "mem_info_vram_total").write_text("25753026560\n", encoding="utf-8")
    script = PROBE.replace("/sys/bus/pci/devices", str(tmp_path / "pci"))
    script = script.replace("/sys/fs/cgroup$group", f"{tmp_path}/cgroup$group")
    (tmp_path / "cgroup/system.slice").mkdir(parents=True)
    (tmp_path / "cgroup/system.slice/cgroup.procs").write_text("4194305\n", encoding="utf-8")
    output = run(tmp_path, {"systemctl": "echo /system.slice"}, script=script)
    facts = parse("here", output, time.time())
    assert [(g.memory_total_mib, g.ollama_mib) for g in facts.amd] == [(24560, None)]
    assert "unreadable 4194305" in output


def test_a_program_neither_ends_the_output_nor_swallows_the_script(tmp_path: Path) -> None:
    output = run(tmp_path, {"nvidia-smi": "cat; echo @end; exit 9"}, shell=["bash"])
    said = output[output.index("@nvidia-smi status=9") : output.index("@amd-gpus")]
    assert said.splitlines()[1:] == [" @end", ""]


@pytest.mark.parametrize("timeout", ["timeout", "no timeout"])
def test_an_nvidia_smi_that_hangs_is_ended(timeout: str, tmp_path: Path) -> None:
    programs = {"nvidia-smi": "exec sleep 30"}
    if timeout == "no timeout":
        programs["timeout"] = "exit 127"
    script = PROBE.replace("limited 20 nvidia-smi", "limited 0.3 nvidia-smi")
    assert script != PROBE
    began = time.monotonic()
    output = run(tmp_path, programs, script=script)
    assert time.monotonic() - began < 10
    status = "143" if timeout == "no timeout" else "124"
    assert f"@nvidia-smi status={status}" in output
    assert output.endswith("@end\n")


def test_a_script_cut_short_on_its_way_runs_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, {}, script=PROBE[: PROBE.index('main "$@"')]) == ""


def program(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(folder: Path, programs: Mapping[str, str], *, shell: list[str] | None = None, script: str = PROBE) -> str:
    """Run the probe with some programs of its own before the system's, and return what it printed."""
    (folder / "bin").mkdir(exist_ok=True)
    for name, body in programs.items():
        program(folder / "bin" / name, body)
    arguments = ["models/not/there/yet", "opt", "opt/ollama/current", "opt/open-webui/current", "fleet", "cert.pem"]
    done = subprocess.run(
        [*(shell or ["sh"]), "-s", "--", *(str(folder / argument) for argument in arguments)],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin"},
    )
    assert done.stderr == ""
    return done.stdout


def probe(folder: Path, programs: Mapping[str, str] | None = None, *, shell: list[str] | None = None) -> HostFacts:
    """Run the probe and return the facts."""
    return parse("here", run(folder, programs or {}, shell=shell), time.time())


PACKAGES = """echo 'rc  nvidia-kernel-dkms 535.1-1 Debian NVIDIA Maintainers <a@debian.org>'
echo 'hi  libcuda1 595.91.07-1 NVIDIA <cudatools@nvidia.com>'
echo 'un  nvidia-smi  '
exit 1"""
"""As dpkg-query answers: with status 1, since one of the names it was asked for is not known."""


@pytest.mark.parametrize("module", ["nvidia", "nvidia-current", "nvidia-current-open"])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_what_roles_start_from_is_found_without_root(shell: list[str], module: str, tmp_path: Path) -> None:
    script = PROBE
    for place in ("/boot/", "/lib/modules/", "/usr/local/cuda-", "/var/lib/inhouse/", "/sys/bus/pci/devices/"):
        script = script.replace(place, f"{tmp_path}{place}")
    for name in ("6.1.0-9", "6.1.0-41", "0-rescue-abc"):
        made(tmp_path / f"boot/vmlinuz-{name}")
    made(tmp_path / "lib/modules/6.1.0-41/vmlinuz")
    made(tmp_path / "lib/modules/6.1.0-9/build/Makefile")
    program(made(tmp_path / "usr/local/cuda-12.9/bin/nvcc"), "exit 0")
    made(tmp_path / "var/lib/inhouse/roles/cuda_toolkit.json", '{\n "variables": {"cuda_toolkit_path": true}\n}\n')
    made(tmp_path / "sys/bus/pci/devices/0000:07:00.0/vendor", "0x10de\n")
    made(tmp_path / "sys/bus/pci/devices/0000:07:00.0/class", "0x068000\n")
    modinfo = f'case "$*" in "-k 6.1.0-9 -F version {module}") echo 595.91.07 ;; *) exit 1 ;; esac'
    output = run(tmp_path, {"dpkg-query": PACKAGES, "modinfo": modinfo}, shell=shell, script=script)
    found = parse("here", output, time.time()).machine
    assert found.kernels == (Kernel("6.1.0-9", True, "595.91.07"), Kernel("6.1.0-41", False, None))
    assert (found.driver_origin, found.held) == (DriverOrigin.NVIDIA, ("libcuda1",))
    assert found.cuda_toolkits == ("12.9",)
    assert found.nvswitch
    assert found.records == (RoleRecord("cuda_toolkit", (("cuda_toolkit_path", "true"),)),)


def made(path: Path, text: str = "") -> Path:
    """Write a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
