from collections import Counter

import pytest

from inhouse.catalogue import gpus, load
from inhouse.catalogue.chips import AMD, APPLE, CHIPS, NVIDIA
from inhouse.errors import PlanError
from tests.hosts_to_plan import PROFILES

PCI_IDS = """
10de:1380 GM107 [GeForce GTX 750 Ti]
10de:13c2 GM204 [GeForce GTX 970]
10de:17c8 GM200 [GeForce GTX 980 Ti]
10de:1b80 GP104 [GeForce GTX 1080]
10de:1b06 GP102 [GeForce GTX 1080 Ti]
10de:1d01 GP108 [GeForce GT 1030]
10de:15f8 GP100GL [Tesla P100 PCIe 16GB]
10de:1b38 GP102GL [Tesla P40]
10de:1db4 GV100GL [Tesla V100 PCIe 16GB]
10de:1e81 TU104 [GeForce RTX 2080 SUPER]
10de:1e04 TU102 [GeForce RTX 2080 Ti]
10de:1eb8 TU104GL [Tesla T4]
10de:2182 TU116 [GeForce GTX 1660 Ti]
10de:1f51 TU106BM [GeForce RTX 2060 Mobile]
10de:20b5 GA100 [A100 PCIe 80GB]
10de:2204 GA102 [GeForce RTX 3090]
10de:2504 GA106 [GeForce RTX 3060 Lite Hash Rate]
10de:25a2 GA107M [GeForce RTX 3050 Mobile]
10de:2420 GA103M [GeForce RTX 3080 Ti Mobile]
10de:2684 AD102 [GeForce RTX 4090]
10de:2702 AD103 [GeForce RTX 4080 SUPER]
10de:2757 AD103M / GN21-X11 [GeForce RTX 4090 Laptop GPU]
10de:27b8 AD104GL [L4]
10de:2805 AD106 [GeForce RTX 4060 Ti 16GB]
10de:26b9 AD102GL [L40S]
10de:2330 GH100 [H100 SXM5 80GB]
10de:2335 GH100 [H200 SXM 141GB]
10de:2901 GB100 [B200]
10de:3182 GB110 [B300 SXM6 AC]
10de:2b00 GB10B [Jetson AGX Thor]
10de:2b85 GB202 [GeForce RTX 5090]
10de:2c02 GB203 [GeForce RTX 5080]
10de:2d04 GB206 [GeForce RTX 5060 Ti]
10de:2f04 GB205 [GeForce RTX 5070]
10de:2dd8 GB207M [GeForce RTX 5050 Max-Q / Mobile]
10de:2e12 GB20B [GB10]
1002:744c Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]
1002:73bf Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]
1002:7550 Navi 48 [Radeon RX 9070/9070 XT/9070 GRE]
1002:1586 Strix Halo [Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics]
1002:740f Aldebaran/MI200 [Instinct MI210]
1002:74a1 Aqua Vanjaram [Instinct MI300X]
""".strip().splitlines()
"""As pci.ids 2026.08.22 has them."""

COMPUTE = {
    "1380": "5.0", "13c2": "5.2", "1b80": "6.1", "1d01": "6.1", "15f8": "6.0", "1db4": "7.0", "1eb8": "7.5",
    "20b5": "8.0", "2204": "8.6", "2684": "8.9", "2330": "9.0", "2901": "10.0", "3182": "10.3", "2b00": "11.0",
    "2b85": "12.0", "2e12": "12.1",
}  # fmt: skip
"""What nvidia-smi or NVIDIA's list says of these."""

