"""The catalogue of drivers: ranges of cards, branches, systems, and which mistakes in it are found."""

import pytest

from inhouse.catalogue import gpus
from inhouse.catalogue.chips import NVIDIA
from inhouse.catalogue.drivers import Drivers, drivers, last_branch, too_old
from inhouse.catalogue.load import check
from inhouse.errors import PlanError


def test_every_card_of_the_catalogue_lies_in_the_range_of_its_generation() -> None:
    rows = [row for row in gpus.gpus() if row.vendor == NVIDIA and row.id]
    assert len(rows) > 150
    for row in rows:
        for id_ in (row.id, *row.also):
            assert row.generation in drivers().family(str(id_)).generations, row.name


@pytest.mark.parametrize(
    ("id_", "branch"), [("1340", "580"), ("1dff", "580"), ("1e00", None), ("2684", None), ("fffe", None)]
)
def test_last_branch_by_range(id_: str, branch: str | None) -> None:
    assert last_branch(id_) == branch
    assert not too_old(id_)


def test_kepler_is_too_old() -> None:
    assert too_old("0fc6")
    assert too_old("133f")


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [("595.91.07", "13.2"), ("580", "13.0"), ("575.57.08", "12.9"), ("560.35.03", "12.4"), ("470.82.01", None)],
)
def test_newest_cuda_of_a_driver(driver: str, cuda: str | None) -> None:
    assert drivers().cuda_of(driver) == cuda


@pytest.mark.parametrize(
    ("id_", "version", "name"),
    [
        ("debian", "12", "Debian 12"),
        ("ubuntu", "24.04", "Ubuntu 24.04"),
        ("rocky", "9.6", "RHEL 9 and its kin"),
        ("almalinux", "10.1", "RHEL 10 and its kin"),
        ("debian", "11", None),
        ("rocky", "8.10", None),
        ("fedora", "43", None),
    ],
)
def test_systems(id_: str, version: str, name: str | None) -> None:
    found = drivers().system(id_, version)
    assert (found.name if found else None) == name


GOOD = """
sources: {one: {what: invented for this test, read: "2026-11-25"}}
production: "595"
branches: [{branch: "595", cuda: "13.2", sources: one}]
families:
  - {name: Old, from: "0000", to: "1dff", modules: [], sources: one}
  - {name: New, generations: [ada], from: "1e00", to: "ffff", modules: [open], sources: one}
exceptions: []
chips: []
systems:
  - {name: Debian 12, id: debian, version: "12", prefers: nvidia, own: [], nvidia: ["595"],
     nvidia_architectures: [x86_64], sources: one}
"""


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ('from: "1e00"', 'from: "1f00"', "without gaps"),
        ('nvidia: ["595"]', 'nvidia: ["600"]', "branches without a row: 600"),
        ('production: "595"', 'production: "580"', "branches without a row: 580"),
        (
            "chips: []",
            'chips: [{compute: "9", first_branch: "595", oldest_cuda: "12.9", sources: two}]',
            "differ in: two",
        ),
        ("own: []", "own: [bookworm]", "systems"),
    ],
)
def test_mistakes_are_found(good: str, bad: str, said: str) -> None:
    check("drivers.yml", GOOD, Drivers)
    with pytest.raises(PlanError, match=said):
        check("drivers.yml", GOOD.replace(good, bad), Drivers)
