"""What lands on hosts, against reviewed files.

`INHOUSE_WRITE_GOLDEN=1 pytest tests/test_templates.py` writes them anew, to be reviewed again.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from inhouse import layout
from inhouse.deploys.models import full_name, manifest_path
from inhouse.deploys.ollama import REPLACED_UNITS, install_script
from inhouse.deploys.proxy import caddyfile
from inhouse.planner.plan import Plan
from inhouse.templating import render
from tests.samples import a_plan

GOLDEN = Path(__file__).parent / "golden" / "deploys"
CPU = a_plan(accelerator="cpu", ollama_nvidia=False, ollama_without=("lib/ollama/cuda_v12", "lib/ollama/cuda_v13"))
GPU = a_plan()
VULKAN = a_plan(
    accelerator="vulkan", ollama_nvidia=False, ollama_without=("lib/ollama/cuda_v12", "lib/ollama/cuda_v13")
)
HOME = a_plan(ollama_models_dir="/home/models", ollama_port=11500, ollama_flash_attention=False)
PROGRAMS_ONLY = a_plan(open_webui=False, http_port=8080, https_port=8443)


def service(plan: Plan) -> str:
    return render("ollama/ollama.service.j2", plan=plan, layout=layout)


def environment(plan: Plan) -> str:
    return render("ollama/ollama.env.j2", plan=plan, release="0.34.4-abc")


FILES = {
    "ollama-cpu.service": service(CPU),
    "ollama-gpu.service": service(GPU),
    "ollama-vulkan.service": service(VULKAN),
    "ollama-models-in-home.service": service(HOME),
    "ollama-cpu.env": environment(CPU),
    "ollama-gpu.env": environment(HOME),
    "Caddyfile-open-webui": caddyfile(GPU),
    "Caddyfile-programs-only": caddyfile(PROGRAMS_ONLY),
    "caddy-drop-in.conf": render("caddy/drop-in.conf.j2", layout=layout),
    "caddy.env": render("caddy/caddy.env.j2", token="token-of-the-test"),
    "install-cpu.sh": install_script(CPU),
}
SCRIPTS = {
    "install": install_script(CPU),
    "install-everything": install_script(GPU),
    "pull": render("ollama/pull.sh.j2"),
    "replace": render("ollama/replace.sh.j2", layout=layout, kept=REPLACED_UNITS),
    "serve": render("ollama/serve.sh.j2", layout=layout, port=11434, version="0.34.4"),
    "ollama-state": render("ollama/state.sh.j2", layout=layout, port=11434),
    "store": render(
        "ollama/store.sh.j2",
        port=11434,
        folder="/var/lib/ollama/models",
        manifests={full_name("qwen3:8b"): manifest_path("qwen3:8b")},
    ),
    "caddy-state": render("caddy/state.sh.j2", layout=layout, port=443, server_name="gpu1.example.internal"),
    "caddy-apply": render(
        "caddy/apply.sh.j2", layout=layout, caddyfile=caddyfile(GPU), port=443, http_port=80, kept=REPLACED_UNITS
    ),
}


def test_every_setting_of_the_plan_is_in_the_environment() -> None:
    plan = a_plan(
        ollama_visible_devices="GPU-1,GPU-2",
        ollama_vulkan=False,
        ollama_integrated_gpu=True,
        ollama_sched_spread=True,
        ollama_fit_target_mib=1024,
        ollama_max_queue=99,
        ollama_load_timeout="7m",
    )
    lines = environment(plan).splitlines()
    for line in (
        "CUDA_VISIBLE_DEVICES=GPU-1,GPU-2",
        "OLLAMA_VULKAN=0",
        "OLLAMA_IGPU_ENABLE=1",
        "OLLAMA_SCHED_SPREAD=1",
        "LLAMA_ARG_FIT_TARGET=1024",
        "OLLAMA_MAX_QUEUE=99",
        "OLLAMA_LOAD_TIMEOUT=7m",
    ):
        assert line in lines
    # An empty list would hide every GPU.
    assert "CUDA_VISIBLE_DEVICES" not in environment(a_plan())


@pytest.mark.parametrize("name", FILES)
def test_file_is_the_reviewed_one(name: str) -> None:
    if os.environ.get("INHOUSE_WRITE_GOLDEN"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        (GOLDEN / name).write_text(FILES[name], encoding="utf-8")
    assert FILES[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_every_reviewed_file_is_compared() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == set(FILES)


def test_shellcheck_finds_nothing_in_what_runs_on_hosts(tmp_path: Path) -> None:
    for name, body in SCRIPTS.items():
        (tmp_path / f"{name}.sh").write_text(body, encoding="utf-8")
    # SC2015: "a && b || c" is meant so where it stands. SC1090/1091: the sourced file is on the host.
    command = [
        str(Path(sys.executable).with_name("shellcheck")),
        "--shell=dash",
        "--exclude=SC2015,SC1090,SC1091",
        *map(str, sorted(tmp_path.iterdir())),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == ""


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_only_once_all_of_it_has_arrived(name: str) -> None:
    assert re.fullmatch(r"main( </dev/null)?( 2>/dev/null)?", SCRIPTS[name].rstrip().splitlines()[-1])


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="token"):
        render("caddy/caddy.env.j2")


def test_every_ollama_setting_is_explicit_and_the_cloud_is_off() -> None:
    settings = dict(line.split("=", 1) for line in FILES["ollama-cpu.env"].splitlines() if re.match("[A-Z]", line))
    assert settings["OLLAMA_NO_CLOUD"] == "1"
    assert settings["OLLAMA_HOST"] == "127.0.0.1:11434"
    assert settings["OLLAMA_CONTEXT_LENGTH"] == "8192"


@pytest.mark.parametrize(("kind", "hidden"), [("cpu", True), ("gpu", False), ("vulkan", False)])
def test_only_a_host_that_computes_on_its_processor_hides_all_devices(kind: str, hidden: bool) -> None:
    assert ("PrivateDevices=yes" in FILES[f"ollama-{kind}.service"]) is hidden


def test_a_gpu_by_vulkan_is_open_to_its_groups_and_no_other_device_is() -> None:
    unit = FILES["ollama-vulkan.service"].splitlines()
    assert {"SupplementaryGroups=render video", "DevicePolicy=closed", "DeviceAllow=char-drm rw"} <= set(unit)
    assert not any("nvidia" in line for line in unit)


def test_the_caddyfile_holds_no_token_and_its_unit_does_not_print_the_environment() -> None:
    assert "{env.INHOUSE_API_TOKEN}" in FILES["Caddyfile-open-webui"]
    commands = [line for line in FILES["caddy-drop-in.conf"].splitlines() if line.startswith("ExecStart=")]
    assert commands == ["ExecStart=", "ExecStart=/usr/bin/caddy run --config /etc/caddy/Caddyfile"]