PUBLISHED_GBS = {
    "GTX 1080 Ti": 484, "Tesla P40": 346, "Tesla V100-PCIE-16GB": 900, "Tesla T4": 320, "RTX 2080 Ti": 616,
    "RTX 3060": 360, "RTX 3060 8GB": 240, "RTX 3060 Laptop GPU": 336, "RTX 3090": 936, "RTX A6000": 768,
    "A100-PCIE-40GB": 1555, "A100 80GB PCIe": 1935, "A100-SXM4-80GB": 2039, "RTX 4060": 272,
    "RTX 4060 Ti 16GB": 288, "RTX 4060 Laptop GPU": 256, "RTX 4090": 1008, "RTX 4090 Laptop GPU": 576, "L4": 300,
    "L40S": 864, "RTX 6000 Ada Generation": 960, "H100 80GB HBM3": 3350, "H100 NVL": 3938, "H200": 4800,
    "B200": 7700, "RTX 5060 Laptop GPU": 384, "RTX 5070 Ti": 896, "RTX 5090": 1792,
    "RTX PRO 6000 Blackwell Workstation Edition": 1792, "GB10": 273, "Jetson AGX Orin 64GB": 204.8,
    "RX 6800 XT": 512, "RX 7900 XTX": 960, "RX 9070 XT": 640, "PRO W7900": 864, "MI100": 1228.8, "MI210": 1638.4,
    "MI300X": 5300, "8060S": 256, "M3 Ultra": 819, "M4 Max": 546,
}  # fmt: skip
"""Makers' data sheets, GB/s."""

PUBLISHED_TFLOPS = {
    "GTX 1080": 8.9, "Tesla P100-PCIE-16GB": 18.7, "Tesla V100-SXM2-16GB": 125, "GTX 1660 Ti": 11, "Tesla T4": 65,
    "A100 80GB PCIe": 312, "RTX 3090": 142, "Jetson AGX Orin 64GB": 42.5, "RTX 4090": 330.3, "L40": 181, "L40S": 362,
    "H200": 989, "B200": 2250, "RTX 5090": 419, "GB10": 125, "RX 6900 XT": 46.08, "RX 7900 XTX": 122.8,
    "RX 9070 XT": 195, "8060S": 59.4, "MI50": 26.5, "MI100": 184.6, "MI210": 181, "MI300X": 1307.4,
    "MI355X": 2516.6, "M1": 2.6,
}  # fmt: skip
"""One of each row of chips.py: makers' data sheets, dense half precision (GTX 1080, M1: single precision)."""


def named(name: str) -> gpus.Gpu:
    row = gpus.by_name(name)
    assert row is not None, f"no row {name}"
    return row


def test_enough_gpus_of_every_kind_and_maker() -> None:
    rows = gpus.gpus()
    assert len(rows) >= 140
    assert sum(row.id is not None for row in rows) >= 120
    kinds, makers = Counter(row.kind for row in rows), Counter(row.vendor for row in rows)
    assert min(kinds[k] for k in ("desktop", "laptop", "workstation", "data-centre")) >= 25
    assert kinds["embedded"] >= 6
    assert makers[AMD] >= 35
    assert makers[APPLE] >= 17
    assert {row.chip for row in rows} == set(CHIPS)


@pytest.mark.parametrize("line", PCI_IDS)
def test_ids_are_those_of_pci_ids(line: str) -> None:
    ids, _, text = line.partition(" ")
    vendor, _, device = ids.partition(":")
    chip, _, marketing = text.partition(" [")
    row = gpus.find(device, vendor)
    assert row is not None
    assert chip.startswith(row.chip)
    numbers = [word for word in row.name.split() if any(c.isdigit() for c in word)] or [row.name.split()[-1]]
    assert numbers[0].partition("-")[0].lower() in gpus.plain(marketing)


@pytest.mark.parametrize(("device", "compute"), COMPUTE.items())
def test_compute_capability_follows_from_the_chip(device: str, compute: str) -> None:
    row = gpus.find(device)
    assert row is not None
    assert row.compute == compute


@pytest.mark.parametrize(("name", "published"), PUBLISHED_GBS.items())
def test_bandwidth_is_what_is_published(name: str, published: float) -> None:
    assert named(name).bandwidth_gbs == pytest.approx(published, rel=0.012)


@pytest.mark.parametrize(("name", "published"), PUBLISHED_TFLOPS.items())
def test_tflops_are_what_is_published(name: str, published: float) -> None:
    assert named(name).tflops == pytest.approx(published, rel=0.055)


