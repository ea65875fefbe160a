"""The service layer on real hosts, Debian 12 and 13: one story, in the order of the file.

Open-WebUI is left out here: its own tests deploy it, and it would make every step slower.
"""

import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from inhouse import layout, tls
from inhouse.console import Progress
from inhouse.inventory import Inventory, load
from inhouse.paths import deploy_file
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult
from inhouse.runners import Interrupted, run_pyinfra
from inhouse.survey import survey
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

HOSTS = ("bookworm", "trixie")
"""Debian 12 and 13."""
NO_CHANGE_S = 60
"""A run that changes nothing takes some 8 s; far more means that something is asked again and again."""


@dataclass(frozen=True)
class Service:
    """Hosts, their plans, and a way to deploy them."""

    lab: LabHandle
    inventory: Inventory
    plans: Mapping[str, Plan]

    def deploy(self, dry: bool = False, on_line: Callable[[str], None] | None = None) -> dict[str, DeployResult]:
        """Apply the plans to both hosts."""
        return run_pyinfra(self.inventory, list(self.plans.values()), dry=dry, on_line=on_line)

    def deploy_one(self, host: str, on_line: Callable[[str], None] | None = None, **changes: Any) -> DeployResult:
        """Apply one host's plan, with changes."""
        plan = replace(self.plans[host], **changes)
        return run_pyinfra(self.inventory, [plan], dry=False, on_line=on_line)[host]

    def client(self, host: str, token: bool = False) -> httpx.Client:
        """An HTTPS client that trusts the fleet and connects to the host's address."""
        trust = ssl.create_default_context(cafile=str(self.inventory.ca_certificate))
        assert self.inventory.secrets is not None
        secret = self.inventory.secrets.api_token.get_secret_value()
        headers = {"Authorization": f"Bearer {secret}"} if token else {}
        return httpx.Client(base_url=f"https://{self.lab.address(host)}", verify=trust, headers=headers, timeout=30)

    def version(self, host: str) -> str:
        """What the host's Ollama answers."""
        return self.lab.run(host, "curl -s http://127.0.0.1:11434/api/version")


@pytest.fixture(scope="module")
def service(lab: LabHandle) -> Service:
    inventory = load(lab.folder).limited_to(HOSTS)
    found = survey(inventory, Progress(Console(quiet=True)))
    assert not found.errors
    without: dict[str, Any] = {
        "open_webui": False,
        "open_webui_default_model": None,
        "open_webui_embedding_model": None,
    }
    return Service(lab, inventory, {name: replace(plan, **without) for name, plan in found.plans.items()})


def test_a_dry_run_lists_what_would_change_and_changes_nothing(service: Service) -> None:
    results = service.deploy(dry=True)
    for host in HOSTS:
        assert results[host].status == "changed", results[host].error
        assert "Ollama's planned release is checked and unpacked" in results[host].changes
        assert "Ollama has the planned models" in results[host].changes
        assert service.lab.run(host, f"ls -d {layout.ETC} {layout.OPT} 2>/dev/null || true") == ""


def test_fresh_hosts_are_deployed(service: Service) -> None:
    began = time.monotonic()
    results = service.deploy()
    for host in HOSTS:
        assert results[host].status == "changed", results[host].error
        assert service.plans[host].ollama_version in service.version(host)
    assert time.monotonic() - began < 600


def test_a_second_run_changes_nothing_and_so_does_a_dry_one(service: Service) -> None:
    began = time.monotonic()
    for results in (service.deploy(), service.deploy(dry=True)):
        assert {host: results[host].status for host in HOSTS} == dict.fromkeys(HOSTS, "unchanged"), results
    assert time.monotonic() - began < 2 * NO_CHANGE_S


@pytest.mark.parametrize("host", HOSTS)
def test_programs_need_the_token_and_may_not_manage_models(service: Service, host: str) -> None:
    with service.client(host) as stranger, service.client(host, token=True) as program:
        assert stranger.get("/").status_code == 200
        for path in ("/v1/models", "/api/tags", "/api/version", "/api/pull", "/api/anything"):
            assert stranger.get(path).status_code == 401
        assert program.get("/api/version").json()["version"] == service.plans[host].ollama_version
        assert program.get("/v1/models", headers={"Origin": "https://elsewhere.example"}).status_code == 200
        for path in ("/api/pull", "/api/delete", "/v1/../api/pull", "/api//create", "/%61pi/copy"):
            assert program.post(path, json={"model": "x"}).status_code == 403


def test_answers_that_come_at_once_are_whole(service: Service) -> None:
    """Without buffered requests one of 700 to 2,000 came empty, with status 200."""

    def empty(count: int) -> int:
        with service.client("bookworm", token=True) as program:
            asked = {"model": service.plans["bookworm"].models[0].tag}
            return sum(program.post("/api/show", json=asked).content == b"" for _ in range(count))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(empty, [500] * 4)) == 0


def test_http_is_redirected_and_old_tls_is_refused(service: Service) -> None:
    address = service.lab.address("bookworm")
    moved = httpx.get(f"http://{address}/some?thing=1", headers={"Host": "name.example"})
    assert (moved.status_code, moved.headers["location"]) == (308, "https://name.example/some?thing=1")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError, match="version"), httpx.Client(verify=old) as client:
        client.get(f"https://{address}/")


