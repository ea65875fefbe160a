import time
import timeit
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.catalogue.models import Architecture, KvLayers, Model, find, models
from inhouse.planner import memory
from inhouse.planner.memory import Memory, Use, estimate, predicted

# KV cache and recurrent state in MiB as f16/q8_0/q4_0, one slot; batch 512 at 4096 tokens, 1024 to 32768, then 2048.
WORKED = """
llama3.2:1b    4096 128/68/36    8192 256/136/72     32768 1024/544/288   131072 4096/2176/1152
llama3.2:3b    4096 448/238/126  8192 896/476/252    32768 3584/1904/1008 131072 14336/7616/4032
llama3.1:8b    4096 512/272/144  8192 1024/544/288   32768 4096/2176/1152 131072 16384/8704/4608
llama3.3:70b   4096 1280/680/360 8192 2560/1360/720  32768 10240/5440/2880 131072 40960/21760/11520
qwen3:8b       4096 576/306/162  8192 1152/612/324   32768 4608/2448/1296
qwen3:14b      4096 640/340/180  8192 1280/680/360   32768 5120/2720/1440 40960 6400/3400/1800
qwen3:30b      4096 384/204/108  8192 768/408/216    32768 3072/1632/864  131072 12288/6528/3456 262144 24576/13056/6912
qwen3:32b      4096 1024/544/288 8192 2048/1088/576  32768 8192/4352/2304
qwen2.5-coder:7b  4096 224/119/63  8192 448/238/126  32768 1792/952/504
qwen2.5-coder:14b 4096 768/408/216 8192 1536/816/432 32768 6144/3264/1728
gemma3:4b      4096 254/135/71   8192 392/208/110    32768 872/463/245    131072 2908/1545/818
gemma3:12b     4096 736/391/207  8192 1152/612/324   32768 2688/1428/756  131072 9152/4862/2574
gemma3:27b     4096 944/502/266  8192 1472/782/414   32768 3392/1802/954  131072 11488/6103/3231
gemma4:26b     4096 380/202/107  8192 560/298/158    32768 1040/552/292   131072 3160/1679/889   262144 5720/3039/1609
gemma4:31b     4096 1520/808/428 8192 2240/1190/630  32768 4160/2210/1170 131072 12640/6715/3555 262144 22880/12155/6435
gpt-oss:20b    4096 114/61/32    8192 222/118/62     32768 798/424/224    131072 3126/1661/879
gpt-oss:120b   4096 171/91/48    8192 333/177/94     32768 1197/636/337   131072 4689/2491/1319
qwen3.5:9b     4096 178/118/86   8192 306/186/122    32768 1074/594/338   131072 4146/2226/1202  262144 8242/4402/2354
qwen3.5:27b    4096 406/286/222  8192 662/422/294    32768 2198/1238/726  131072 8342/4502/2454  262144 16534/8854/4758
qwen3.5:35b    4096 143/105/85   8192 223/148/108    32768 703/403/243    131072 2623/1423/783   262144 5183/2783/1503
phi4:14b       4096 800/425/225  8192 1600/850/450
mistral-small3.2:24b 4096 640/340/180 8192 1280/680/360 32768 5120/2720/1440 131072 20480/10880/5760
"""


quick = settings(max_examples=40)


def known(tag: str) -> Model:
    model = find(tag)
    assert model is not None
    return model


@pytest.mark.parametrize("line", WORKED.strip().splitlines(), ids=lambda line: line.split()[0])
def test_cache_of_worked_examples(line: str) -> None:
    tag, *cells = line.split()
    for context, values in zip(cells[::2], cells[1::2], strict=True):
        for kind, mib in zip(("f16", "q8_0", "q4_0"), values.split("/"), strict=True):
            found = estimate(known(tag), Use(int(context), kv_cache_type=kind, draft_tokens=0))
            assert found.kv_cache + found.recurrent == pytest.approx(int(mib), abs=1), f"{context} {kind}"


def test_gpt_oss_120b_with_two_slots_as_logged() -> None:
    found = estimate(known("gpt-oss:120b"), Use(131072, parallel=2, batch=1024))
    assert found.kv_cache == 9306
    assert found.weights - found.embedding == pytest.approx(61223, rel=0.0005)
    assert found.embedding == pytest.approx(1104, abs=1)
    # That build (b9452) also held one row of logits for each token of the batch.
    assert found.compute == pytest.approx(796 - 4 * 201088 * 1024 / 2**20, abs=450)


