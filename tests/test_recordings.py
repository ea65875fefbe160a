"""Every recorded answer of a real Ollama, asked again of the stand-in: real engine, real models, the same states."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inhouse import tls
from inhouse.lab import engine, weights
from inhouse.lab.paths import cache_dir
from tests.standins import replay
from tests.standins.processes import Mirror, Server, free_port, linked, seeded, unpacked
from tests.standins.replay import Answer

GGUF = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""SHA-256 of the completion model's file: the recordings were made with the same."""

STAGES = {
    "bare": (
        "version root root_head tags_empty ps_empty unknown_path wrong_method delete_wrong_method metrics_absent "
        "host_header_foreign host_header_foreign_port host_header_ip host_header_local origin_foreign origin_localhost "
        "preflight_foreign preflight_localhost invalid_model_name blob_head_absent blob_post_bad_name "
        "blob_post_wrong_digest create_unknown_blob create_unknown_base generate_bad_json generate_empty_body "
        "generate_no_model generate_missing_model generate_wrong_type chat_missing_model embed_missing_model "
        "show_missing_model copy_missing delete_missing pull_bad_name v1_chat_bad_json v1_chat_missing_model "
        "v1_model_missing pull_registry_unknown_host pull_registry_refused"
    ),
    "store": (
        "blob_post blob_head_present create_from_blob create_variant_num_ctx show show_verbose show_variant tags "
        "v1_models v1_model create_not_streamed copy delete"
    ),
    "inference": (
        "load_only ps_loaded generate generate_stream generate_raw generate_stop generate_json_format "
        "generate_bad_format generate_bad_keep_alive generate_bad_option_type generate_unknown_option "
        "generate_on_embedding_model chat "
        "chat_stream chat_bad_role chat_empty_messages_loads chat_image_unsupported chat_on_embedding_model "
        "chat_think_unsupported chat_tools_unsupported v1_chat v1_chat_stream v1_completions v1_responses "
        "v1_messages_anthropic ps_two_names embed embed_one embed_empty embed_too_long embed_too_long_no_truncate "
        "embed_on_completion_model embeddings_legacy v1_embeddings show_embedding_model generate_prompt_over_context "
        "generate_prompt_over_context_no_truncate generate_no_shift chat_over_context ps_after_num_ctx_change "
        "generate_keep_forever ps_forever unload ps_after_unload"
    ),
    "settings": (
        "generate_q8_kv ps_q8_kv generate_q8_kv_without_flash_attention generate_bad_kv_cache_type "
        "generate_parallel4_ctx8k ps_parallel4_ctx8k generate_context_above_trained ps_context_above_trained queue_full"
    ),
    "damage": (
        "stream_llama_server_killed ps_after_kill generate_after_kill generate_idle_child_killed tags_blob_missing "
        "generate_blob_missing show_blob_missing generate_blob_cut_in_half tags_manifest_damaged "
        "generate_manifest_damaged generate_no_llama_server v1_chat_no_llama_server _prune_at_start"
    ),
    "registry": (
        "copy_for_push push_https_to_http_registry push_insecure pull_present_layers delete_pushed "
        "pull_from_registry_without_redirect pull_missing_model pull_missing_model_not_streamed "
        "pull_plain_http_not_allowed pull_fresh _requests_of_fresh_pull pull_again tags_registry_name "
        "copy_registry_to_plain generate_after_pull delete_while_loaded ps_after_delete_while_loaded "
        "pull_client_goes_away _disk_and_ranges_of_resume pull_resumed pull_corrupt_layer pull_untrusted_certificate "
        "pull_plain_name tags_after_plain_pull generate_after_plain_pull"
    ),
    "patience": "pull_layer_503 pull_connection_cut_each_3mb generate_child_hangs",
    "gpu": (
        "gpu_generate gpu_ps_all_layers gpu_generate_partial gpu_ps_partial gpu_generate_none gpu_ps_none"
    ),
}  # fmt: skip
"""Which recordings are played together, in which order."""

IGNORED = {"chat_bad_role": {"done_reason"}}
"""An answer at the model's own temperature may end where another does not."""


