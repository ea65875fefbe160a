"""What the deploys decide, from what hosts say."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import SecretStr

from inhouse import paths
from inhouse.deploys import ollama, proxy, tls
from inhouse.deploys.models import Store, full_name, manifest_path, need, parse_store
from inhouse.deploys.operations import Paths, PathState, failure
from inhouse.deploys.session import Hidden
from inhouse.errors import SettingsError
from inhouse.inventory import Connection
from inhouse.pyinfra_hosts import connection_data
from inhouse.templating import render
from tests.samples import CHAT, a_plan

RECORDINGS = Path(__file__).parent / "recordings"
PLAN = a_plan(models=(CHAT,))
NAME = "registry.ollama.ai/library/qwen3:8b"
WHOLE = Store(frozenset({NAME}), {NAME: {"sha256-a": 5_000_000_000, "sha256-b": 100}}, {}, 0, 100_000)
BLOBS = {"sha256-a": 5_000_000_000, "sha256-b": 100}


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("qwen3:8b", "registry.ollama.ai/library/qwen3:8b"),
        ("nomic-embed-text", "registry.ollama.ai/library/nomic-embed-text:latest"),
        ("team/model:1", "registry.ollama.ai/team/model:1"),
        ("mirror.internal:5000/team/model", "mirror.internal:5000/team/model:latest"),
    ],
)
def test_full_name_fills_in_what_ollama_fills_in(tag: str, name: str) -> None:
    assert full_name(tag) == name


def test_manifest_of_a_registry_with_a_port_keeps_the_port() -> None:
    assert manifest_path("mirror.internal:5000/team/model:q4") == "mirror.internal:5000/team/model/q4"


def store(**changes: Any) -> Store:
    return Store(**{**WHOLE.__dict__, "blobs": BLOBS, **changes})


def test_a_whole_model_needs_nothing() -> None:
    assert need(PLAN, store()).pull == ()


def test_a_missing_model_is_pulled_and_its_size_is_planned() -> None:
    found = need(PLAN, store(listed=frozenset(), layers={}, blobs={}))
    assert (found.pull, found.download_mib) == (("qwen3:8b",), CHAT.download_mib)


def test_a_missing_blob_is_noticed_although_the_model_is_listed() -> None:
    found = need(PLAN, store(blobs={"sha256-b": 100}))
    assert (found.pull, found.broken, found.download_mib) == (("qwen3:8b",), (), 4769)


def test_half_a_blob_is_removed_because_ollama_would_keep_it() -> None:
    found = need(PLAN, store(blobs={**BLOBS, "sha256-a": 2_500_000_000}))
    assert (found.pull, found.broken) == (("qwen3:8b",), ("sha256-a",))


def test_a_damaged_manifest_means_pulling_again() -> None:
    assert need(PLAN, store(layers={NAME: None})).pull == ("qwen3:8b",)


def test_what_has_already_arrived_counts_for_the_disk() -> None:
    missing = store(listed=frozenset(), layers={}, blobs={}, partial_mib=4000, free_mib=6000)
    assert need(PLAN, missing).problem(PLAN, missing.free_mib) is None


def test_a_disk_too_small_is_a_problem_with_found_needed_and_what_to_do() -> None:
    missing = store(listed=frozenset(), layers={}, blobs={}, free_mib=6000)
    problem = need(PLAN, missing).problem(PLAN, missing.free_mib) or ""
    assert "found 6000 MiB free" in problem
    assert "4983 MiB to download and 4096 MiB that must stay free" in problem
    assert "ollama_models_dir" in problem


def test_store_output_is_parsed() -> None:
    tags = json.loads((RECORDINGS / "tags.json").read_text())["response"]["json"]
    manifest = {"config": {"digest": "sha256:c", "size": 1}, "layers": [{"digest": "sha256:a", "size": 9}]}
    found = parse_store(
        [
            f"tags {json.dumps(tags)}",
            f"manifest {NAME} {json.dumps(manifest)}",
            "manifest registry.ollama.ai/library/broken:1 {",
            "blob sha256-a 9 4",
            "blob sha256-b-partial 253113024 13640",
            "free 2097152",
        ]
    )
    assert full_name("tiny:270m") in found.listed
    assert found.layers == {NAME: {"sha256-c": 1, "sha256-a": 9}, "registry.ollama.ai/library/broken:1": None}
    assert (found.blobs, found.partial_mib, found.free_mib) == ({"sha256-a": 9}, 13, 2048)


OLLAMA_LINES = [
    "current 0.34.4",
    "previous -",
    f"release 0.34.4 {ollama.stamp(PLAN)}",
    "unit ours",
    "active active",
    "enabled enabled",
    "reload no",
    "environment current",
    'answer {"version":"0.34.4"}',
]


def test_a_host_that_serves_the_plan_is_left_alone() -> None:
    state = ollama.parse_state(OLLAMA_LINES)
    assert ollama.is_served(state, PLAN)
    assert state.releases == {"0.34.4": ollama.stamp(PLAN)}


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('answer {"version":"0.34.4"}', 'answer {"version":"0.34.3"}'),
        ('answer {"version":"0.34.4"}', "answer "),
        ("environment current", "environment stale"),
        ("reload no", "reload yes"),
        ("enabled enabled", "enabled disabled"),
        ("active active", "active failed"),
    ],
)
def test_anything_else_means_a_restart(line: str, instead: str) -> None:
    lines = [instead if one == line else one for one in OLLAMA_LINES]
    assert not ollama.is_served(ollama.parse_state(lines), PLAN)


def test_an_empty_host_has_no_ollama() -> None:
    state = ollama.parse_state(())
    assert (state.current, state.foreign_unit, state.version, state.releases) == (None, None, None, {})


def test_a_foreign_unit_is_named() -> None:
    lines = ["unit /usr/lib/systemd/system/ollama.service"]
    assert ollama.parse_state(lines).foreign_unit == "/usr/lib/systemd/system/ollama.service"


def test_leaving_other_folders_out_means_unpacking_again() -> None:
    assert ollama.stamp(PLAN) != ollama.stamp(a_plan(ollama_without=("lib/ollama/cuda_v12",)))


def test_proxy_state_needs_everything() -> None:
    good = ["active active", "enabled enabled", "reload no", "environment current", "certificate current", "config abc"]
    assert proxy.parse_state(good) == proxy.ProxyState(True, "abc")
    assert not proxy.parse_state([*good, "certificate stale"]).serving
    assert proxy.parse_state(()) == proxy.ProxyState(False, None)


@pytest.mark.parametrize("token", ["", "short", "with space in it " * 2, 'quote"' * 4, "a\nb" * 8, "star*" * 4])
def test_a_token_that_a_header_cannot_carry_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="inhouse init"):
        proxy.checked_token(token)


def test_tls_state_is_parsed() -> None:
    lines = ["fleet ab:cd", "cert -----BEGIN CERTIFICATE-----", "cert x", "pair matches", "mode right"]
    state = tls.parse_state(lines)
    assert state == tls.TlsState("ab:cd", "-----BEGIN CERTIFICATE-----\nx\n", True)
    assert not tls.parse_state(lines[:-1]).key_fits


def test_paths_of_the_real_shell_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "a b").write_text("x")
    command = Paths().command(paths=(str(tmp_path / "a b"), str(tmp_path), str(tmp_path / "none")))
    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.splitlines()
    found = Paths().process(output)
    assert found[str(tmp_path / "a b")].sha256 == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert found[str(tmp_path)].kind == "folder"
    assert found[str(tmp_path / "none")] == PathState("absent", "-", "-", "-", "-")


def test_a_failure_says_its_message_and_fails() -> None:
    command = failure("it's 100% full; $HOME").get_raw_value()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "it's 100% full; $HOME\n")


def test_connection_in_pyinfras_words_checks_host_keys() -> None:
    connection = Connection("ssh", "192.0.2.7", 2222, "alice", "/keys/id", "/etc/ssh_config", True)
    data = connection_data(connection)
    assert data["ssh_strict_host_key_checking"] == "yes"
    assert (data["ssh_hostname"], data["ssh_port"], data["ssh_user"]) == ("192.0.2.7", 2222, "alice")
    assert (data["ssh_key"], data["ssh_config_file"], data["_sudo"]) == ("/keys/id", "/etc/ssh_config", True)
    assert "_sudo_password" not in data


def test_sudos_password_is_not_where_pyinfra_would_put_it_on_a_command_line() -> None:
    data = connection_data(Connection("ssh", "h", become=True, become_password=SecretStr("hunter22")))
    assert data["_sudo_password"] == "by-askpass"
    assert "hunter22" not in repr(data)


def test_hidden_values_are_not_shown() -> None:
    hidden = Hidden("hunter22")
    assert "hunter22" not in repr(hidden) + str(hidden) + hidden.to_json()


@contextmanager
def answering(lines: list[str]) -> Iterator[int]:
    """An Ollama on loopback that answers one pull with these lines."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write("".join(f"{line}\n" for line in lines).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.handle_request, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.server_close()
        thread.join(timeout=5)