def test_a_published_total_stands_for_every_kind_of_chip() -> None:
    proved = {named(name).generation for name in PUBLISHED_TFLOPS}
    assert proved >= {chip.generation for chip in CHIPS.values()} - {"maxwell"}


def test_what_is_not_published_is_not_computed() -> None:
    assert named("MacBook Pro M5 Max").tflops is None


def test_the_labs_cards_are_there() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in PROFILES.glob("*.yml"))
    for id_, name in (("2684", "RTX 4090"), ("2204", "RTX 3090"), ("20b5", "A100 80GB PCIe")):
        assert f"10de:{id_}" in text
        row = gpus.find(id_)
        assert row is not None
        assert row.name.endswith(name)


@pytest.mark.parametrize(
    ("vendor", "id_", "memory", "name"),
    [
        (NVIDIA, "2d04", None, "NVIDIA GeForce RTX 5060 Ti"),
        (NVIDIA, "2d04", 8151, "NVIDIA GeForce RTX 5060 Ti 8GB"),
        (NVIDIA, "2bb3", 73000, "NVIDIA RTX PRO 5000 72GB Blackwell"),
        (NVIDIA, "24DC", 16384, "NVIDIA GeForce RTX 3080 Laptop GPU 16GB"),
        (AMD, "744c", 24560, "AMD Radeon RX 7900 XTX"),
        (AMD, "744c", 20464, "AMD Radeon RX 7900 XT"),
        (AMD, "73bf", 16368, "AMD Radeon RX 6800"),
    ],
)
def test_memory_tells_cards_of_one_id_apart(vendor: str, id_: str, memory: int | None, name: str) -> None:
    row = gpus.find(id_, vendor, memory)
    assert row is not None
    assert row.name == name


def test_an_id_belongs_to_its_vendor() -> None:
    assert gpus.find("744c") is None
    assert gpus.find("2684", AMD) is None
    assert gpus.find("ffff") is None


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("rtx-4090", "NVIDIA GeForce RTX 4090"),
        ("GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("mac-studio-m3-ultra", "Apple M3 Ultra"),
        ("m3 ultra", "Apple M3 Ultra"),
        ("DGX Spark", "NVIDIA GB10"),
        ("strix-halo", "AMD Radeon 8060S"),
        ("rx_7900_xtx", "AMD Radeon RX 7900 XTX"),
        ("NVIDIA TITAN X (Pascal)", "NVIDIA TITAN X (Pascal)"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "NVIDIA Jetson AGX Orin 64GB"),
        ("banana", None),
    ],
)
def test_names_as_people_and_drivers_write_them(typed: str, name: str | None) -> None:
    row = gpus.by_name(typed)
    assert (row.name if row else None) == name


