import pytest

from inhouse.catalogue import gpus
from tests.hosts_to_plan import PROFILES

COMPUTE_OF_CHIP = {
    "GM107": "5.0", "GM200": "5.2", "GM204": "5.2", "GP100": "6.0", "GP102": "6.1", "GP104": "6.1", "GP106": "6.1",
    "GP108": "6.1", "GV100": "7.0", "TU102": "7.5", "TU104": "7.5", "TU106": "7.5", "TU116": "7.5", "TU117": "7.5",
    "GA100": "8.0", "GA102": "8.6", "GA104": "8.6", "GA106": "8.6", "AD102": "8.9", "AD103": "8.9", "AD104": "8.9",
    "AD106": "8.9", "AD107": "8.9", "GH100": "9.0", "GB100": "10.0", "GB202": "12.0", "GB203": "12.0",
    "GB205": "12.0", "GB206": "12.0", "GB20B": "12.1",
}  # fmt: skip
PUBLISHED_GBS = {
    "2684": 1008, "2204": 936, "2b85": 1792, "20b5": 1935, "20b0": 1555, "2330": 3350, "2335": 4800, "26b9": 864,
    "1eb8": 320, "27b8": 300, "2808": 272, "2805": 288, "1db4": 900, "1b38": 346, "2e12": 273, "2503": 360,
}  # fmt: skip


@pytest.mark.parametrize("row", gpus.gpus(), ids=lambda g: g.id)
def test_every_gpu_agrees_with_its_chip_and_the_range_rule(row: gpus.Gpu) -> None:
    chip = next((c for c in COMPUTE_OF_CHIP if row.chip.startswith(c)), None)
    assert chip, f"{row.chip} is not among the chips this test knows"
    assert row.compute == COMPUTE_OF_CHIP[chip]
    assert not gpus.too_old(row.id)
    assert (gpus.last_branch(row.id) == 580) == (row.generation in {"maxwell", "pascal", "volta"})
    assert 1024 <= row.memory_mib <= 200_000


@pytest.mark.parametrize(("id_", "published"), PUBLISHED_GBS.items())
def test_bandwidth_is_what_is_published(id_: str, published: int) -> None:
    row = gpus.find(id_)
    if row is None:
        assert id_ == "2808"
        row = gpus.by_name("GeForce RTX 4060")
    assert row is not None
    assert row.bandwidth_gbs == pytest.approx(published, rel=0.01)


def test_there_are_forty_gpus_and_those_of_the_lab() -> None:
    assert len(gpus.gpus()) >= 40
    text = "".join(file.read_text(encoding="utf-8") for file in PROFILES.glob("*.yml"))
    for id_, name in (("2684", "RTX 4090"), ("2204", "RTX 3090"), ("20b5", "A100 80GB PCIe")):
        assert f"10de:{id_}" in text
        row = gpus.find(id_)
        assert row is not None
        assert row.name.endswith(name)


@pytest.mark.parametrize(("id_", "branch"), [("1340", 580), ("1dff", 580), ("1e00", None), ("2684", None)])
def test_last_branch_by_range(id_: str, branch: int | None) -> None:
    assert gpus.last_branch(id_) == branch
    assert not gpus.too_old(id_)


def test_kepler_is_too_old() -> None:
    assert gpus.too_old("0fc6")
    assert gpus.too_old("133f")
