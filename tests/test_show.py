"""A plan as a person reads it: wide and narrow, nothing lost, commands that can be copied."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from inhouse.planner.plan import Plan
from inhouse.planner.show import FIRST_TOKEN, plan_view
from inhouse.units import few, listed, number, rate, seconds, sum_of
from tests.samples import CHAT, EMBEDDING, a_plan

FAST = replace(
    CHAT,
    purposes=("chat", "vision"),
    tokens_per_second_low=30.6,
    tokens_per_second=36.2,
    tokens_per_second_high=42.4,
    first_token_s=4.4,
)


def shown(plan: Plan, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(plan_view(plan), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def with_models(*models: object, **changes: Any) -> Plan:
    return a_plan("gpu1", models=models, **changes)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_every_width_tells_the_same(width: int) -> None:
    text = " ".join(shown(with_models(FAST, EMBEDDING), width).split())
    parts = ("qwen3:8b", "chat, vision", "Q4_K_M", "8192", "6.0 GiB", "4.9 GiB", "31 to 42, likely 36", "4.4 s")
    for part in (*parts, "nomic-embed-text", FIRST_TOKEN, "Ollama 0.34.4", "models on the GPU (CUDA)"):
        assert part in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line.rstrip()) for line in shown(with_models(FAST, EMBEDDING), width).splitlines()) <= width


def test_a_wide_terminal_shows_a_table_and_a_narrow_one_does_not() -> None:
    plan = with_models(FAST, EMBEDDING)
    assert "quantization" in shown(plan, 200)
    assert "quantization" not in shown(plan, 80)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"speed_measured": True}, "36 measured"),
        ({"tokens_per_second_low": None, "tokens_per_second_high": None}, "about 36"),
        ({"tokens_per_second_low": 36.1, "tokens_per_second_high": 36.3}, "about 36"),
        (
            {"tokens_per_second_low": 3.14, "tokens_per_second": 4.0, "tokens_per_second_high": 5.0},
            "3.1 to 5.0, likely 4.0",
        ),
    ],
)
def test_a_speed_says_how_sure_it_is(changes: dict[str, Any], says: str) -> None:
    for width in (80, 200):
        assert says in shown(with_models(replace(FAST, **changes)), width)


def test_nothing_is_said_of_a_speed_that_is_not_known() -> None:
    text = shown(with_models(CHAT), 200)
    assert "tokens/s" not in text
    assert "first token" not in text.lower()


def test_which_models_take_turns_is_said_only_where_some_do() -> None:
    turning = replace(EMBEDDING, loaded=False)
    for width in (80, 200):
        assert "takes turns" in shown(with_models(FAST, turning), width)
        assert "turns" not in shown(with_models(FAST, EMBEDDING), width)
    assert "stays" in shown(with_models(FAST, turning), 200)


def test_requests_side_by_side_stand_beside_the_context() -> None:
    assert "4 x 8192" in shown(with_models(replace(FAST, parallel=4)), 200)


def test_a_cpu_has_no_column_for_a_gpu() -> None:
    plan = with_models(replace(FAST, gpu_mib=0), accelerator="cpu")
    assert "GPU" not in shown(plan, 200).replace(plan.hardware, "")


def test_commands_in_warnings_and_problems_can_be_copied() -> None:
    command = "sudo apt-get install -y " + "nvidia-driver-with-a-long-name " * 9 + "&& sudo reboot"
    text = shown(a_plan(warnings=(f"Run: {command}",), problems=(f"Port taken. Run: {command}",)), 60)
    assert f"warning: Run: {command}\n" in text
    assert f"problem: Port taken. Run: {command}\n" in text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (rate(9.94), "9.9"),
        (rate(9.96), "10"),
        (seconds(0.42), "0.4 s"),
        (seconds(42), "42 s"),
        (seconds(180), "3 min"),
        (sum_of(5000 * 1024), "5000 GiB"),
        (sum_of(20 * 2**20), "20.0 TiB"),
        (number(1, "host"), "1 host"),
        (number(2, "host"), "2 hosts"),
        (few(["a", "b", "c", "d", "e"]), "a, b, c, d, e"),
        (few(["a", "b", "c", "d", "e", "f"]), "a, b, c and 3 more"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed([]), ""),
    ],
)
def test_numbers_and_names_are_short(made: str, text: str) -> None:
    assert made == text