def test_machines_sold_in_sizes() -> None:
    assert [mib // 1024 for mib in named("Mac Studio M3 Ultra").memory_options_mib] == [96, 256, 512]
    assert [mib // 1024 for mib in named("Strix Halo").memory_options_mib] == [32, 64, 96, 128]
    assert named("rtx 4090").memory_options_mib == ()


GOOD = """
sources:
  own: {what: invented for this test, read: "2026-11-25"}
gpus:
  - {id: "2684", name: NVIDIA Card, chip: AD102, kind: desktop, memory_mib: 24564, bus_bits: 384, gbit_per_pin: 21,
     units: 128, boost_mhz: 2520, sources: own}
  - {id: "2685", also: ["2686"], name: NVIDIA Slower, chip: AD102, kind: desktop, memory_mib: 24564, bus_bits: 384,
     gbit_per_pin: 20, units: 114, boost_mhz: 2520, sources: own}
  - {name: NVIDIA Board, chip: GA10B, kind: embedded, memory_mib: 8192, memory_options_mib: [8192, 16384],
     published_gbs: 102, published_tflops: 17, unified: true, sources: own}
"""


def test_a_good_file_is_taken() -> None:
    rows = load.check("gpus.yml", GOOD, gpus.Gpus).gpus
    assert [row.generation for row in rows] == ["ada", "ada", "ampere"]
    assert rows[2].tflops == 17


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('id: "2684"', 'id: "0x2684"', "gpus → 0x2684 → id: String should match pattern"),
        ('id: "2684"', 'id: "268A"', "String should match pattern"),
        ('id: "2684"', 'id: "1b80"', "PCI id 1b80 is not of the generation ada"),
        ('id: "2684"', 'id: "0fc6"', "PCI id 0fc6 is not of the generation ada"),
        ('also: ["2686"]', 'also: ["26"]', "String should match pattern"),
        ("chip: AD102", "chip: AD109", "gpus → 2684: Value error, no chip AD109"),
        ("kind: desktop", "kind: tower", "found 'tower'"),
        ("kind: desktop", "kind: laptop", 'named "Laptop GPU" or "Mobile", and no others'),
        ("name: NVIDIA Card", "name: NVIDIA Card Mobile", 'named "Laptop GPU" or "Mobile", and no others'),
        ("name: NVIDIA Card", "name: NVIDIA Card Laptop GPU", 'named "Laptop GPU" or "Mobile", and no others'),
        ("memory_mib: 24564", "memory_mib: 245640", "no modules of memory make 245640 MiB on 384 bits"),
        ("memory_mib: 24564", "memory_mib: 20480", "no modules of memory make 20480 MiB on 384 bits"),
        ("memory_mib: 24564", "memory_mib: 24600", "no modules of memory make 24600 MiB on 384 bits"),
        ("bus_bits: 384, gbit_per_pin: 21", "bus_bits: 384", "stand together"),
        ("bus_bits: 384, gbit_per_pin: 21", "units: 1", "keys given twice: units"),
        ("gbit_per_pin: 21", "gbit_per_pin: 21, published_gbs: 1008", "the bandwidth is given once"),
        ("published_gbs: 102, ", "", "the bandwidth is given once"),
        ("units: 128, ", "", "units and boost_mhz stand together"),
        ("units: 128,", "published_tflops: 330, units: 128,", "TFLOPS are given once"),
        ('id: "2684", ', "", "a desktop GPU has a PCI id"),
        ("sources: own}\n  - {id", "unified: true, sources: own}\n  - {id", "unified memory is what embedded and soc"),
        ("unified: true", "unified: false", "unified memory is what embedded and soc"),
        ("[8192, 16384]", "[16384, 8192]", "memory_options_mib rise"),
        ("8192, memory_options_mib: [8192, 16384]", "1024", "1024 MiB cannot be"),
        ("memory_mib: 8192,", "memory_mib: 16384,", "memory_mib is the first"),
        ("sources: own", "sources: me", "sources without an entry: me"),
        ("sources: own", "sources: [own]", "Input should be a valid string"),
        ("  own: {", "  spare: {what: used by no row, read: '2026-11-25'}\n  own: {", "sources of no row: spare"),
        ('"2685"', '"2684"', "NVIDIA Slower is slower and stands behind NVIDIA Card"),
        ('"2686"', '"2684"', "NVIDIA Slower is slower and stands behind NVIDIA Card"),
        ('"2685", also: ["2686"], name: NVIDIA Slower', '"2684", name: NVIDIA Card', "GPUs given twice: NVIDIA Card"),
        ("units: 128", "cores: 128", "cores: Unexpected keyword argument"),
        ("gpus:", "gpus: [", "is not YAML"),
    ],
)
def test_a_wrong_row_is_named_with_what_is_wrong(right: str, wrong: str, says: str) -> None:
    assert right in GOOD
    with pytest.raises(PlanError) as caught:
        load.check("gpus.yml", GOOD.replace(right, wrong, 1), gpus.Gpus)
    assert "gpus.yml" in str(caught.value)
    assert says in str(caught.value)


def test_memory_in_stacks_is_checked_by_stacks() -> None:
    stacked = GOOD.replace("bus_bits: 384, gbit_per_pin: 21", "bus_bits: 5120, gbit_per_pin: 3.02", 1)
    with pytest.raises(PlanError, match="no modules of memory make 24564 MiB on 5120 bits"):
        load.check("gpus.yml", stacked, gpus.Gpus)
    load.check("gpus.yml", stacked.replace("24564", "81559", 1), gpus.Gpus)
