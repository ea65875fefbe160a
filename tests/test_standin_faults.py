"""The stand-in and the mirror misbehave when told to, and behave again when told to."""

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inhouse.lab import weights
from inhouse.lab.paths import cache_dir
from tests.standins import replay
from tests.standins.processes import Mirror, Server, seeded, unpacked

pytestmark = pytest.mark.lab

MODEL = "tiny:270m"
NVIDIA_SMI = "#!/bin/sh\necho 580.65, 8.9, 24564\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """On a machine whose `nvidia-smi` reports a card that is not there."""
    root = unpacked(cache_dir(), tmp_path_factory.mktemp("release"))
    folder = tmp_path_factory.mktemp("server")
    tools = tmp_path_factory.mktemp("tools")
    (tools / "nvidia-smi").write_text(NVIDIA_SMI)
    (tools / "nvidia-smi").chmod(0o755)
    seeded(root, weights.build(cache_dir()), folder)
    with Server(root, folder, {"PATH": f"{tools}:/usr/bin:/bin"}) as started:
        yield started


@pytest.fixture(autouse=True)
def _behaves_in_the_end(server: Server) -> Iterator[None]:
    yield
    server.misbehave("none")


def _generate(server: Server, tokens: int = 8, **more: Any) -> replay.Answer:
    body = {"model": MODEL, "prompt": "Once upon a time", "options": {"num_predict": tokens, "temperature": 0}, **more}
    return replay.send(server.port, "POST", "/api/generate", body, {})


def _loaded(server: Server) -> tuple[dict[str, Any], str | None]:
    """The loaded model, and how the answer is marked."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/api/ps")
    response = connection.getresponse()
    return json.loads(response.read())["models"][0], response.headers["X-Inhouse-Lab"]


def test_the_share_of_a_pretended_gpu_is_marked(server: Server) -> None:
    _generate(server)
    loaded, mark = _loaded(server)
    assert loaded["size_vram"] == loaded["size"] > 0
    assert mark == "size_vram pretended"


def test_cpu_fallback_loads_on_the_processor_without_a_word(server: Server) -> None:
    server.misbehave("cpu-fallback")
    _generate(server, keep_alive=0)
    assert _generate(server, keep_alive="5m").status == 200
    loaded, mark = _loaded(server)
    assert (loaded["size_vram"], mark) == (0, None)
    server.ask("POST", "/api/generate", {"model": MODEL, "keep_alive": 0})


def test_slow_writes_so_many_tokens_a_second(server: Server) -> None:
    _generate(server)
    server.misbehave("slow", tokens_per_second=4)
    started = time.monotonic()
    last = json.loads(_generate(server, tokens=8).lines[-1])
    assert time.monotonic() - started >= 8 / 4 * 0.8
    assert last["eval_count"] / last["eval_duration"] * 1e9 < 5


def test_a_full_queue_is_a_503(server: Server) -> None:
    server.misbehave("queue-full")
    answer = _generate(server)
    assert (answer.status, json.loads(answer.body)) == (503, replay.load("queue_full")["response"]["json"])


def test_a_dying_engine_breaks_the_stream_off_and_the_next_request_loads_it_again(server: Server) -> None:
    server.misbehave("dying-child")
    answer = _generate(server, tokens=100)
    assert json.loads(answer.lines[-1]) == {"error": "an error was encountered while running the model: unexpected EOF"}
    server.misbehave("none")
    assert json.loads(_generate(server).lines[-1])["done"] is True


def test_a_hanging_server_answers_nothing_until_it_is_told_to_stop(server: Server) -> None:
    server.misbehave("hang")
    with pytest.raises(TimeoutError):
        replay.send(server.port, "POST", "/api/generate", {"model": MODEL, "prompt": "x"}, {}, timeout=2)
    assert server.ask("GET", "/api/version")
    server.misbehave("none")
    assert _generate(server).status == 200


def test_every_tag_of_the_registry_is_a_model_of_its_own(server: Server, tmp_path: Path) -> None:
    models = {"one:1b": "completion", "two:2b": "completion"}
    with Mirror(tmp_path / "mirror", weights.build(cache_dir()).folder, models, "localhost") as mirror:
        for name in models:
            full = f"127.0.0.1:{mirror.port}/library/{name}"
            server.ask("POST", "/api/pull", {"model": full, "insecure": True, "stream": False})
            server.ask("POST", "/api/copy", {"source": full, "destination": name})
            server.ask("DELETE", "/api/delete", {"model": full})
            server.ask("POST", "/api/generate", {"model": name, "prompt": "x", "options": {"num_predict": 1}})
    running = server.ask("GET", "/api/ps")["models"]
    assert set(models) <= {model["name"] for model in running}
    assert len({model["digest"] for model in running}) == len(running)
