"""Facts as people and programs see them."""

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from inhouse.facts.model import HostFacts
from inhouse.facts.parse import parse
from inhouse.facts.show import as_record, facts_view

RECORDINGS = Path(__file__).parent / "facts"
CONTROLLER_TIME = 1795620082.0


def recorded(name: str) -> HostFacts:
    """Return the facts of a recording."""
    return parse("gpu1", (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8"), CONTROLLER_TIME)


def shown(facts: HostFacts) -> str:
    """Return the panel as text, its line breaks taken back."""
    output = io.StringIO()
    Console(width=200, file=output).print(facts_view(facts))
    return " ".join(output.getvalue().replace("│", " ").split())


SEEN = {
    "working-rtx-4090-debian12": [
        "gpu1",
        "Debian GNU/Linux 12 (bookworm), kernel 6.1.0-40-amd64, x86_64",
        "AMD Ryzen 9 7950X 16-Core Processor, 16 cores, 32 threads",
        "62.7 GiB, 58.7 GiB available",
        "/: 685.5 GiB free of 916.0 GiB",
        "NVIDIA 10de:2684 at 0000:01:00.0, driver nvidia",
        "working (module 580.126.09, library 580.126.09)",
        "NVIDIA GeForce RTX 4090, 24.0 GiB, 23.6 GiB free, compute capability 8.9",
        "Ollama 0.34.4, Open-WebUI 0.12.4, Caddy 2.6.2",
        "443 (caddy), 8080 (open-webui), 11434 (ollama)",
        "fleet SHA256:2f:6a:11",
    ],
    "broken-driver-versions-differ-debian13": [
        "driver cannot talk (module 580.173.02, library 580.178.04): Failed to initialize NVML",
        "nobody yet",
    ],
    "intel-n100-foreign-ollama": [
        "/etc/systemd/system/ollama.service (not put there by inhouse)",
        "31536000 s ahead of this machine's",
    ],
    "machine-of-the-roles-debian12": [
        "driver is from NVIDIA's repository, 2 packages held",
        "newest kernel 6.1.0-41-amd64, no NVIDIA module, without headers",
        "restart asked for",
        "CUDA toolkits 12.9, 13.0",
    ],
    "machine-runfile-secure-boot-nvswitch": ["NVIDIA's installer (.run)", "Secure Boot on: only signed modules"],
    "unified-memory-gb10": ["NVIDIA GB10, memory shared with the host"],
    "mig-h100": ["split by MIG: 3g.40gb 39.5 GiB, 2g.20gb 19.6 GiB", "used by /opt/inhouse/ollama/0.34.4/lib"],
    "mig-h100-without-slices": ["split by MIG: no slices"],
    "mig-h100-xml-cut-off": ["split by MIG: 3g.40gb, 2g.20gb"],
    "occupied-by-others-and-ollama": ["used by /usr/local/bin/ollama, /usr/local/bin/python 18.7 GiB"],
    "amd-rx-7900-xtx-beside-raphael": [
        "gfx1100, 24.0 GiB, 16.9 GiB free",
        "gfx1036, 0.5 GiB, 0.5 GiB free, part",
    ],
    "amd-sysfs-garbage": ["0000:03:00.0, memory not known"],
    "no-pci-jetson-orin": ["NVIDIA Jetson AGX Orin Developer Kit"],
    "alpine-without-systemd": ["without systemd", "NVIDIA driver no device", "nothing that inhouse needs"],
    "wsl2-rtx-2080-super": ["in wsl"],
}


@pytest.mark.parametrize("name", SEEN)
def test_a_person_sees(name: str) -> None:
    text = shown(recorded(name))
    assert [part for part in SEEN[name] if part not in text] == [], text


def test_markup_in_what_a_host_says_is_text() -> None:
    facts = recorded("working-rtx-4090-debian12")
    odd = dataclasses.replace(facts, host="[bold]gpu1[/nonsense]", fleet="[red]x")
    assert "[bold]gpu1[/nonsense]" in shown(odd)
    assert "[red]x" in shown(odd)


def test_a_program_reads_plain_json() -> None:
    record = json.loads(json.dumps(as_record(recorded("working-rtx-4090-debian12"))))
    assert record["cpu"]["flags"] == ["avx", "avx2", "f16c", "fma", "fpu", "sse4_2"]
    assert record["nvidia"]["state"] == "working"
    assert set(record) == {field.name for field in dataclasses.fields(HostFacts)}