def pull(recording: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    lines = json.loads((RECORDINGS / f"{recording}.json").read_text())["response"]["lines"]
    with answering(lines) as port:
        command = ["sh", "-c", render("ollama/pull.sh.j2"), "ollama-pull", str(port), "tiny:270m"]
        env = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20, env=env)


def test_a_pull_that_succeeds_says_so() -> None:
    done = pull("pull_resumed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tiny:270m: success"


def test_a_proxy_of_the_site_is_not_asked_for_what_is_on_the_host_itself() -> None:
    done = pull("pull_resumed", http_proxy="http://127.0.0.1:9", no_proxy="")
    assert done.returncode == 0, done.stderr
    for script in paths.templates_folder().rglob("*.sh.j2"):
        calls = re.findall(r"curl --[^|]*?(?:\$url/|127\.0\.0\.1)", script.read_text(encoding="utf-8"))
        assert all("--noproxy '*'" in call for call in calls), script


def test_an_error_inside_a_200_is_found_and_told() -> None:
    done = pull("pull_missing_model")
    assert done.returncode == 1
    assert "not pulled: pull model manifest: file does not exist" in done.stderr
    assert "Check the tag in the setting models" in done.stderr


def test_an_unknown_ca_is_told_with_what_to_do() -> None:
    done = pull("pull_untrusted_certificate")
    assert done.returncode == 1
    assert "update-ca-certificates && systemctl restart ollama" in done.stderr


def test_a_registry_that_ollama_itself_gave_up_is_not_asked_for_minutes_more() -> None:
    done = pull("pull_layer_503")
    assert done.returncode == 1
    assert "going on" not in done.stdout
    assert "not pulled: max retries exceeded" in done.stderr
    assert "run there: curl -sSI https://registry.ollama.ai/v2/" in done.stderr


def test_deploy_py_is_a_table_of_contents() -> None:
    lines = (Path(__file__).parents[1] / "deploy.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 30
    calls = [line.strip() for line in lines if line.strip().endswith(")") and "import" not in line]
    story = ["session.begin()", "fleet()", "ollama()", "models()", "open_webui()", "certificate = tls()"]
    assert [call for call in calls if "Run by" not in call] == [*story, "proxy(certificate)"]


def test_importing_the_runner_does_not_bring_pyinfra_into_our_process() -> None:
    code = "import sys, inhouse.runners; sys.exit(any(name.startswith(('pyinfra', 'gevent')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
