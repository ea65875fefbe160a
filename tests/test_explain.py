"""What came close: every better model is named with what it lacks, and a way that would fit does fit."""

import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from inhouse.catalogue.models import Model, find
from inhouse.facts.model import HostFacts
from inhouse.planner.choose import decided
from inhouse.planner.explain import SHOWN, Explanation, RunnerUp, explain, why_not
from inhouse.planner.hardware import parse
from inhouse.planner.selection import candidates, lacking
from inhouse.planner.show_explain import explanation_record, explanation_view
from tests.hosts_to_plan import card, host

BIG = "qwen3:32b"


def explained(found: HostFacts, **settings: object) -> dict[str, Explanation]:
    return {one.purpose: one for one in explain(*decided(host(**settings), found))}


def about(tag: str, found: HostFacts, **settings: object) -> RunnerUp:
    one = explained(found, **settings)["chat"]
    return next(other for other in (*one.better, *one.others) if other.model.tag == tag)


def shown(explanations: tuple[Explanation, ...], width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(explanation_view(explanations))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def model(tag: str) -> Model:
    found = find(tag)
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["rtx-3060, ram 64", "rtx-4090, ram 64", "rtx-3090 x2, ram 128", "ram 16"])
def test_every_model_is_chosen_better_or_not(text: str) -> None:
    for purpose, one in explained(parse(text)).items():
        assert one.chosen is not None
        quality = one.chosen.quality_for(one.purpose)
        assert all(other.model.quality_for(one.purpose) > quality for other in one.better)
        assert all(other.model.quality_for(one.purpose) <= quality for other in one.others)
        tags = [one.chosen.tag, *(other.model.tag for other in (*one.better, *one.others))]
        assert len(tags) == len(set(tags))
        assert {t for t in tags if purpose in model(t).purposes} == set(tags)


def test_the_next_better_model_comes_first() -> None:
    better = explained(parse("rtx-3060, ram 64"))["chat"].better
    qualities = [one.model.quality_for("chat") for one in better]
    assert qualities == sorted(qualities)
    assert len(qualities) > 1


def test_missing_memory_is_the_planners_own_number() -> None:
    found = parse("rtx-3060, ram 64")
    needs, budget, _ = decided(host(), found)
    missing = next(c.missing_mib for c in candidates(needs, budget, "chat") if c.model.tag == BIG)
    assert missing > 0
    assert f"needs {missing / 1024:.1f} GiB more" in about(BIG, found).sentence


def squeezed(wanted: str, **settings: object) -> RunnerUp:
    """What is said of the big model on a host with exactly the memory that it needs in another way than asked for."""
    needs, budget, selection = decided(host(**settings), card(98_304))
    use = needs.use(8192)
    other = {
        "q8_0": use._replace(kv_cache_type="q8_0"),
        "both": use._replace(kv_cache_type="q8_0", context_length=4096),
        "slot": use._replace(parallel=use.parallel - 1),
        "none": use._replace(kv_cache_type="q8_0", context_length=1024),
    }[wanted]
    load = budget.load(model(BIG), other)
    small = replace(budget, usable=budget.needed(load) + 1, ram=load.beside + 1)
    assert lacking(model(BIG), use, small) > 0
    return why_not(model(BIG), "chat", needs, small, replace(selection, chosen=()))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("q8_0", "with q8_0 KV it would fit at 8192 tokens"),
        ("both", "with q8_0 KV and a shorter context it would fit at 4096 tokens"),
        ("slot", "with parallel 3 it would fit at 8192 tokens"),
        ("none", None),
    ],
)
def test_a_way_that_would_fit_and_was_not_allowed_is_named(wanted: str, says: str | None) -> None:
    parallel = {"slot": 4}.get(wanted, 1)
    kind = "q8_0" if wanted == "slot" else "f16"
    found = squeezed(wanted, context_length=8192, parallel=parallel, kv_cache_type=kind)
    assert found.instead == says
    assert found.lacks[0].endswith(" GiB more") or found.lacks[0].endswith(" MiB more")


def test_what_the_planner_may_do_by_itself_is_no_lack() -> None:
    found = squeezed("q8_0")
    assert found.fits == "fits with q8_0 KV"
    assert found.lacks == ()


def test_a_part_in_ram_is_told_with_its_speed() -> None:
    found = about("qwen3.5:122b", parse("rtx-4090, ram 128"))
    slow = r"with \d+% of it in RAM too slow: about [\d.]+ tokens/s, 16 wanted since it thinks first"
    assert re.fullmatch(rf"needs [\d.]+ GiB more; {slow}", found.sentence)
    assert found.likely is None
    asked = about("qwen3.5:122b", parse("rtx-4090, ram 128"), min_tokens_per_second=25.0)
    assert "50 needed since it thinks first" in asked.sentence


def test_a_better_model_that_fits_is_told_why_it_was_passed_over() -> None:
    said = [
        other.fits
        for text in ("rtx-3090 x2, ram 128", "rtx-3060, ram 64", "rtx-4060 laptop, ram 32")
        for one in explained(parse(text), purposes=("chat", "code", "vision", "embedding", "tools")).values()
        for other in one.better
        if other.fits
    ]
    assert said
    assert all(re.match(r"fits( with [^,]+)?, but .+", text) for text in said)