def test_qwen_27b_at_its_full_context_as_logged() -> None:
    found = estimate(known("qwen3.5:27b"), Use(262144, draft_tokens=0))
    assert found.kv_cache == 16384
    assert found.recurrent == pytest.approx(149.6, abs=0.05)


def test_qwen_27b_that_guesses_four_tokens_as_logged() -> None:
    assert estimate(known("qwen3.5:27b"), Use(4096)).recurrent == pytest.approx(748.12, abs=0.01)


def test_qwen_27b_on_an_rtx_3090_as_logged() -> None:
    model = known("qwen3.5:27b")
    found = estimate(model, Use(4096, draft_tokens=0))
    logged = {"weights": 15364, "embedding": 682, "cache": 411, "compute": 170}
    assert found.embedding == pytest.approx(logged["embedding"], abs=1)
    assert found.kv_cache + found.recurrent == pytest.approx(logged["cache"], abs=6)
    # The log's tag was another upload than the catalogue's, so its own weights are taken.
    total = found.kv_cache + found.recurrent + found.compute + logged["weights"]
    measured = logged["weights"] + logged["cache"] + logged["compute"]
    assert measured - 150 <= total <= measured * 1.08


def test_llama_8b_compute_buffer_as_the_engine_prints_it() -> None:
    found = estimate(known("llama3.1:8b"), Use(8192, batch=512))
    assert found.compute_cpu == pytest.approx(132, abs=1)


def test_gemma2_9b_on_cuda_as_logged() -> None:
    """43 of 43 layers on the GPU: 717.77 MiB of table in RAM, and the file's whole 5185.21 MiB on the GPU."""
    gemma = Architecture(
        blocks=42,
        embedding=3584,
        heads=16,
        vocabulary=256000,
        embedding_bits=6.5625,
        tied=True,
        kv=(KvLayers(layers=42, heads=8, dim=256),),
    )
    found = estimate(replace(known("gemma3:12b"), architecture=gemma, projector_mib=0), Use(2048))
    assert found.embedding == pytest.approx(717.77, abs=0.01)
    on_gpu = found.weights - found.embedding + found.output_copy
    assert on_gpu == found.weights


@pytest.mark.parametrize(
    ("tag", "gib_at_4k", "gib_at_32k"),
    [
        ("llama3.1:8b", 6.35, 10.73),
        ("gpt-oss:20b", 16.2, 17.4),
        ("gemma3:12b", 11.25, 23.55),
        ("qwen3:14b", 11.6, 17.05),
    ],
)
def test_ollamas_own_prediction(tag: str, gib_at_4k: float, gib_at_32k: float) -> None:
    for context, gib in ((4096, gib_at_4k), (32768, gib_at_32k)):
        assert predicted(known(tag), context, 1) / memory.SINGLE_GPU_SHARE / 1024 == pytest.approx(gib, rel=0.02)


def test_without_flash_attention_scores_are_kept() -> None:
    with_it, without = (
        estimate(known("llama3.1:8b"), Use(8192, batch=1024, flash_attention=fa)) for fa in (True, False)
    )
    assert with_it.compute_cpu == pytest.approx(264, abs=1)
    assert without.compute_cpu == pytest.approx(1160, rel=0.02)


def test_a_tied_table_is_on_both_sides() -> None:
    found = estimate(known("llama3.2:3b"), Use(4096))
    assert found.output_copy == found.embedding > 0
    assert estimate(known("llama3.1:8b"), Use(4096)).output_copy == 0


def test_gemma4_holds_its_table_twice_without_a_gpu() -> None:
    found = estimate(known("gemma4:31b"), Use(4096))
    assert found.table_copy == found.output_copy > 1100
    assert estimate(known("gemma3:27b"), Use(4096)).table_copy == 0


def test_vectors_of_each_block_stay_in_ram() -> None:
    row = known("gemma4:e2b")
    a = row.architecture
    per_layer = 262144 * 35 * 256 * (a.per_layer_bits or a.embedding_bits) / 8 / 2**20
    assert estimate(row, Use(4096)).embedding == pytest.approx(a.embedding_mib + per_layer)


def test_experts_are_most_of_a_mixture() -> None:
    found = estimate(known("qwen3:30b"), Use(8192))
    assert 0.9 < found.experts / found.weights < 0.97
    assert estimate(known("qwen3:32b"), Use(8192)).experts == 0


