"""The stand-in's own arithmetic, against what the real server wrote and answered."""

import re
import stat
from pathlib import Path

import pytest

from inhouse.lab.programs import mirror_program, standin_program
from inhouse.lab.standin import golang, gpu, names, options, prompts, requests, settings
from inhouse.lab.standin.memory import Memory
from tests.standins import replay

LOG = (replay.FOLDER / "logs/gpu_vulkan_offload.log").read_text()
FILE_SIZE = 253_113_024


@pytest.mark.parametrize(("number", "name"), tuple(enumerate(("gpu_ps_all_layers", "gpu_ps_partial", "gpu_ps_none"))))
def test_sizes_are_what_the_real_server_made_of_the_same_lines(number: int, name: str) -> None:
    memory = Memory()
    for line in re.split(r"(?=starting llama-server)", LOG)[number + 1].splitlines():
        memory.read(line)
    loaded = replay.load(name)["response"]["json"]["models"][0]
    assert memory.sizes(FILE_SIZE) == pytest.approx((loaded["size"], loaded["size_vram"]), rel=1e-4)


def test_without_a_line_that_can_be_read_both_sizes_are_the_file() -> None:
    assert Memory().sizes(FILE_SIZE) == (FILE_SIZE, FILE_SIZE)


def test_a_prompt_beyond_the_context_keeps_its_head_and_as_much_of_its_tail_as_recorded() -> None:
    kept = prompts.truncated(list(range(4801)), context=512, keep=5)
    recorded = replay.load("generate_prompt_over_context")["response"]["json"]
    assert len(kept) == recorded["prompt_eval_count"]
    assert kept[:5] == [0, 1, 2, 3, 4]
    assert kept[-1] == 4800


def test_older_messages_are_dropped_but_never_the_system_message_or_the_last() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "long"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "last"},
    ]
    template = "{{ if .System }}[{{ .System }}]{{ end }}{{ .Prompt }}"
    assert prompts.chat(template, messages, context=100, count=len) == "[S]longAlast"
    assert prompts.chat(template, messages, context=8, count=len) == "[S]Alast"
    assert prompts.chat(template, messages, context=1, count=len) == "[S]last"


@pytest.mark.parametrize(("text", "seconds"), [("1h30m", 5400), ("-1s", -1), ("250ms", 0.25), ("0", 0)])
def test_durations(text: str, seconds: float) -> None:
    assert golang.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "5", "5x", ""])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(golang.GoError):
        golang.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{nope", "invalid character 'n' looking for beginning of object key string"),
        ('{"a": nope}', "invalid character 'n' looking for beginning of value"),
        ('{"a": 1', "unexpected EOF"),
        ('{"a" 1}', "invalid character '1' after object key"),
    ],
)
def test_broken_json_is_told_in_the_real_servers_words(text: str, error: str) -> None:
    with pytest.raises(golang.GoError, match=re.escape(error)):
        requests.decode("GenerateRequest", text.encode())


@pytest.mark.parametrize(
    ("value", "error"), [("big", "integer"), (True, "integer"), (4096, None), (4096.0, None), (None, None)]
)
def test_types_of_options(value: object, error: str | None) -> None:
    if error:
        with pytest.raises(golang.GoError, match=f'option "num_ctx" must be of type {error}'):
            options.merged(options.Options(), {"num_ctx": value})
    else:
        assert options.merged(options.Options(), {"num_ctx": value}).num_ctx in (0, 4096)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("qwen3", "qwen3:latest"),
        ("registry.ollama.ai/library/qwen3:8b", "qwen3:8b"),
        ("someone/qwen3", "someone/qwen3:latest"),
        ("127.0.0.1:5000/library/qwen3:8b", "127.0.0.1:5000/library/qwen3:8b"),
    ],
)
def test_names(text: str, short: str) -> None:
    assert names.parse(text).short == short


def test_the_environment_is_read_as_the_real_server_reads_it() -> None:
    given = {"HOME": "/h", "OLLAMA_HOST": "0.0.0.0", "OLLAMA_KEEP_ALIVE": "-1"}
    found = settings.from_environment(given | {"OLLAMA_NUM_PARALLEL": "none", "OLLAMA_NOPRUNE": "yes"})
    assert (found.host, found.port, found.num_parallel, found.no_prune) == ("0.0.0.0", 11434, 1, True)
    assert found.keep_alive == golang.FOREVER
    assert found.models == Path("/h/.ollama/models")


@pytest.mark.parametrize(
    ("answer", "usable"),
    [
        ("580.65, 8.9, 24564", 1),
        ("535.183, 8.6, 24576", 0),
        ("560.35, 6.1, 8192", 0),
        ("560.35, 7.0, 16384", 1),
        ("580.65, 9.0, 81559\n580.65, 9.0, 81559", 2),
    ],
)
def test_a_pretended_gpu_counts_when_its_driver_is_new_enough(
    answer: str, usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<END\n{answer}\nEND\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = gpu.find(tmp_path / "no-engine", {})
    assert len(found) == usable
    assert all(device.pretended for device in found)


@pytest.mark.parametrize(("gib", "tokens"), [(8, 4096), (22.5, 4096), (24, 32768), (48, 262144)])
def test_the_default_context_follows_the_gpus_memory(gib: float, tokens: int) -> None:
    assert gpu.default_context([gpu.Gpu("x", int(gib * 2**30), pretended=True)]) == tokens


def test_programs_are_the_same_to_the_byte() -> None:
    assert standin_program("1.2.3") == standin_program("1.2.3") != standin_program("1.2.4")
    assert mirror_program().startswith(b"#!/usr/bin/python3\n")
