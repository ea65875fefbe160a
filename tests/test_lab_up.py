"""What `lab up` and the controller refuse before anything is made."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inhouse.errors import LabError
from inhouse.lab import controller, faults, images, lab
from inhouse.lab.mirror import config as mirror_config
from inhouse.lab.standin import faults as standin_faults


@pytest.fixture
def no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("no_daemon")
def test_without_a_daemon_one_paragraph_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no Docker daemon answers here .* apt-get install docker.io") as caught:
        lab.up("one", {"a": "cpu-small"}, tmp_path / "inventory")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "inventory").exists()


@pytest.mark.usefixtures("no_daemon")
def test_scripts_are_told_the_same_paragraph() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inhouse.lab.controller", "start"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "apt-get install docker.io" in done.stderr
    assert "make unit" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "hosts", "said"),
    [
        ("Big Lab", {"a": "cpu-small"}, "cannot name a lab"),
        ("one", {}, "has no hosts"),
        ("one", {"registry": "cpu-small"}, "cannot name a lab host"),
        ("one", {"a b": "cpu-small"}, "cannot name a lab host"),
        ("one", {"a": "cpu-smal"}, "Did you mean cpu-small"),
    ],
)
@pytest.mark.usefixtures("no_daemon")
def test_bad_names_are_refused_before_the_engine_is_asked(
    name: str, hosts: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=said):
        lab.up(name, hosts, tmp_path / "inventory")


@pytest.mark.usefixtures("no_daemon")
def test_stopping_a_daemon_that_was_never_started_here_does_nothing(tmp_path: Path) -> None:
    assert controller.stop() is False
    pid_file = tmp_path / "inhouse" / "lab" / "dockerd.pid"
    pid_file.write_text("999999999")
    assert controller.stop() is False


def test_too_little_space_is_said_in_mib(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"MiB free, 1099511627776 MiB needed"):
        images.require_space(tmp_path, 2**40)


def test_an_images_name_changes_with_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.image_name("bookworm")
    assert before != images.image_name("trixie")
    assert images.image_name("bookworm", ("mesa-vulkan-drivers",)).startswith(
        "inhouse-lab:bookworm-mesa-vulkan-drivers-"
    )
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nano"))
    assert images.image_name("bookworm") != before


def test_every_fault_that_can_be_told_is_one_the_stand_ins_know() -> None:
    assert all(f"| {fault}" in str(standin_faults.__doc__) for fault in faults.HOST_FAULTS)
    assert all(fault in str(mirror_config.Fault.__doc__) for fault in faults.REGISTRY_FAULTS)
    assert str(standin_faults.FILE) == faults.OLLAMA_FAULT_FILE


@pytest.mark.parametrize("host", ["registry", "cpu-small"])
def test_an_unknown_fault_names_what_there_is(host: str) -> None:
    with pytest.raises(LabError, match=r"'sulk' is no fault of .* There are: none, "):
        faults.set_fault("one", host, "sulk")


FAKE_DAEMON = """#!{python}
import http.server, json, os, pathlib, socketserver, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        hosts = os.environ.get("FAKE_HOSTS", "[]") if "/containers/json" in self.path else None
        body = (hosts or json.dumps({{"ApiVersion": "1.44", "Version": "25.0"}})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "client"

pathlib.Path(sys.argv[2]).write_text(str(os.getpid()))
socketserver.UnixStreamServer(os.environ["DOCKER_HOST"].removeprefix("unix://"), Answers).serve_forever()
"""


def put_dockerd(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "dockerd").write_text(program)
    (folder / "bin" / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")
    monkeypatch.setattr(controller, "_started_by_package", lambda: False)


@pytest.mark.usefixtures("no_daemon")
def test_a_daemon_that_was_started_here_is_ended_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dockerd(tmp_path, FAKE_DAEMON.format(python=sys.executable), monkeypatch)
    assert controller.start() is True
    pid = int((tmp_path / "inhouse" / "lab" / "dockerd.pid").read_text())
    assert b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert controller.start() is False
    assert controller.stop() is True
    assert not controller._alive(pid)
    assert controller.stop() is False


@pytest.mark.usefixtures("no_daemon")
def test_of_two_who_start_a_daemon_at_once_one_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_dockerd(tmp_path, FAKE_DAEMON.format(python=sys.executable), monkeypatch)
    with ThreadPoolExecutor() as both:
        started = [both.submit(controller.start) for _ in range(2)]
    assert sorted(one.result() for one in started) == [False, True]
    assert controller.stop() is True


@pytest.mark.usefixtures("no_daemon")
@pytest.mark.parametrize("for_labs_only", [True, False])
def test_after_the_last_lab_only_a_daemon_started_for_labs_is_ended(
    for_labs_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dockerd(tmp_path, FAKE_DAEMON.format(python=sys.executable), monkeypatch)
    controller.start()
    if for_labs_only:
        controller._for_labs_only().touch()
    assert controller.stop_unneeded() is for_labs_only
    assert controller.stop() is not for_labs_only


@pytest.mark.usefixtures("no_daemon")
@pytest.mark.parametrize("hosts", ["[]", '[{"Id": "left"}]'])
def test_a_script_ends_its_daemon_unless_hosts_are_left_which_then_end_it(
    hosts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dockerd(tmp_path, FAKE_DAEMON.format(python=sys.executable), monkeypatch)
    monkeypatch.setenv("FAKE_HOSTS", hosts)
    controller.start()
    assert controller.stop_unless_used() is (hosts == "[]")
    assert controller.stop_unneeded() is (hosts != "[]")
    assert controller.stop() is False


@pytest.mark.usefixtures("no_daemon")
def test_a_daemon_that_ends_at_once_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_dockerd(tmp_path, "#!/bin/sh\necho 'iptables: operation not permitted'\nexit 1\n", monkeypatch)
    with pytest.raises(LabError, match=r"(?s)dockerd ended at once \(exit 1\).*operation not permitted"):
        controller.start()