@pytest.mark.parametrize("host", HOSTS)
def test_secrets_are_in_root_only_files_and_nowhere_else(service: Service, host: str) -> None:
    assert service.inventory.secrets is not None
    token = service.inventory.secrets.api_token.get_secret_value()
    found = service.lab.run(host, f"grep -rlF {token} /etc /opt /var/lib/caddy /var/log /run /tmp 2>/dev/null || true")
    assert found.split() == [layout.CADDY_ENV]
    assert service.lab.run(host, f"stat -c %a:%U {layout.CADDY_ENV}").strip() == "600:root"
    assert service.lab.run(host, f"journalctl --no-pager | grep -cF {token} || true").strip() == "0"


def test_a_service_that_was_stopped_is_started_again_and_only_that(service: Service) -> None:
    service.lab.run("bookworm", "systemctl stop ollama")
    assert service.deploy_one("bookworm").changes == ("Ollama answers on loopback",)


def test_a_server_that_runs_with_other_settings_than_the_file_is_restarted(service: Service) -> None:
    file = layout.OLLAMA_ENV
    service.lab.run(
        "bookworm",
        f"cp -p {file} {file}.kept && sed -i s/OLLAMA_MAX_QUEUE=512/OLLAMA_MAX_QUEUE=7/ {file} && "
        f"systemctl restart ollama && mv {file}.kept {file}",
    )
    assert service.deploy_one("bookworm").changes == ("Ollama answers on loopback",)


def test_a_wrong_checksum_stops_that_host_alone_and_its_old_release_goes_on(service: Service) -> None:
    broken = replace(service.plans["bookworm"], ollama_archive_sha256="b" * 64)
    results = run_pyinfra(service.inventory, [broken, service.plans["trixie"]], dry=False)
    assert results["trixie"].status == "unchanged"
    assert results["bookworm"].status == "failed"
    error = results["bookworm"].error
    assert "Wrong checksum" in error
    assert f"Expected: {'b' * 64}" in error
    assert broken.ollama_version in service.version("bookworm")
    assert service.lab.run("bookworm", f"ls {layout.STAGING}/*.zst 2>/dev/null || true") == ""


def test_a_mirror_that_is_gone_is_told_with_what_to_do(service: Service) -> None:
    result = service.deploy_one(
        "bookworm", ollama_archive_url="https://127.0.0.1:1/x.tar.zst", ollama_archive_sha256="c" * 64
    )
    assert result.status == "failed"
    assert "https://127.0.0.1:1/x.tar.zst cannot be fetched" in result.error
    assert "Run again to go on from there" in result.error


def test_a_mirror_whose_ca_is_unknown_is_told_with_where_its_certificate_goes(service: Service) -> None:
    service.lab.run(
        "bookworm",
        "cd /root && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
        "subjectAltName=DNS:localhost -keyout server.pem -out cert.pem 2>/dev/null && cat cert.pem >>server.pem && "
        "systemd-run --unit lab-stranger -p WorkingDirectory=/root /usr/bin/openssl s_server -WWW -accept 9443",
    )
    url = "https://localhost:9443/x.tar.zst"
    result = service.deploy_one("bookworm", ollama_archive_url=url, ollama_archive_sha256="d" * 64)
    service.lab.run("bookworm", "systemctl stop lab-stranger; rm /root/server.pem /root/cert.pem")
    assert "signed by a CA this host does not know" in result.error
    assert "/usr/local/share/ca-certificates/NAME.crt" in result.error


def test_a_release_with_other_parts_is_unpacked_anew_beside_the_running_one(service: Service) -> None:
    """The lab has one release; unpacked without one more folder it is another one."""
    plan = service.plans["trixie"]
    result = service.deploy_one("trixie", ollama_without=(*plan.ollama_without, "lib/ollama/cuda_v12"))
    assert "Ollama's planned release is checked and unpacked" in result.changes, result.error
    assert "Ollama answers on loopback" in result.changes
    assert service.deploy_one("trixie").status == "changed"
    folders = service.lab.run("trixie", f"ls -A {layout.OLLAMA_PREFIX}").split()
    assert sorted(folders) == [plan.ollama_version, "current"]


def test_half_a_blob_is_mended(service: Service) -> None:
    blobs = f"{service.plans['bookworm'].ollama_models_dir}/blobs"
    largest = service.lab.run("bookworm", f"ls -S {blobs} | head -1").strip()
    size = int(service.lab.run("bookworm", f"stat -c %s {blobs}/{largest}"))
    service.lab.run("bookworm", f"truncate -s {size // 2} {blobs}/{largest}")
    result = service.deploy_one("bookworm")
    assert result.changes == ("Ollama has the planned models",), result.error
    assert int(service.lab.run("bookworm", f"stat -c %s {blobs}/{largest}")) == size