def test_no_layer_and_every_layer_on_the_gpu() -> None:
    found = estimate(known("qwen3:8b"), Use(8192))
    assert found.partly(1.0)[0] == pytest.approx(found.gpu)
    assert found.partly(1.0)[1] == pytest.approx(found.beside_gpu)
    assert found.partly(0.5)[0] < found.gpu
    assert sum(found.partly(0.5)) == pytest.approx(sum(found.partly(1.0)))


def test_a_vision_part_of_its_own_is_not_in_ollamas_prediction() -> None:
    inline = known("gemma3:4b")
    apart = replace(inline, architecture=replace(inline.architecture, vision_inline=False))
    assert predicted(inline, 4096, 1) - predicted(apart, 4096, 1) == inline.projector_mib


def test_an_estimate_takes_as_long_as_1000_additions_at_most() -> None:
    """32 µs where an addition in a loop takes 32 ns: in microseconds alone, a machine's slow minute would decide."""
    use, rows = Use(8192, 2, "q8_0"), [(row, memory.parts_of(row)) for row in models()]
    estimates, additions = [], []
    for _ in range(9):
        estimates.append(
            timeit.timeit(
                lambda: [estimate(row, use, 1, parts) for row, parts in rows], number=3, timer=time.process_time
            )
        )
        additions.append(timeit.timeit("for i in range(20_000): s += i", "s = 0", number=1, timer=time.process_time))
    assert min(estimates) / 3 / len(rows) < 1000 * min(additions) / 20_000


def test_embedding_models_have_one_slot() -> None:
    model = known("qwen3-embedding:0.6b")
    assert estimate(model, Use(8192, parallel=8)) == estimate(model, Use(8192, parallel=1))


contexts = st.integers(512, 262144)
any_model = st.sampled_from(models())
caches = st.sampled_from(["f16", "q8_0", "q4_0"])
any_use = st.builds(
    Use,
    context_length=contexts,
    parallel=st.integers(1, 16),
    kv_cache_type=caches,
    flash_attention=st.booleans(),
    batch=st.one_of(st.none(), st.integers(32, 4096)),
    draft_tokens=st.integers(0, 8),
)
PARTS = ("weights", "kv_cache", "recurrent", "compute", "compute_cpu", "compute_host", "gpu", "cpu", "beside_gpu")


def never_less(low: Memory, high: Memory) -> None:
    for part in PARTS:
        assert getattr(high, part) >= getattr(low, part) - 1e-6, part


@quick
@given(any_model, any_use, contexts, st.integers(1, 8))
def test_more_context_never_takes_less(model: Model, use: Use, other: int, gpus: int) -> None:
    low, high = sorted((use.context_length, other))
    never_less(*(estimate(model, use._replace(context_length=c), gpus) for c in (low, high)))
    assert predicted(model, high, use.parallel) >= predicted(model, low, use.parallel)


@quick
@given(any_model, any_use, st.integers(1, 16))
def test_more_slots_never_take_less(model: Model, use: Use, other: int) -> None:
    low, high = sorted((use.parallel, other))
    never_less(*(estimate(model, use._replace(parallel=n)) for n in (low, high)))


@quick
@given(any_model, any_use, st.integers(32, 4096), st.integers(32, 4096), st.integers(1, 4))
def test_a_larger_batch_never_takes_less(model: Model, use: Use, one: int, other: int, gpus: int) -> None:
    low, high = sorted((one, other))
    never_less(*(estimate(model, use._replace(batch=n), gpus) for n in (low, high)))


@quick
@given(any_model, any_use)
def test_a_more_precise_cache_never_takes_less(model: Model, use: Use) -> None:
    sizes = [estimate(model, use._replace(kv_cache_type=kind)) for kind in ("q4_0", "q8_0", "f16", "f32")]
    for low, high in pairwise(sizes):
        never_less(low, high)


@quick
@given(any_model, any_use, st.integers(2, 8))
def test_more_gpus_never_take_less_together(model: Model, use: Use, gpus: int) -> None:
    assert estimate(model, use, gpus).gpu >= estimate(model, use, gpus - 1).gpu


@quick
@given(any_model, any_use)
def test_parts_add_up(model: Model, use: Use) -> None:
    m = estimate(model, use)
    held = m.kv_cache + m.recurrent + m.projector
    assert m.cpu == pytest.approx(m.weights + m.table_copy + m.compute_cpu + held)
    assert m.gpu + m.beside_gpu == pytest.approx(m.weights + m.output_copy + m.compute + m.compute_host + held)
    assert 0 < m.weights + m.projector <= model.file_mib
    assert 0 <= m.experts < m.weights - m.embedding