def test_memory_that_other_models_take_is_told() -> None:
    for text in ("rtx-4060 laptop, ram 16", "rtx-4090, ram 64"):
        one = explained(parse(text))["embedding"]
        chat = explained(parse(text))["chat"].chosen
        assert chat is not None
        if beside := [other.sentence for other in one.better if f"more beside {chat.tag}" in other.sentence]:
            assert all(re.match(r"needs [\d.]+ [GM]iB more", sentence) for sentence in beside)
            return
    pytest.fail("no embedding model lacks the memory that a chat model takes")


def test_disk_is_told_beside_memory() -> None:
    sentence = about(BIG, parse("rtx-3060, ram 64, disk 20")).sentence
    assert re.match(r"needs [\d.]+ GiB more, needs [\d.]+ GiB more disk", sentence)


def test_a_release_that_is_too_old_is_told() -> None:
    newest = max((m.model for m in explained(parse("ram 64"))["chat"].better), key=lambda m: m.min_ollama.split("."))
    found = about(newest.tag, parse("ram 64"), ollama_version="0.5.13", ollama_archive_sha256="a" * 64)
    assert f"needs Ollama {newest.min_ollama}" in found.sentence


def test_a_licence_that_is_not_allowed_is_told() -> None:
    big = model(BIG)
    other = "MIT" if big.licence != "MIT" else "Apache-2.0"
    assert f"licence {big.licence} is not allowed" in about(BIG, parse("rtx-4090, ram 64"), licences=(other,)).sentence


def test_that_phi_ends_its_engine_is_told_only_where_it_would() -> None:
    """Without flash attention (GTX 970) there is no quantized cache."""
    says = "ends its engine"
    assert says in about("phi4-mini", parse("rtx-4060, ram 32"), people=4).sentence
    assert says not in about("phi4-mini", parse("gtx-970 x4, ram 32"), people=4).sentence
    assert says not in about("phi4-mini", parse("rtx-4060, ram 32"), people=4, kv_cache_type="f16").sentence


def test_a_pin_is_not_said_to_be_the_better_one() -> None:
    chat = explained(parse("rtx-3090, ram 64"), models=("qwen3:8b",))["chat"]
    assert chat.chosen is not None
    fitting = [one for one in chat.better if one.fits]
    assert fitting
    assert all(one.sentence.endswith(", but qwen3:8b is pinned") for one in fitting)


def test_models_that_take_turns_are_never_said_to_be_loaded_side_by_side() -> None:
    """qwen3:32b and the model for images take turns; the embedding model stays beside either."""
    asked = explained(parse("rtx-3090, ram 64"), models=("qwen3:32b", "nomic-embed-text"), purposes=("vision",))
    vision = asked["vision"].chosen
    assert vision is not None
    said = {p: [one.sentence for one in asked[p].better] for p in ("vision", "embedding", "chat")}
    assert any("beside" in text for text in said["embedding"])
    assert not any("qwen3:32b" in text and vision.tag in text for texts in said.values() for text in texts)
    assert not any(f"beside {vision.tag}" in text for text in said["chat"])


def test_a_context_beyond_the_trained_is_told() -> None:
    big = model(BIG)
    asked = big.context_trained * 2
    says = f"was trained for {big.context_trained} tokens, {asked} are asked for"
    assert says in about(BIG, parse("rtx-4090, ram 64"), context_length=asked).sentence


def test_a_floor_of_speed_is_told_with_both_numbers() -> None:
    sentence = about(BIG, parse("ram 128, cpu 16"), min_tokens_per_second=50.0).sentence
    assert "too slow: about" in sentence
    assert "100 needed since it thinks first" in sentence


def test_a_person_sees_a_few_and_the_number_of_the_rest() -> None:
    explanations = tuple(explained(parse("ram 8, cpu 4")).values())
    chat = explanations[0]
    assert len(chat.better) > SHOWN
    text = shown(explanations)
    for other in chat.better[:SHOWN]:
        assert other.model.tag in text
    assert chat.better[-1].model.tag not in text
    assert f"and {len(chat.better) - SHOWN} more of higher quality, {len(chat.others)} of no higher" in text
    assert all(len(line) <= 60 for line in shown(explanations, width=60).splitlines())


def test_a_program_gets_all_of_them() -> None:
    explanations = tuple(explained(parse("ram 8, cpu 4")).values())
    record = json.loads(json.dumps(explanation_record(explanations)))
    chat = record["chat"]
    assert chat["chosen"] == explanations[0].chosen.tag if explanations[0].chosen else None
    assert [one["tag"] for one in chat["better"]] == [one.model.tag for one in explanations[0].better]
    assert all(one["lacks"] or one["fits"] for one in chat["better"])
    assert any(one["missing_mib"] > 0 for one in chat["better"])


def test_with_nothing_chosen_the_smallest_step_is_still_told() -> None:
    one = explained(parse("ram 1"))["chat"]
    assert one.chosen is None
    assert all(other.lacks for other in one.better)
    assert "chat: no model" in shown((one,))
