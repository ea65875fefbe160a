"""The smoke tests, run for a service on loopback: all pass when all is well, and a fault fails exactly its own test."""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from inhouse import tls
from inhouse.inventory import Connection
from inhouse.results import SmokeTest
from inhouse.smoke.child import run_tests
from inhouse.smoke.plugin import Measured
from inhouse.smoke.subject import Subject
from tests.samples import a_plan
from tests.smoke_host import HostCommands, active
from tests.smoke_service import PASSWORD, TOKEN, TOKENS, Service, redirect_to, serve

NAME = "node.test"
OLLAMA_UP = "ollama.service is active"
CHAT = "A chat with qwen3:8b answers through the websocket"
WEBSOCKET = "A websocket opens through the proxy"


@dataclasses.dataclass
class World:
    """A host, its service, and what verify finds there."""

    host: HostCommands
    service: Service
    subject: Subject
    measured: Measured = dataclasses.field(default_factory=Measured)
    commands: Path = Path()

    def verify(self) -> dict[str, SmokeTest]:
        """Run the smoke tests; returns them by title."""
        self.host.write(self.commands)
        tests: list[SmokeTest] = []
        run_tests(self.subject, self.measured, begin=lambda _: None, done=tests.append)
        assert len({test.name for test in tests}) == len(tests)
        return {test.name: test for test in tests}

    def plan(self, **changes: Any) -> None:
        """Change what is planned."""
        plan = replace(self.subject.plan, **changes)
        self.subject = self.subject.model_copy(update={"plan": plan})


@pytest.fixture(scope="module")
def fleet() -> tuple[str, str]:
    """A fleet CA: certificate and key."""
    return tls.make_ca("Fleet of the test")