def test_every_recording_is_played_once() -> None:
    played = [name for names in STAGES.values() for name in names.split()]
    assert sorted(played) == replay.names()


@dataclass
class Stage:
    """A list of recordings, ticked off as they are played."""

    name: str
    replaced: dict[str, str] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    def play(
        self, server: Server, *names: str, stop_after: int | None = None, change: dict[str, Any] | None = None
    ) -> None:
        """Ask the server what was asked for each recording, and note every difference.

        Args:
            server: which one.
            names: of the recordings.
            stop_after: hang up after so many lines.
            change: fields of the requests that bring about the recorded state here.
        """
        for name in names:
            recorded = replay.recording(name, IGNORED.get(name))
            request = recorded.request
            body = self._translated(recorded.body)
            body = {**body, **change} if change else body
            answer = replay.send(
                server.port, request["method"], request["path"], body, request["headers"] or {}, stop_after
            )
            self.compare(server, name, answer)

    def compare(self, server: Server, name: str, answer: Answer) -> None:
        """Note how an answer differs from the recorded one."""
        paths = {str(server.store): "/var/lib/ollama/.ollama/models", str(server.root): "/opt/ollama"}
        recorded = replay.recording(name, IGNORED.get(name))
        self.found += replay.differences(recorded, answer, self.replaced | paths)
        self.answers[name] = answer
        self.played.append(name)

    def check(self, name: str, holds: bool, what: object) -> None:
        """Note that something else than an answer differs, unless it `holds`."""
        if name.startswith("_") and name not in self.played:
            self.played.append(name)
        if not holds:
            self.found.append(f"{name}: {what}")

    def close(self) -> None:
        """Fail with all that was noted."""
        assert sorted(set(self.played)) == sorted(STAGES[self.name].split())
        assert not self.found, "\n".join(self.found)

    def _translated(self, body: Any) -> Any:
        """The request in addresses of this run."""
        text = json.dumps(body)
        for own, recorded in self.replaced.items():
            text = text.replace(recorded, own)
        return json.loads(text) if isinstance(body, (dict, list)) else body


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(cache_dir(), tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def small_models() -> weights.Weights:
    return weights.build(cache_dir())


@pytest.fixture(scope="module")
def seed(root: Path, small_models: weights.Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with tiny:270m and minilm, as the recorded server had it."""
    return seeded(root, small_models, tmp_path_factory.mktemp("seed"))


@pytest.fixture
def start(root: Path, seed: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with the seed's models; ends them all."""
    servers: list[Server] = []

    def starter(name: str, models: bool = True, program: Path | None = None, **environment: str) -> Server:
        if models:
            linked(seed, tmp_path / name / "models")
        servers.append(Server(program or root, tmp_path / name, environment))
        return servers[-1]

    yield starter
    for server in servers:
        server.stop()


Start = Callable[..., Server]


@pytest.mark.lab
def test_answers_of_a_server_without_models(start: Start) -> None:
    server = start("bare", models=False)
    stage = Stage("bare", {f"127.0.0.1:{free_port()}": "127.0.0.1:5999"})
    stage.play(server, *STAGES["bare"].split())
    left = server.store / "blobs" / f"sha256-{hashlib.sha256(b'hello').hexdigest()}"
    stage.check("blob_post_wrong_digest", left.read_bytes() == b"hello", "the blob is not there under its true digest")
    stage.close()


@pytest.mark.lab
def test_models_come_and_go(start: Start, small_models: weights.Weights) -> None:
    server = start("store", models=False)
    stage = Stage("store")
    upload = small_models.file("completion").read_bytes()
    stage.compare(server, "blob_post", replay.send(server.port, "POST", f"/api/blobs/sha256:{GGUF}", upload, {}))
    rest = STAGES["store"].split()[1:]
    stage.play(server, *rest)
    stage.close()


@pytest.mark.lab
def test_text_and_embeddings(start: Start) -> None:
    server = start("inference")
    stage = Stage("inference")
    names = STAGES["inference"].split()
    alone = names.index("embed")
    again = names.index("generate_prompt_over_context")
    stage.play(server, *names[: names.index("ps_two_names")])
    # Two names of one file are one loaded model, under the name it was loaded by.
    server.ask("POST", "/api/copy", {"source": "tiny:270m", "destination": "second"})
    server.ask("POST", "/api/generate", {"model": "second", "prompt": "x", "options": {"num_predict": 1}})
    stage.play(server, "ps_two_names", *names[alone:again])
    server.ask("POST", "/api/embed", {"model": "minilm", "input": "x", "keep_alive": 0})
    repeats = names.index("generate_no_shift")
    stage.play(server, *names[again:repeats])
    # Recorded was an answer broken off because it repeated one token; with this prompt it does on every processor.
    stage.play(server, "generate_no_shift", change={"prompt": " ha" * 24})
    stage.play(server, *names[repeats + 1 :])
    stage.close()


@pytest.mark.lab
def test_settings_of_the_server_reach_the_engine(start: Start) -> None:
    stage = Stage("settings")
    server = start("q8", OLLAMA_KV_CACHE_TYPE="q8_0")
    stage.play(server, "generate_q8_kv", "ps_q8_kv")
    server.stop()
    stage.play(
        start("no-fa", OLLAMA_KV_CACHE_TYPE="q8_0", OLLAMA_FLASH_ATTENTION="0"),
        "generate_q8_kv_without_flash_attention",
    )
    stage.play(start("bad-type", OLLAMA_KV_CACHE_TYPE="q9_9"), "generate_bad_kv_cache_type")
    server = start("four", OLLAMA_NUM_PARALLEL="4", OLLAMA_CONTEXT_LENGTH="8192", OLLAMA_KEEP_ALIVE="-1")
    stage.play(server, "generate_parallel4_ctx8k", "ps_parallel4_ctx8k")
    server.stop()
    server = start("long", OLLAMA_CONTEXT_LENGTH="65536")
    stage.play(server, "generate_context_above_trained", "ps_context_above_trained")
    server.stop()
    _fill_the_queue(stage, start("queue", OLLAMA_MAX_QUEUE="1", OLLAMA_MAX_LOADED_MODELS="1"))
    stage.close()


def _fill_the_queue(stage: Stage, server: Server) -> None:
    def ask(number: int) -> Answer:
        if number % 2:
            return replay.send(server.port, "POST", "/api/embed", {"model": "minilm", "input": "x"}, {})
        body = {"model": "tiny:270m", "prompt": "x", "stream": False, "options": {"num_predict": 1}}
        return replay.send(server.port, "POST", "/api/generate", body, {})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    statuses = {answer.status for answer in answers}
    stage.check("queue_full", statuses == {200, 503}, f"statuses {statuses}")
    refused = next((answer for answer in answers if answer.status == 503), answers[0])
    stage.compare(server, "queue_full", refused)
    ask(0)  # Loaded before the others ask: the queue holds what waits for a model to be loaded.
    with ThreadPoolExecutor(8) as pool:
        one_model = list(pool.map(ask, range(0, 16, 2)))
    stage.check("queue_full", {answer.status for answer in one_model} == {200}, "one model alone fills the queue too")


@pytest.mark.lab
def test_what_breaks_on_a_host(start: Start, root: Path, tmp_path: Path) -> None:
    stage = Stage("damage")
    server = start("killed")
    _kill_engines(stage, server)
    store = server.store
    server.ask("POST", "/api/create", {"model": "tiny-b", "from": "tiny:270m", "parameters": {"num_ctx": 8192}})
    server.ask("POST", "/api/copy", {"source": "tiny:270m", "destination": "127.0.0.1:5001/library/tiny:270m"})
    server.ask("POST", "/api/generate", {"model": "tiny:270m", "keep_alive": 0})
    server.ask("GET", "/api/tags")
    blob = store / "blobs" / f"sha256-{GGUF}"
    aside = blob.rename(tmp_path / "aside")
    stage.play(server, "tags_blob_missing", "generate_blob_missing", "show_blob_missing")
    with aside.open("rb") as whole:
        blob.write_bytes(whole.read(aside.stat().st_size // 2))
    stage.play(server, "generate_blob_cut_in_half")
    aside.replace(blob)
    manifest = store / "manifests/registry.ollama.ai/library/tiny-b/latest"
    manifest.write_bytes(manifest.read_bytes()[:100])
    stage.play(server, "tags_manifest_damaged", "generate_manifest_damaged")
    bare = tmp_path / "program"
    (bare / "bin").mkdir(parents=True)
    (bare / "lib/ollama").mkdir(parents=True)
    (bare / "bin/ollama").write_bytes((root / "bin/ollama").read_bytes())
    stage.play(start("no-engine", program=bare), "generate_no_llama_server", "v1_chat_no_llama_server")
    _prune(stage, start)
    stage.close()


def _kill_engines(stage: Stage, server: Server) -> None:
    server.ask("POST", "/api/generate", {"model": "tiny:270m"})

    def kill_after_some_lines() -> None:
        while server.log.read_text().count("new prompt") < 1:
            time.sleep(0.01)
        time.sleep(0.3)
        server.signal_engines(signal.SIGKILL)

    killer = threading.Thread(target=kill_after_some_lines)
    killer.start()
    stage.play(server, "stream_llama_server_killed")
    killer.join()
    stage.play(server, "ps_after_kill", "generate_after_kill")
    server.signal_engines(signal.SIGKILL)
    stage.play(server, "generate_idle_child_killed")


def _prune(stage: Stage, start: Start) -> None:
    """Young blobs that nobody refers to stay; old ones go, but not those of a model."""
    server = start("prune")
    server.stop()
    blobs = server.store / "blobs"
    young = [blobs / f"sha256-{'e' * 64}", blobs / f"sha256-{'f' * 64}-partial"]
    old = [blobs / f"sha256-{'a' * 64}", blobs / f"sha256-{'b' * 64}-partial"]
    for path in young + old:
        path.write_bytes(b"orphan")
    for path in old:
        os.utime(path, (0, 0))
    before = {path for path in blobs.iterdir() if path not in old}
    again = Server(server.root, server.folder)
    again.stop()
    stage.check("_prune_at_start", set(blobs.iterdir()) == before, sorted(set(blobs.iterdir()) ^ before))


@pytest.fixture
def mirror(small_models: weights.Weights, tmp_path: Path) -> Iterator[Callable[..., Mirror]]:
    """Starts mirrors; ends them all."""
    mirrors: list[Mirror] = []

    def starter(name: str, blob_host: str | None = "localhost", tls: tuple[Path, Path] | None = None) -> Mirror:
        models = {"tiny:270m": "completion", "minilm": "embedding"}
        mirrors.append(Mirror(tmp_path / name, small_models.folder, models, blob_host, tls))
        return mirrors[-1]

    yield starter
    for one in mirrors:
        one.stop()


@pytest.mark.lab
def test_models_travel_through_registries(start: Start, mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    direct, redirecting = mirror("direct", blob_host=None), mirror("redirecting")
    addresses = {f"127.0.0.1:{direct.port}": "127.0.0.1:5000", f"127.0.0.1:{redirecting.port}": "127.0.0.1:5001"}
    stage = Stage("registry", addresses)
    server = start("push")
    stage.play(server, *["copy_for_push", "push_https_to_http_registry", "push_insecure", "pull_present_layers"])
    stage.play(server, "delete_pushed")
    server.stop()

    server = start("pull", models=False)
    _add_minilm(server, redirecting)
    names = "pull_from_registry_without_redirect pull_missing_model pull_missing_model_not_streamed"
    stage.play(server, *names.split(), "pull_plain_http_not_allowed")
    redirecting.requests()
    stage.play(server, "pull_fresh")
    _compare_requests(stage, "_requests_of_fresh_pull", "requests_the_registry_saw", redirecting.requests())
    stage.play(server, "pull_again", "tags_registry_name", "copy_registry_to_plain", "generate_after_pull")
    server.ask("DELETE", "/api/delete", {"model": f"127.0.0.1:{redirecting.port}/library/tiny:270m"})
    stage.play(server, "delete_while_loaded", "ps_after_delete_while_loaded")
    server.ask("POST", "/api/generate", {"model": "tiny:270m", "keep_alive": 0})
    _break_and_resume(stage, server, redirecting)
    server.ask("DELETE", "/api/delete", {"model": f"127.0.0.1:{redirecting.port}/library/tiny:270m"})
    redirecting.misbehave("corrupt")
    stage.play(server, "pull_corrupt_layer")
    digest = json.loads(stage.answers["pull_corrupt_layer"].lines[1])["digest"].replace(":", "-")
    left = [path.name for path in (server.store / "blobs").glob(f"{digest}*")]
    stage.check("pull_corrupt_layer", not left, f"left after a wrong digest: {left}")
    server.stop()
    _pull_plain_names(stage, start, mirror, tmp_path)
    stage.close()


def _add_minilm(server: Server, registry: Mirror) -> None:
    name = f"127.0.0.1:{registry.port}/library/minilm"
    server.ask("POST", "/api/pull", {"model": name, "insecure": True, "stream": False})
    server.ask("POST", "/api/copy", {"source": name, "destination": "minilm"})
    server.ask("DELETE", "/api/delete", {"model": name})


def _compare_requests(stage: Stage, name: str, key: str, seen: list[list[Any]]) -> None:
    """Methods, kinds of paths and ranges; parts are fetched side by side, so in any order."""

    def plain(request: list[Any]) -> tuple[str, str, str]:
        method, path, bytes_asked = request
        kind = path.split("sha256:")[0]
        # The small layers and the end of the big one are of other lengths here.
        end = "" if bytes_asked is None else bytes_asked.split("-")[0]
        return method, kind, end

    expected = replay.load(name)[key]
    stage.check(name, sorted(map(plain, seen)) == sorted(map(plain, expected)), sorted(map(plain, seen)))


def _break_and_resume(stage: Stage, server: Server, registry: Mirror) -> None:
    registry.misbehave("none", bytes_per_second=8_000_000)
    stage.play(server, "pull_client_goes_away", stop_after=25)
    lines = [json.loads(line) for line in stage.answers["pull_client_goes_away"].lines]
    blob = server.store / "blobs" / lines[-1]["digest"].replace(":", "-")
    _wait_until_quiet(blob.parent, f"{blob.name}-partial-*")
    partial = Path(f"{blob}-partial")
    parts = [json.loads(path.read_text()) for path in sorted(blob.parent.glob(f"{blob.name}-partial-*"))]
    done = [part["Completed"] for part in parts]
    name = "_disk_and_ranges_of_resume"
    recorded = [json.loads(text) for text in replay.load(name)["part_files"].values()]
    stage.check(name, {*parts[0]} == {*recorded[0]} and len(parts) == len(recorded), parts)
    stage.check(name, partial.stat().st_size == lines[-1]["total"], "the partial file has not its full size")
    stage.check(name, partial.stat().st_blocks * 512 < lines[-1]["total"] // 2, "the partial file is not sparse")
    stage.check(name, all(done), f"a part has nothing: {done}")
    registry.misbehave("none")
    registry.requests()
    stage.play(server, "pull_resumed")
    seen = registry.requests()
    ranges = {request[2].split("-")[0] for request in seen if request[2] and "/direct" in request[1]}
    wanted = {f"bytes={part['Offset'] + part['Completed']}" for part in parts}
    stage.check(name, wanted <= ranges, f"resumed at {ranges} instead of {wanted}")
    kinds = [(method, path.split("sha256:")[0]) for method, path, _ in replay.load(name)["requests_on_resume"]]
    seen_kinds = [(method, path.split("sha256:")[0]) for method, path, _ in seen]
    stage.check(name, sorted(seen_kinds) == sorted(kinds), seen_kinds)
    stage.check(name, not list(blob.parent.glob(f"{blob.name}-partial*")), "partial files are left")


def _wait_until_quiet(folder: Path, pattern: str) -> None:
    """Return when the download has noted how far it is, and does no more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before = [path.read_text() for path in sorted(folder.glob(pattern))]
        time.sleep(0.5)
        if before == [path.read_text() for path in sorted(folder.glob(pattern))] and '"Completed":0' not in "".join(
            before
        ):
            return


def _pull_plain_names(stage: Stage, start: Start, mirror: Callable[..., Mirror], tmp_path: Path) -> None:
    """registry.ollama.ai by name, with a certificate of a CA the host trusts, and of one it does not."""
    ca, ca_key = tls.make_ca("test")
    leaf = tls.issue(ca, ca_key, ["registry.ollama.ai", "blobs.internal"], datetime.now(UTC))
    for file, text in (("ca", ca), ("cert", leaf.certificate_pem), ("key", leaf.key_pem)):
        (tmp_path / f"{file}.pem").write_text(text)
    registry = mirror("tls", blob_host="blobs.internal", tls=(tmp_path / "cert.pem", tmp_path / "key.pem"))
    names = f"registry.ollama.ai=127.0.0.1:{registry.port} blobs.internal=127.0.0.1:{registry.port}"
    (tmp_path / "nobody.pem").write_text(tls.make_ca("somebody else")[0])
    server = start("stranger", models=False, INHOUSE_TEST_NAMES=names, SSL_CERT_FILE=str(tmp_path / "nobody.pem"))
    stage.play(server, "pull_untrusted_certificate")
    server.stop()
    server = start("plain", models=False, INHOUSE_TEST_NAMES=names, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    server.ask("POST", "/api/pull", {"model": "minilm", "stream": False})
    stage.play(server, "pull_plain_name", "tags_after_plain_pull", "generate_after_plain_pull")


@pytest.mark.lab
def test_sources_that_fail_are_tried_for_a_minute(start: Start, mirror: Callable[..., Mirror]) -> None:
    refusing, cutting = mirror("refusing"), mirror("cutting")
    refusing.misbehave("503")
    cutting.misbehave("cut", bytes=3_000_000)
    stages = [Stage("patience", {f"127.0.0.1:{one.port}": "127.0.0.1:5001"}) for one in (refusing, cutting)]
    server = start("patience", models=False)
    other = start("patience-cut", models=False)
    hanging = start("hanging")
    hanging.ask("POST", "/api/generate", {"model": "tiny:270m"})
    hanging.signal_engines(signal.SIGSTOP)
    stages.append(Stage("patience"))
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(stages[0].play, server, "pull_layer_503"),
            pool.submit(stages[1].play, other, "pull_connection_cut_each_3mb"),
            pool.submit(_hang, stages[2], hanging),
        ]
        for job in jobs:
            job.result()
    whole = Stage("patience")
    for one in stages:
        whole.played += one.played
        whole.found += one.found
    silent = [line for line in stages[0].answers["pull_layer_503"].lines if "completed" in line]
    whole.check("pull_layer_503", not silent, silent[:1])
    completed = json.loads(stages[1].answers["pull_connection_cut_each_3mb"].lines[-2])["completed"]
    whole.check("pull_connection_cut_each_3mb", completed == 18 * 3_000_000, f"{completed} bytes came")
    whole.close()


def _hang(stage: Stage, server: Server) -> None:
    """No byte within 20 s, and no time-out of the server's own."""
    seconds = 20
    body = {"model": "tiny:270m", "prompt": "x", "stream": False}
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        replay.send(server.port, "POST", "/api/generate", body, {}, timeout=seconds)
    stage.check("generate_child_hangs", time.monotonic() - started >= seconds, "it answered")
    stage.played.append("generate_child_hangs")
    server.signal_engines(signal.SIGCONT)


@pytest.mark.lab
def test_layers_on_a_vulkan_device(start: Start) -> None:
    driver = engine.software_gpu(cache_dir()) / engine.DRIVER_MANIFEST
    shaders = str(cache_dir() / "shaders")
    server = start("gpu", VK_DRIVER_FILES=str(driver), GGML_VK_VISIBLE_DEVICES="0", MESA_SHADER_CACHE_DIR=shaders)
    stage = Stage("gpu")
    stage.play(server, *STAGES["gpu"].split())
    shares = {}
    for name in ("gpu_ps_all_layers", "gpu_ps_partial", "gpu_ps_none"):
        loaded = json.loads(stage.answers[name].body)["models"][0]
        shares[name] = loaded["size_vram"] / loaded["size"]
    stage.check("gpu_ps_all_layers", shares["gpu_ps_all_layers"] == 1, shares)
    stage.check("gpu_ps_none", 0 < shares["gpu_ps_none"] < shares["gpu_ps_partial"] < 1, shares)
    stage.close()
