"""Speeds: how near the published ones they come, and what must never be so."""

from dataclasses import replace
from datetime import date
from math import exp, log
from pathlib import Path
from statistics import median
from time import process_time
from timeit import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.catalogue import gpus
from inhouse.catalogue import models as catalogue
from inhouse.catalogue.models import Model
from inhouse.planner import speed
from inhouse.planner.memory import Use
from inhouse.planner.speed import FITTED, Engine, Range
from tests import speed_fit
from tests.speed_fit import PROCESSORS, PROMISED, Point, generation_residual, points, prompt_residual, spreads

TEXT = tuple(m for m in catalogue.models() if "embedding" not in m.purposes)
USE = Use(8192)
RTX_4090 = Engine("cuda", 1008, None, 50, 16, compute="8.9")
A100 = Engine("cuda", 1935, None, 100, 32, compute="8.0")
CPU = Engine("cpu", None, None, speed.likely_ram_gbs(8), 8, gpu_share=0.0)

texts = st.sampled_from(TEXT)
bandwidths = st.floats(50, 10_000)
computes = st.sampled_from([None, "5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "12.0", "99.0"])
shares = st.floats(0, 1)
contexts = st.integers(512, 131_072)


def model(tag: str) -> Model:
    found = catalogue.find(tag)
    assert found is not None
    return found


def rate(tag: str, engine: Engine, use: Use = USE) -> Range:
    predicted = speed.predict(model(tag), use, engine)
    assert predicted is not None
    return predicted.tokens_per_second


def test_the_data_is_enough_to_say_something() -> None:
    assert len(points()) >= 200
    assert {p.kind for p in points()} == {*PROCESSORS.values(), *FITTED.kinds} - {"cuda"}
    assert sum(not p.model.dense for p in points()) >= 30


def test_every_point_names_its_source_and_its_day() -> None:
    sources = speed_fit.data()["sources"]
    assert all(len(s["name"]) >= 8 and isinstance(s["date"], date) for s in sources.values())
    assert {row["source"] for row in speed_fit.data()["points"]} == set(sources)


def test_four_of_five_published_speeds_lie_in_their_range() -> None:
    alone = [p for p in points() if p.alone]
    assert inside(alone, prompt=False) >= PROMISED
    assert inside(alone, prompt=True) >= PROMISED


@pytest.mark.parametrize("kind", [*(k for k in FITTED.kinds if k != "cuda"), *PROCESSORS.values()])
def test_ranges_of_no_kind_are_too_narrow(kind: str) -> None:
    """A little less than four of five, since a row of the catalogue that is mended moves a point across the border."""
    alone = [p for p in points() if p.kind == kind and p.alone]
    assert inside(alone, prompt=False) >= PROMISED - 0.05
    assert inside(alone, prompt=True) >= PROMISED - 0.05


def test_four_of_five_speeds_of_a_machine_that_was_left_out_lie_in_its_range() -> None:
    assert speed_fit.unseen(FITTED) >= PROMISED


def inside(chosen: list[Point], *, prompt: bool) -> float:
    """Part of the points in their range; 1 if there is none."""
    told = [p for p in chosen if (p.prompt if prompt else p.generation) is not None]
    near = (
        abs(prompt_residual(p, FITTED) if prompt else generation_residual(p, FITTED))
        <= log(spreads(p.kind, FITTED)[int(prompt)])
        for p in told
    )
    return sum(near) / len(told) if told else 1.0


def test_no_range_is_wider_than_the_points_ask_for() -> None:
    needed = speed_fit.with_spreads(FITTED)
    for name, kind in FITTED.kinds.items():
        assert kind.spread <= needed.kinds[name].spread * 1.1, name
        assert kind.prompt_spread <= needed.kinds[name].prompt_spread * 1.1, name
    for key, processor in FITTED.processors.items():
        assert processor.spread <= needed.processors[key].spread * 1.1
        assert processor.prompt_spread <= needed.processors[key].prompt_spread * 1.1


def test_half_of_the_predictions_on_gpus_are_within_eight_percent() -> None:
    assert error([p for p in points() if p.engine.backend != "cpu" and p.alone]) < 0.08


def test_half_of_the_predictions_for_mixtures_of_experts_are_within_twelve_percent() -> None:
    assert error([p for p in points() if not p.model.dense and p.alone and p.engine.backend != "cpu"]) < 0.12


def test_without_the_compute_capability_predictions_stay_near() -> None:
    unknown = [replace(p, engine=p.engine._replace(compute=None)) for p in points() if p.engine.backend == "cuda"]
    assert error([p for p in unknown if p.alone]) < 0.15


def error(chosen: list[Point]) -> float:
    return exp(median(abs(generation_residual(p, FITTED)) for p in chosen if p.generation is not None)) - 1


def test_a_model_that_is_partly_in_ram_is_predicted_within_a_half() -> None:
    partly = [p for p in points() if not p.alone]
    assert len(partly) >= 3
    assert all(abs(generation_residual(p, FITTED)) <= log(1.5) for p in partly)


def test_half_of_the_predictions_on_processors_are_within_fifteen_percent() -> None:
    assert error([p for p in points() if p.engine.backend == "cpu"]) < 0.15


@pytest.mark.parametrize("constant", ["experts", "kv", "further_gpu_us", "experts_prompt"])
def test_no_constant_is_better_elsewhere(constant: str) -> None:
    here = speed_fit.loss(FITTED)
    for by in (0.8, 1.25):
        moved = replace(FITTED, **{constant: getattr(FITTED, constant) * by})
        assert speed_fit.loss(moved) > here


def test_the_largest_mixture_of_experts_on_an_a100_is_far_from_its_bandwidth() -> None:
    """234 tokens/s is what the bandwidth alone would give."""
    assert 80 < rate("gpt-oss:120b", A100).likely < 150


def test_what_a_mixture_of_experts_reads() -> None:
    """The idle experts of gpt-oss have 4.25 bits per weight, all else 16: a share of the file would be too little."""
    big = model("gpt-oss:120b")
    assert speed.gigabytes_per_token(big) > 1.5 * big.file_mib * 2**20 / 1e9 * big.active_b / big.parameters_b


def test_a_table_of_which_a_token_needs_one_row_is_not_read() -> None:
    dense = model("llama3.1:8b")
    tied = replace(dense, architecture=replace(dense.architecture, tied=True))
    table = dense.architecture.embedding_mib * 2**20 / 1e9
    assert speed.gigabytes_per_token(tied) - speed.gigabytes_per_token(dense) == pytest.approx(table)


def test_experts_of_the_catalogue_say_what_is_idle() -> None:
    plain = model("qwen3:30b")
    experts = catalogue.Experts(count=128, used=8, feed_forward=768)
    known = replace(plain, architecture=replace(plain.architecture, experts=experts))
    assert speed.gigabytes_per_token(known) == pytest.approx(speed.gigabytes_per_token(plain), rel=0.1)


@given(text=texts, bandwidth=bandwidths, more=st.floats(1, 10), compute=computes, share=shares)
def test_more_bandwidth_is_never_slower(
    text: Model, bandwidth: float, more: float, compute: str | None, share: float
) -> None:
    slow = Engine("cuda", bandwidth, None, 50, 8, gpu_share=share, compute=compute)
    fast = slow._replace(bandwidth_gbs=bandwidth * more)
    a, b = speed.predict(text, USE, slow), speed.predict(text, USE, fast)
    assert a is not None
    assert b is not None
    assert b.tokens_per_second.low >= a.tokens_per_second.low
    assert b.tokens_per_second.high >= a.tokens_per_second.high
    assert b.first_token_s.likely <= a.first_token_s.likely


@given(text=texts, context=contexts, more=contexts, engine=st.sampled_from([RTX_4090, CPU]))
def test_more_context_is_never_faster(text: Model, context: int, more: int, engine: Engine) -> None:
    short, long = (speed.predict(text, Use(c), engine) for c in (context, context + more))
    assert short is not None
    assert long is not None
    assert long.tokens_per_second.likely <= short.tokens_per_second.likely
    assert long.first_token_s.likely >= short.first_token_s.likely


@given(text=texts, engine=st.sampled_from([RTX_4090, CPU]))
def test_a_smaller_cache_promises_no_speed_that_nobody_measured(text: Model, engine: Engine) -> None:
    large, small = (speed.predict(text, USE._replace(kv_cache_type=kind), engine) for kind in ("f16", "q8_0"))
    assert large is not None
    assert small == large


@given(active=st.floats(0.5, 30), more=st.floats(0, 30), engine=st.sampled_from([RTX_4090, CPU]))
def test_a_larger_active_part_is_never_faster(active: float, more: float, engine: Engine) -> None:
    base = model("qwen3:30b")
    lean, fat = (
        speed.predict(replace(base, active_b=min(b, base.parameters_b)), USE, engine) for b in (active, active + more)
    )
    assert lean is not None
    assert fat is not None
    if active + more < base.parameters_b:  # a dense model does without the cost of scattered experts
        assert fat.tokens_per_second.likely <= lean.tokens_per_second.likely
        assert fat.first_token_s.likely >= lean.first_token_s.likely


@given(text=texts, cores=st.integers(1, 256), more=st.integers(0, 256))
def test_more_cores_are_never_slower(text: Model, cores: int, more: int) -> None:
    few, many = (Engine("cpu", None, None, speed.likely_ram_gbs(n), n, gpu_share=0) for n in (cores, cores + more))
    a, b = speed.predict(text, USE, few), speed.predict(text, USE, many)
    assert a is not None
    assert b is not None
    assert b.tokens_per_second.likely >= a.tokens_per_second.likely
    assert b.first_token_s.likely <= a.first_token_s.likely


@given(text=texts, gpus=st.integers(1, 8))
def test_gpus_take_turns(text: Model, gpus: int) -> None:
    several = speed.seconds_per_token(text, RTX_4090._replace(gpus=gpus))
    alone = speed.seconds_per_token(text, RTX_4090)
    assert several is not None
    assert alone is not None
    assert several == pytest.approx(alone + (gpus - 1) * FITTED.further_gpu_us * 1e-6)


def test_layers_in_ram_are_slow() -> None:
    assert rate("qwen3:32b", RTX_4090._replace(gpu_share=0.5)).likely < 0.3 * rate("qwen3:32b", RTX_4090).likely


def test_nothing_is_said_of_a_card_that_is_not_known() -> None:
    assert speed.predict(model("qwen3:8b"), USE, RTX_4090._replace(bandwidth_gbs=None)) is None
    assert speed.prompt_seconds(model("qwen3:8b"), 100, RTX_4090._replace(bandwidth_gbs=None)) is None


def test_a_measured_speed_replaces_the_prediction() -> None:
    """It was measured with an empty context; the low end is what is left of it when the context is half full."""
    predicted = speed.predict(model("qwen3:8b"), Use(32768), RTX_4090, measured=42.0)
    assert predicted is not None
    assert predicted.measured
    assert predicted.tokens_per_second.likely == predicted.tokens_per_second.high == 42.0
    assert 20 < predicted.tokens_per_second.low < 40


def test_a_longer_prompt_takes_longer_than_its_length() -> None:
    """Attention grows with the square."""
    short, long = (speed.prompt_seconds(model("llama3.1:8b"), n, RTX_4090) for n in (1024, 65536))
    assert short is not None
    assert long is not None
    assert 64 * 1.5 < long / short < 64 * 6


def test_half_a_context_is_read_in_a_second_on_a_gpu_and_in_a_minute_on_a_processor() -> None:
    gpu, cpu = (speed.predict(model("qwen3:8b"), Use(8192), engine) for engine in (RTX_4090, CPU))
    assert gpu is not None
    assert cpu is not None
    assert gpu.first_token_s.low < 1 < gpu.first_token_s.high * 2
    assert 30 < cpu.first_token_s.likely < 300


def test_a_range_holds_what_is_likely() -> None:
    for text in TEXT:
        predicted = speed.predict(text, USE, RTX_4090)
        assert predicted is not None
        for r in (predicted.tokens_per_second, predicted.first_token_s):
            assert 0 < r.low < r.likely < r.high


@pytest.mark.parametrize(
    ("compute", "kind"),
    [("5.2", "pascal"), ("7.0", "volta"), ("7.5", "turing"), ("8.0", "hbm"), ("8.7", "ampere"), ("10.0", "hbm")],
)
def test_kinds_follow_from_the_compute_capability(compute: str, kind: str) -> None:
    assert speed.kind_name(RTX_4090._replace(compute=compute)) == kind


def test_every_nvidia_card_of_the_catalogue_is_of_a_known_kind() -> None:
    computes = {g.compute for g in gpus.gpus() if g.compute and g.compute[0].isdigit()}
    assert len(computes) >= 9
    assert "cuda" not in {speed.kind_name(RTX_4090._replace(compute=c)) for c in computes}


def test_devices_of_the_data_are_as_in_the_catalogue() -> None:
    pairs = [(p, gpus.by_name(p.device)) for p in points()]
    both = [(p.engine, row) for p, row in pairs if row is not None and row.bandwidth_gbs]
    assert len(both) > 100
    for engine, row in both:
        assert engine.bandwidth_gbs == pytest.approx(row.bandwidth_gbs, rel=0.03), row.name


def test_a_prediction_takes_microseconds() -> None:
    text = model("gemma4:26b")
    spent = repeat(lambda: speed.predict(text, USE, RTX_4090), number=200, repeat=5, timer=process_time)
    assert min(spent) / 200 < 60e-6  # 20 on a free core


def test_the_documentation_gives_the_constants_in_use() -> None:
    """To mend: python -m tests.speed_fit prints the tables."""
    written = (Path(__file__).parents[1] / "docs" / "speed.md").read_text(encoding="utf-8")
    assert speed_fit.constants(FITTED) in written
    for number in (FITTED.experts, FITTED.experts_block_us, FITTED.recurrent_block_us, FITTED.kv):
        assert f"{number:g}" in written
    assert f"{FITTED.further_gpu_us:g}" in written
    assert f"{FITTED.experts_prompt:g}" in written


def test_a_measured_speed_does_not_count_where_a_part_lies_in_ram() -> None:
    predicted = speed.predict(model("qwen3:32b"), USE, RTX_4090._replace(gpu_share=0.5), measured=500.0)
    assert predicted is not None
    assert not predicted.measured
    assert predicted.tokens_per_second.high < 100