def test_an_interrupted_pull_is_finished_by_the_next_run(service: Service) -> None:
    folder = service.plans["bookworm"].ollama_models_dir
    service.lab.run("bookworm", f"rm -rf {folder}/manifests {folder}/blobs && systemctl restart ollama")

    def interrupt(line: str) -> None:
        if "pulling manifest" in line:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(Interrupted) as stop:
        service.deploy_one("bookworm", interrupt)
    assert stop.value.results["bookworm"].error.startswith("Interrupted.")
    assert time.monotonic() - began < 60
    assert service.deploy_one("bookworm").changes == ("Ollama has the planned models",)
    assert service.deploy_one("bookworm").status == "unchanged"


def test_a_disk_too_small_is_told_before_the_first_byte(service: Service) -> None:
    folder = service.plans["bookworm"].ollama_models_dir
    service.lab.run("bookworm", f"mv {folder}/manifests {folder}/away")
    result = service.deploy_one("bookworm", disk_reserve_mib=10**9)
    service.lab.run("bookworm", f"rm -rf {folder}/manifests && mv {folder}/away {folder}/manifests")
    assert "is too small for" in result.error
    assert "Nothing was downloaded" in result.error


def test_a_certificate_about_to_end_is_renewed_and_served(service: Service) -> None:
    plan, secrets = service.plans["bookworm"], service.inventory.secrets
    assert secrets is not None
    ca, then = service.inventory.ca_certificate.read_text(), datetime.now(UTC) - timedelta(days=390)
    old = tls.issue(ca, secrets.fleet_ca_key.get_secret_value(), plan.certificate_names, then)
    for path, pem in ((layout.TLS_CERTIFICATE, old.certificate_pem), (layout.TLS_KEY, old.key_pem)):
        service.lab.run("bookworm", f"cat >{path} <<'END'\n{pem}END")
    changes = ("The host's certificate is valid for all its names", "The proxy serves the planned addresses")
    assert service.deploy(dry=True)["bookworm"].changes == changes
    assert service.deploy_one("bookworm").changes == changes
    served = ssl.get_server_certificate((service.lab.address("bookworm"), 443))
    assert tls.fault(served, ca, plan.certificate_names, datetime.now(UTC)) is None


def test_plain_pyinfra_finds_nothing_to_do(service: Service) -> None:
    shim = service.lab.folder.with_suffix(".py")
    command = [sys.executable, "-m", "pyinfra", str(shim), str(deploy_file()), "--dry", "--limit", "trixie"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    assert "[trixie]" in done.stderr


def test_a_config_that_does_not_validate_never_replaces_the_running_one(service: Service) -> None:
    before = service.lab.run("bookworm", f"sha256sum {layout.CADDYFILE}")
    result = service.deploy_one("bookworm", server_name="}")
    assert "The new Caddyfile is not valid; the running proxy was left as it is" in result.error
    assert service.lab.run("bookworm", f"sha256sum {layout.CADDYFILE}; ls {layout.CADDYFILE}*").startswith(before)
    with service.client("bookworm") as client:
        assert client.get("/").status_code == 200


def test_a_changed_config_is_reloaded_not_restarted(service: Service) -> None:
    pid = service.lab.run("bookworm", "systemctl show -p MainPID --value caddy")
    assert service.deploy_one("bookworm", hardware="another").changes == ("The proxy serves the planned addresses",)
    assert service.lab.run("bookworm", "systemctl show -p MainPID --value caddy") == pid
    with service.client("bookworm") as client:
        assert "on another, for programs" in client.get("/").text


def test_a_port_that_another_program_has_is_named_with_the_program(service: Service) -> None:
    service.lab.run("bookworm", "systemd-run --unit lab-taker python3 -m http.server 8443")
    result = service.deploy_one("bookworm", https_port=8443)
    asked = "curl --silent --output /dev/null --write-out '%{redirect_url}\\n' http://127.0.0.1/"
    targets = service.lab.run("bookworm", f"for _ in $(seq 20); do {asked}; done | sort -u")
    service.lab.run("bookworm", "systemctl stop lab-taker")
    assert targets == "https://127.0.0.1/\n"  # nothing of the refused configuration is in force
    assert result.status == "failed"
    assert 'Port 8443 is taken by another program: "python3"' in result.error
    assert service.deploy_one("bookworm").status == "changed"
    assert service.deploy_one("bookworm").status == "unchanged"


def test_another_ollama_is_refused_and_replaced_only_when_told(service: Service, tmp_path: Path) -> None:
    unit = layout.OLLAMA_UNIT_FILE
    service.lab.run("trixie", f"cp {unit} {unit}.kept && printf '[Service]\\nExecStart=/bin/true\\n' >{unit}")
    refused = service.deploy_one("trixie")
    assert f"An Ollama that inhouse did not install is here: {unit}" in refused.error
    assert "replace_existing_ollama: true" in refused.error
    taken = service.deploy_one("trixie", replace_existing_ollama=True)
    assert taken.status == "changed", taken.error
    assert "ExecStart=/bin/true" in service.lab.run("trixie", f"cat {layout.ETC}/replaced/ollama.service")
    assert service.plans["trixie"].ollama_version in service.version("trixie")
    service.lab.run("trixie", f"rm {unit}.kept")
