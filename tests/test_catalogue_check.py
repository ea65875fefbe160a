import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from inhouse.catalogue import check, commands, models
from inhouse.errors import PlanError, UnreachableError

RECORDINGS = Path(__file__).parent / "recordings"
Answers = dict[str, Any]


def recorded(name: str) -> Answers:
    """What a real Ollama answered."""
    answer: Answers = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))["response"]["json"]
    return answer


def listed(name: str, digest: str, size: int) -> Answers:
    return {**recorded("tags")["models"][0], "name": name, "digest": digest.ljust(64, "0"), "size": size}


def as_the_row_says(tag: str, **info: object) -> tuple[Answers, Answers]:
    """Answers of an Ollama with exactly the model of a row, but for what is given."""
    model = models.find(tag)
    assert model is not None
    name = model.architecture.name
    numbers = {key: ours(model.architecture) for _, key, ours in check.NUMBERS}
    shown = {
        "details": {"quantization_level": model.quantization},
        "capabilities": ["completion", *model.capabilities],
        "model_info": {
            "general.architecture": name,
            "general.parameter_count": round(model.parameters_b * 1e9),
            f"{name}.context_length": model.context_trained,
            **{f"{name}.{key}": number for key, number in numbers.items()},
            **{f"{name}.{key}": value for key, value in info.items()},
        },
    }
    return listed(tag, model.digest, model.file_mib * 2**20), shown


@pytest.mark.parametrize("row", models.models(), ids=lambda m: m.tag)
def test_a_model_as_the_row_says_differs_in_nothing(row: models.Model) -> None:
    one, shown = as_the_row_says(row.tag)
    assert check.differences(row, one, shown) == ()


def test_a_real_answer_of_the_same_weights_differs_in_its_context_alone() -> None:
    """The recorded server had all-minilm from another converter, which states the context before it was halved."""
    row = models.find("all-minilm")
    assert row is not None
    one = listed("all-minilm:latest", row.digest, 45_960_996)
    found = check.differences(row, one, recorded("show_embedding_model"))
    assert found == (check.Difference("context_trained", "256", "512"),)


def test_a_small_file_under_a_big_name_differs_in_nearly_everything() -> None:
    """What a lab host answers: Gemma 3 270M under the planned name."""
    row = models.find("gemma3:1b")
    assert row is not None
    one = {**recorded("tags")["models"][0], "name": "gemma3:1b"}
    found = {d.field: (d.catalogue, d.ollama) for d in check.differences(row, one, recorded("show"))}
    assert found == {
        "digest": (row.digest, "68ff70ef7908"),
        "file_mib": ("778", "241"),
        "parameters_b": ("0.9999", "0.2681"),
        "architecture.blocks and draft_blocks": ("26", "18"),
        "architecture.embedding": ("1152", "640"),
        "architecture.feed_forward": ("6912", "2048"),
    }


@pytest.mark.parametrize(
    ("info", "field", "ours", "theirs"),
    [
        ({"attention.head_count_kv": [0, 0, 0, 8]}, "architecture.kv.heads", "4", "8"),
        ({"ssm.state_size": 64}, "architecture.recurrent.state", "128", "64"),
        ({"nextn_predict_layers": 3}, "architecture.draft_blocks", "1", "3"),
        ({"context_length": 131072}, "context_trained", "262144", "131072"),
    ],
)
def test_one_number_that_differs_is_named(info: Answers, field: str, ours: str, theirs: str) -> None:
    row = models.find("qwen3.5:9b")
    assert row is not None
    one, shown = as_the_row_says("qwen3.5:9b", **info)
    assert check.differences(row, one, shown) == (check.Difference(field, ours, theirs),)


def test_what_ollama_leaves_out_is_not_compared() -> None:
    row = models.find("qwen3.5:9b")
    assert row is not None
    one, shown = as_the_row_says("qwen3.5:9b", **{"attention.head_count_kv": None, "ssm.state_size": []})
    assert check.differences(row, one, shown) == ()
    assert check.differences(row, one, {"capabilities": shown["capabilities"]}) == ()


def test_quantization_and_capabilities_are_compared() -> None:
    row = models.find("llama3.1:8b")
    assert row is not None
    one, shown = as_the_row_says("llama3.1:8b")
    changed = {**shown, "details": {"quantization_level": "Q8_0"}, "capabilities": ["completion"]}
    found = check.differences(row, one, changed)
    assert [d.field for d in found] == ["quantization", "capabilities"]
    assert (found[1].catalogue, found[1].ollama) == ("tools", "none")