@pytest.fixture
def world(tmp_path: Path, fleet: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    ca, _ = fleet
    leaf = tls.issue(*fleet, [NAME, "127.0.0.1"], datetime.now(UTC))
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(leaf.certificate_pem)
    key.write_text(leaf.key_pem)
    service = Service()
    https = serve(service, certificate, key)
    http = serve(redirect_to(f"https://{NAME}:{https.server_port}/"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    subject = Subject(
        plan=a_plan(server_name=NAME, address="127.0.0.1", https_port=https.server_port, http_port=http.server_port),
        inventory="/srv/site",
        connection=Connection("local", "127.0.0.1"),
        become_password=None,
        ca_certificate=ca,
        fleet=tls.fingerprint(ca),
        api_token=SecretStr(TOKEN),
        admin_password=SecretStr(PASSWORD),
    )
    yield World(HostCommands(fleet=tls.fingerprint(ca)), service, subject, commands=tmp_path / "bin")
    for server in (https, http):
        server.shutdown()
        server.server_close()


def failures(tests: dict[str, SmokeTest]) -> set[str]:
    return {name for name, test in tests.items() if test.outcome == "failed"}


def skipped(tests: dict[str, SmokeTest]) -> set[str]:
    return {name for name, test in tests.items() if test.outcome == "skipped"}


def test_all_pass_on_a_good_host_and_its_speed_is_measured(world: World) -> None:
    tests = world.verify()
    assert {test.outcome for test in tests.values()} == {"passed"}, tests
    assert len(tests) == 35
    speed = world.measured.generations["qwen3:8b"]
    assert (speed.tokens, round(speed.tokens_per_second)) == (TOKENS, 400)
    assert world.measured.loaded["nomic-embed-text"].size_mib == 1000
    assert world.service.sign_ins == 1, "Open-WebUI allows 15 sign-ins in three minutes"


def test_a_stopped_ollama_is_one_failure_and_its_consequences_are_named_as_such(world: World) -> None:
    world.host.units["ollama.service"] = active(ActiveState="inactive", SubState="dead")
    world.service.generate_error = "nobody is there"
    tests = world.verify()
    assert failures(tests) == {OLLAMA_UP}
    assert "Found: ollama.service is inactive (dead)" in tests[OLLAMA_UP].message
    assert "somebody stopped it" in tests[OLLAMA_UP].message
    assert "systemctl status ollama.service" in tests[OLLAMA_UP].message
    assert {"qwen3:8b generates through the proxy", CHAT} <= skipped(tests)
    assert tests[CHAT].message == f"Not tried, because this failed: {OLLAMA_UP}"
    assert tests["The administrator signs in"].outcome == "passed"
    assert not [request for request in world.service.requests if "generate" in request and "POST" not in request]


def test_faults_of_the_host(world: World) -> None:
    world.host.free_mib = 100
    world.host.clock_offset_s = 3610
    world.host.fleet = "AA:BB"
    world.host.listening[11434] = ["127.0.0.1", "0.0.0.0"]
    world.host.units["caddy.service"] = active(UnitFileState="disabled")
    world.host.units["open-webui.service"] = active(NRestarts="9", ActiveEnterTimestampMonotonic="8999000000")
    world.host.listening[8080] = ["[::1]", "127.0.0.53%lo"]
    tests = world.verify()
    found = {
        "The models' disk keeps its reserve free": "Found: 100 MiB free at /var/lib/ollama/models. Expected: 4096 MiB",
        "The host's clock is right to within 5 minutes": "Found: the host's clock is 36",
        "caddy.service stays up, and starts at boot": "Found: caddy.service is disabled. Expected: enabled",
        "open-webui.service stays up, and starts at boot": "Found: open-webui.service was restarted 9 times, the last",
        "The host belongs to this fleet": "Found: /etc/inhouse/fleet holds AA:BB",
        "Ollama's port 11434 is open on loopback only": "Found: port 11434: it listens on 0.0.0.0. Expected: 127.0.0.1",
    }
    assert failures(tests) == set(found)
    assert all(tests[name].message.startswith(text) for name, text in found.items())
    assert tests["The host belongs to this fleet"].message.endswith("Run: inhouse up /srv/site --limit gpu1")
    assert skipped(tests) == set()


def test_faults_of_the_service(world: World) -> None:
    world.service.websocket = False
    world.service.sign_up = 200
    world.service.buffered = 100
    world.service.forbids_management = False
    world.service.asks_token = False
    tests = world.verify()
    assert failures(tests) == {
        WEBSOCKET,
        "Strangers cannot sign up",
        "Answers stream through the proxy piece by piece",
        "Models cannot be pulled or deleted through the proxy",
        "Programs with no token get no answer",
        "Programs with a wrong token get no answer",
    }
    assert "HTTP status 403 in place of 101" in tests[WEBSOCKET].message
    assert skipped(tests) == {CHAT}
    assert tests["Open-WebUI offers the planned models"].outcome == "passed"


def test_one_answer_in_a_heap_is_a_busy_machine(world: World) -> None:
    world.service.buffered = 1
    assert failures(world.verify()) == set()


def test_a_model_that_fell_back_to_the_cpu_names_the_driver_and_keeps_its_measurement(world: World) -> None:
    world.service.gpu_share = 0.08
    world.service.real_context = 4096
    world.service.chat_error = "registry.ollama.ai/library/qwen3:8b does not support tools"
    world.host.journal = 'level=WARN msg="NVIDIA driver too old" required_driver="550 or newer"'
    tests = world.verify()
    placed = "qwen3:8b lies on the GPU or the CPU as planned"
    context = "qwen3:8b has its planned context of 8192 tokens"
    assert failures(tests) == {placed, "nomic-embed-text lies on the GPU or the CPU as planned", context, CHAT}
    assert "8% of qwen3:8b on the GPU. Expected: all of it on the GPU" in tests[placed].message
    assert "driver too old" in tests[placed].message
    assert "the engine has 4096" in tests[context].message
    assert "function calling" in tests[CHAT].message
    assert skipped(tests) == {"qwen3:8b generates at least 3.0 tokens/s"}
    assert "qwen3:8b" in world.measured.generations


@pytest.mark.parametrize("flags", ["fpu avx2", "fpu avx512f amx_int8"])
def test_a_model_on_a_processor_with_amx_is_not_taken_for_one_on_a_gpu(world: World, flags: str) -> None:
    world.service.gpu_share, world.host.cpu_flags = 0.69, flags
    models = tuple(replace(model, gpu_share=0.0) for model in world.subject.plan.models)
    world.plan(accelerator="cpu", models=models)
    placed = {f"{model.tag} lies on the GPU or the CPU as planned" for model in models}
    assert failures(world.verify()) == (set() if "amx_int8" in flags else placed)


@pytest.mark.parametrize(
    ("host", "cause"),
    [
        ({"render_nodes": ""}, "no device below /dev/dri"),
        ({"vulkan_drivers": "lvp_icd.x86_64.json"}, "Mesa's Vulkan driver for Radeon is missing"),
        ({}, "groups render and video"),
    ],
)
def test_a_radeon_that_is_not_used_is_not_blamed_on_nvidia(world: World, host: dict[str, str], cause: str) -> None:
    world.plan(accelerator="vulkan")
    world.service.gpu_share = 0.08
    for name, value in host.items():
        setattr(world.host, name, value)
    message = world.verify()["qwen3:8b lies on the GPU or the CPU as planned"].message
    assert cause in message
    assert "nvidia" not in message


def test_what_no_person_may_read_is_not_in_a_message(world: World) -> None:
    world.service.generate_error_in_stream = f"llama-server died, and {TOKEN} leaked into its words"
    world.service.models.pop("nomic-embed-text:latest")
    world.subject = world.subject.model_copy(update={"admin_password": SecretStr("not the right one")})
    tests = world.verify()
    generates = "qwen3:8b generates through the proxy"
    assert failures(tests) == {generates, "nomic-embed-text is on the host", "The administrator signs in"}
    assert "llama-server died, and ••• leaked" in tests[generates].message
    assert not [test for test in tests.values() if TOKEN in test.message or "not the right one" in test.message]


def test_a_certificate_of_another_fleet_is_one_failure(world: World) -> None:
    other, _ = tls.make_ca("Another fleet")
    world.subject = world.subject.model_copy(update={"ca_certificate": other})
    tests = world.verify()
    (failed,) = failures(tests)
    assert "certificate is this fleet's" in failed
    assert "Expected: TLS for node.test by the fleet CA" in tests[failed].message


def test_slow_is_a_failure_and_a_host_without_open_webui_has_no_tests_of_it(world: World) -> None:
    world.plan(min_tokens_per_second=500.0, open_webui=False, open_webui_default_model=None)
    tests = world.verify()
    slow = "qwen3:8b generates at least 500.0 tokens/s"
    assert failures(tests) == {slow}
    assert "tokens/s over 32 tokens. Expected: 500 tokens/s or more" in tests[slow].message
    assert not [name for name in tests if "Open-WebUI" in name or "open-webui" in name]
