import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.catalogue.models import Model, find, models
from inhouse.planner import memory
from inhouse.planner.memory import Use, estimate, predicted

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


quick = settings(max_examples=40, deadline=None)


def known(tag: str) -> Model:
    model = find(tag)
    assert model is not None
    return model


@pytest.mark.parametrize("line", WORKED.strip().splitlines(), ids=lambda line: line.split()[0])
def test_cache_of_worked_examples(line: str) -> None:
    tag, *cells = line.split()
    for context, values in zip(cells[::2], cells[1::2], strict=True):
        for kind, mib in zip(("f16", "q8_0", "q4_0"), values.split("/"), strict=True):
            found = estimate(known(tag), Use(int(context), kv_cache_type=kind))
            assert found.kv_cache + found.recurrent == pytest.approx(int(mib), abs=1), f"{context} {kind}"


def test_gpt_oss_120b_with_two_slots_as_logged() -> None:
    found = estimate(known("gpt-oss:120b"), Use(131072, parallel=2, batch=1024))
    assert found.kv_cache == 9306
    assert found.weights - found.embedding == pytest.approx(61223, abs=1)
    assert found.beside_gpu == pytest.approx(1104, abs=1)
    assert found.compute >= 796


def test_qwen_27b_at_its_full_context_as_logged() -> None:
    found = estimate(known("qwen3.5:27b"), Use(262144))
    assert found.kv_cache == 16384
    assert found.recurrent == pytest.approx(149.6, abs=0.05)


def test_qwen_27b_on_an_rtx_3090_as_logged() -> None:
    found = estimate(known("qwen3.5:27b"), Use(4096))
    assert found.weights - found.embedding == pytest.approx(15364, abs=1)
    assert found.embedding == pytest.approx(682, abs=1)
    assert found.kv_cache + found.recurrent == pytest.approx(411, abs=6)
    assert 170 <= found.compute <= 170 * 1.25


def test_llama_8b_compute_buffer_is_not_below_the_measured_one() -> None:
    assert 132 <= estimate(known("llama3.1:8b"), Use(8192, batch=512)).compute <= 132 + 100


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
        estimate(known("llama3.1:8b"), Use(8192, batch=512, flash_attention=fa)) for fa in (True, False)
    )
    assert without.compute - with_it.compute == 4 * 32 * 8192 * 512 / 2**20


def test_a_tied_table_is_on_both_sides() -> None:
    found = estimate(known("llama3.2:3b"), Use(4096))
    assert found.output_copy == found.embedding > 0
    assert estimate(known("llama3.1:8b"), Use(4096)).output_copy == 0


def test_embedding_models_have_one_slot() -> None:
    model = known("qwen3-embedding:0.6b")
    assert estimate(model, Use(8192, parallel=8)) == estimate(model, Use(8192, parallel=1))


contexts = st.integers(512, 262144)
any_model = st.sampled_from(models())
any_use = st.builds(
    Use,
    context_length=contexts,
    parallel=st.integers(1, 16),
    kv_cache_type=st.sampled_from(["f16", "q8_0", "q4_0"]),
    flash_attention=st.booleans(),
)


@quick
@given(any_model, any_use, contexts, st.integers(1, 8))
def test_more_context_never_takes_less(model: Model, use: Use, other: int, gpus: int) -> None:
    low, high = sorted((use.context_length, other))
    shorter, longer = (
        estimate(model, Use(c, use.parallel, use.kv_cache_type, use.flash_attention), gpus) for c in (low, high)
    )
    for part in ("weights", "kv_cache", "recurrent", "compute", "gpu", "cpu"):
        assert getattr(longer, part) >= getattr(shorter, part)
    assert predicted(model, high, use.parallel) >= predicted(model, low, use.parallel)


@quick
@given(any_model, any_use)
def test_parts_add_up(model: Model, use: Use) -> None:
    m = estimate(model, use)
    assert m.cpu == pytest.approx(m.weights + m.kv_cache + m.recurrent + m.compute + m.projector)
    assert m.gpu + m.beside_gpu == pytest.approx(m.cpu + m.output_copy)
    assert m.weights + m.projector == model.file_mib


@quick
@given(any_model, any_use)
def test_smaller_elements_and_fewer_slots_never_take_more(model: Model, use: Use) -> None:
    full = estimate(model, Use(use.context_length, use.parallel, "f16"))
    assert estimate(model, Use(use.context_length, use.parallel, "q8_0")).gpu <= full.gpu
    assert estimate(model, Use(use.context_length, 1, "f16")).gpu <= full.gpu
