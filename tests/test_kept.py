"""What is worked out once and kept; and that what is looked at in an order that saves work is still the best first."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from inhouse.catalogue.models import Model, models
from inhouse.planner import worth
from inhouse.planner.budget import Kind
from inhouse.planner.choose import decided
from inhouse.planner.hardware import parse
from inhouse.planner.kept import PerModel, Row
from inhouse.planner.memory import Use
from inhouse.planner.needs import able
from inhouse.planner.options import embedders, hope, outlines, wholes
from tests.hosts_to_plan import host


def test_a_value_is_worked_out_once_for_each_model() -> None:
    asked: list[str] = []

    def tag(model: Model) -> str:
        asked.append(model.tag)
        return model.tag

    tags = PerModel(tag)
    one, other = models()[:2]
    assert [tags.of(one), tags.of(other), tags.of(one)] == [one.tag, other.tag, one.tag]
    assert asked == [one.tag, other.tag]
    changed = replace(one, file_mib=1)
    assert tags.of(changed) == one.tag
    assert asked == [one.tag, other.tag, one.tag]


def test_a_row_is_taken_no_further_than_somebody_went() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    row = Row(numbers())
    first = iter(row)
    assert [next(first), next(first)] == [0, 1]
    assert taken == [0, 1]
    assert list(row) == [0, 1, 2, 3, 4]
    assert list(first) == [2, 3, 4]
    assert list(row) == [0, 1, 2, 3, 4] == taken


KINDS = (
    Kind(gpu=True, unified=False, images=True, cuda=True, context=491.0),
    Kind(gpu=True, unified=True, images=False, cuda=False, context=0.0),
    Kind(gpu=False, unified=False, images=False, cuda=False, context=0.0),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", [Use(2048), Use(8192, 4, "q8_0"), Use(32768)])
def test_embedding_models_come_by_worth_and_then_by_size(kind: Kind, use: Use) -> None:
    needs, _, _ = decided(host(), parse("ram 16"))
    found = list(embedders(needs.allowed, use, 2, kind))
    assert len(found) == len(able("embedding", needs.allowed)) > 5
    assert found == sorted(found, key=lambda one: (-one.points, one.model.file_mib))


@pytest.mark.parametrize(
    "hardware", ["rtx-4090, ram 64", "tesla-p40, ram 32", "ram 64, cpu 16", "rtx-3090 x4, ram 128"]
)
def test_no_model_is_worth_more_than_is_hoped_of_it(hardware: str) -> None:
    needs, budget, _ = decided(host(min_tokens_per_second=4.0), parse(hardware))
    use = needs.use(4096)
    whole, most = wholes(needs, budget, use), worth.of_use(use, needs.wants)
    for quality, outline in outlines("chat", needs.allowed):
        found = whole.of(outline.model)
        if found.fast_enough:
            assert found.points <= hope(most, outline, budget, needs.wants) + 1e-9, outline.model.tag
            assert quality == outline.model.quality_for("chat")
            assert outline.floor_mib <= budget.needed(found.load)
