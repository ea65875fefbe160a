"""The table of drivers: as the catalogue and the planner have it today, and tested by scenarios that there are."""

import pytest

from inhouse import drivers_docs
from inhouse.catalogue.drivers import drivers


def test_the_page_is_that_of_today() -> None:
    assert drivers_docs.PAGE.read_text(encoding="utf-8") == drivers_docs.markdown(), "python -m inhouse.drivers_docs"


def test_every_system_stands_there_with_every_family() -> None:
    text = drivers_docs.markdown()
    for system in drivers().systems:
        for family in drivers().families:
            assert (f"| {system.name} | {family.name} | " in text) is family.usable


def test_what_is_tested_is_of_a_family_of_cards() -> None:
    assert {row.what for row in drivers_docs.tested("cards")} <= {family.name for family in drivers().families}


@pytest.mark.parametrize(
    "row", [*drivers_docs.tested("cards"), *drivers_docs.tested("toolkit")], ids=lambda row: f"{row.system}, {row.what}"
)
def test_what_is_said_to_be_tested_has_its_scenarios(row: drivers_docs.Tested) -> None:
    assert row.system in {system.name for system in drivers().systems}
    assert row.scenarios
    assert [name for name in row.scenarios if not (drivers_docs.TESTED.parent / name / "molecule.yml").is_file()] == []