def test_parameters_may_be_counted_without_the_vision_part() -> None:
    row = models.find("gemma3:4b")
    assert row is not None
    one, shown = as_the_row_says("gemma3:4b")
    shown["model_info"]["general.parameter_count"] = 3_880_263_168
    assert check.differences(row, one, shown) == ()
    shown["model_info"]["general.parameter_count"] = 4_100_000_000
    assert [d.field for d in check.differences(row, one, shown)] == ["parameters_b"]


def test_models_are_known_by_tag_or_by_manifest_and_others_listed_once() -> None:
    by_tag, shown = as_the_row_says("phi4-mini")
    by_digest = {**by_tag, "name": "phi4-mini:3.8b"}
    other = listed("own:latest", "f00", 5)
    converted = listed("llamacpp:0123", "f01", 5)
    tags = {"models": [by_tag, by_digest, other, converted]}
    report = check.compare(tags, lambda _: shown)
    assert [(c.name, c.tag, c.digest) for c in report.checked] == [
        ("phi4-mini", "phi4-mini", "78fad5d182a7"),
        ("phi4-mini:3.8b", "phi4-mini", "78fad5d182a7"),
    ]
    assert report.unknown == ("own:latest",)
    assert report.agrees


def server(tags: Answers, shown: Answers) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/tags":
            return httpx.Response(200, json=tags)
        assert request.url.path == "/api/show"
        assert "model" in json.loads(request.content)
        return httpx.Response(200, json=shown)

    return httpx.MockTransport(answer)


def test_a_server_is_asked_for_what_it_lists() -> None:
    one, shown = as_the_row_says("qwen3:8b")
    report = check.check("http://ollama.test:11434", server({"models": [one]}, shown))
    assert report.agrees
    assert [c.tag for c in report.checked] == ["qwen3:8b"]
    assert check.check("http://ollama.test", server(recorded("tags_empty"), {})) == check.Report((), ())


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize("url", ["", "foo", "127.0.0.1:11434", "http://", "ftp://gpu1"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(PlanError, match="is no address of an Ollama: write it as http://127"):
        check.check(url)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (refuse, "no Ollama answers there .connection refused.. Start it"),
        (lambda _: httpx.Response(500, text="boom"), "/api/tags answered 500: boom"),
        (lambda _: httpx.Response(200, text="<html>"), "no Ollama answers there"),
        (lambda _: httpx.Response(200, json=[1]), "what answers at /api/tags is no Ollama"),
    ],
)
def test_what_is_no_ollama_is_said(answer: Callable[[httpx.Request], httpx.Response], says: str) -> None:
    with pytest.raises(UnreachableError, match=says) as caught:
        check.check("http://ollama.test", httpx.MockTransport(answer))
    assert "http://ollama.test" in str(caught.value)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[check.Report], None]:
    def is_(report: check.Report) -> None:
        monkeypatch.setattr(check, "check", lambda url: report)

    return is_


DIFFERENT = check.Checked("qwen3:8b", "qwen3:8b", "500a1f067a9f", (check.Difference("file_mib", "4983", "4984"),))
SAME = check.Checked("phi4-mini:3.8b", "phi4-mini", "78fad5d182a7", ())


def test_the_command_prints_a_table_and_exits_2(found: Callable[[check.Report], None]) -> None:
    found(check.Report((DIFFERENT, SAME), ("own:latest",)))
    result = CliRunner().invoke(commands.catalogue_commands, ["check"])
    assert result.exit_code == 2
    lines = [line.split() for line in result.output.splitlines()]
    assert ["qwen3:8b", "file_mib", "4983", "4984"] in lines
    assert "phi4-mini:3.8b (phi4-mini, 78fad5d182a7)" in result.output
    assert "own:latest" in result.output


def test_the_command_exits_0_without_a_difference(found: Callable[[check.Report], None]) -> None:
    found(check.Report((SAME,), ()))
    assert CliRunner().invoke(commands.catalogue_commands, ["check"]).exit_code == 0


def test_json_is_json_only(found: Callable[[check.Report], None]) -> None:
    found(check.Report((DIFFERENT,), ("own:latest",)))
    result = CliRunner().invoke(commands.catalogue_commands, ["check", "--json", "--url", "http://x"])
    assert result.exit_code == 2
    record = json.loads(result.output)
    assert record["unknown"] == ["own:latest"]
    assert record["checked"][0] == {
        "name": "qwen3:8b",
        "tag": "qwen3:8b",
        "digest": "500a1f067a9f",
        "differences": [{"field": "file_mib", "catalogue": "4983", "ollama": "4984"}],
    }
