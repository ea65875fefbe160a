"""Every planned model: it answers, lies where it was planned to, is as fast as wanted, and has the promised context."""

import httpx
from testinfra.host import Host

from inhouse.layout import OLLAMA_UNIT
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.smoke.backend import NoAnswer, output
from inhouse.smoke.bounds import load_bound_s
from inhouse.smoke.expect import Broken, expect, paragraph, shortened
from inhouse.smoke.gpu import causes_of_fallback
from inhouse.smoke.marks import for_models, needs, provides, with_chat_model
from inhouse.smoke.ollama import Generation, Loaded, Ollama, OllamaError
from inhouse.smoke.plugin import Measured
from inhouse.smoke.subject import Subject

WHOLE = 0.99
"""A share from which on a model counts as being on the GPU altogether."""
SHARE_TOLERANCE = 0.1
"""A planned part is an estimate; this much less of it on the GPU is still as planned."""
ON_CPU = 0.5
"""Below this share a model planned for the CPU is there: a few buffers are always on the device (8 % seen)."""
AMX = "amx_int8"
"""With it Ollama counts weights in RAM as if they lay on a GPU (0.34.4: 69 % of a model on a host without one)."""
ROUNDING = 256
"""The engine rounds a context up to a multiple of this, in tokens."""
STREAMED = 0.3
"""Part of the generating time that must lie between the first piece of an answer and its last."""
MORE_ANSWERS = 2
"""How many more are asked for before one that came in a heap counts as a fault."""


@for_models("chat")
@needs("present:{model.tag}")
@provides("works:{model.tag}")
def test_generates(ollama: Ollama, model: PlannedModel, measured: Measured, subject: Subject) -> None:
    """{model.tag} generates through the proxy"""
    try:
        ollama.load(model.tag, load_bound_s(model))
        generation = ollama.generate(model.tag)
        _remember(ollama, model, measured)
    except (OllamaError, httpx.HTTPError) as error:
        raise _no_answer(subject, model, error) from error
    measured.generations[model.tag] = generation
    expect(
        generation.tokens > 0,
        found="an answer without a token",
        expected="tokens",
        cause="the model's template or file is damaged",
        run=subject.on_host(f"journalctl -u {OLLAMA_UNIT} -n 50"),
    )


@for_models("embedding")
@needs("present:{model.tag}")
@provides("works:{model.tag}")
def test_embeds(ollama: Ollama, model: PlannedModel, measured: Measured, subject: Subject) -> None:
    """{model.tag} embeds through the proxy"""
    try:
        dimension = ollama.embed(model.tag, load_bound_s(model))
        _remember(ollama, model, measured)
    except (OllamaError, httpx.HTTPError) as error:
        raise _no_answer(subject, model, error) from error
    expect(
        dimension > 0,
        found="an embedding of no dimension",
        expected="numbers",
        cause="the model's file is damaged",
        run=subject.on_host(f"journalctl -u {OLLAMA_UNIT} -n 50"),
    )


@for_models("all")
@needs("works:{model.tag}")
@provides("placed:{model.tag}")
def test_placed(host: Host, model: PlannedModel, measured: Measured, subject: Subject) -> None:
    """{model.tag} lies on the GPU or the CPU as planned"""
    share = _loaded(measured, model, subject).gpu_share
    if model.gpu_share == 0:
        counts_wrongly = share >= ON_CPU and AMX in output(host, "cat /proc/cpuinfo").split()
        as_planned, expected = share < ON_CPU or counts_wrongly, "on the CPU, as planned"
    elif model.gpu_share >= WHOLE:
        as_planned, expected = share >= WHOLE, "all of it on the GPU"
    else:
        as_planned = share >= model.gpu_share - SHARE_TOLERANCE
        expected = f"{model.gpu_share:.0%} of it on the GPU"
    expect(
        as_planned,
        found=f"{share:.0%} of {model.tag} on the GPU",
        expected=expected,
        cause="" if as_planned else causes_of_fallback(host, model, subject.plan),
        run=subject.here("plan"),
    )


@for_models("all")
@needs("works:{model.tag}")
def test_context(ollama: Ollama, model: PlannedModel, measured: Measured, subject: Subject) -> None:
    """{model.tag} has its planned context of {model.context_length} tokens"""
    trained = ollama.trained_context(model.tag)
    wanted = min(model.context_length, trained or model.context_length)
    actual = _loaded(measured, model, subject).context_length
    embeds = model in subject.plan.embedding_models
    expect(
        actual >= wanted if embeds else actual == wanted,
        found=f"loaded with {actual} tokens",
        expected=f"{wanted} tokens (planned {model.context_length}, trained {trained or 'unknown'})",
        cause="OLLAMA_CONTEXT_LENGTH on the host is not the plan's, or a program asked for another num_ctx",
        run=subject.here("up"),
    )
    if not embeds:
        _context_is_there(ollama, model, wanted, subject)


def _context_is_there(ollama: Ollama, model: PlannedModel, wanted: int, subject: Subject) -> None:
    try:
        named = ollama.refused_context(model.tag, wanted)
        found = "a longer prompt was taken, or refused without a number" if named is None else f"the engine has {named}"
    except httpx.TimeoutException:
        named, found = None, "a longer prompt was not refused but worked on"
    expect(
        named is not None and wanted <= named < wanted + ROUNDING,
        found=found,
        expected=f"a longer prompt is refused with the number {wanted}",
        cause="the engine runs with another context than Ollama says",
        run=subject.on_host(f"journalctl -u {OLLAMA_UNIT} -n 100"),
    )


@for_models("chat")
@needs("works:{model.tag}", "placed:{model.tag}")
def test_speed(host: Host, model: PlannedModel, measured: Measured, subject: Subject) -> None:
    """{model.tag} generates at least {plan.min_tokens_per_second} tokens/s"""
    plan, generation = subject.plan, measured.generations[model.tag]
    fast_enough = generation.tokens_per_second >= plan.min_tokens_per_second
    expect(
        fast_enough,
        found=f"{generation.tokens_per_second:.1f} tokens/s over {generation.tokens} tokens",
        expected=f"{plan.min_tokens_per_second:g} tokens/s or more (min_tokens_per_second)",
        cause="" if fast_enough else f"other programs use the machine (load {_load(host)}), or it throttles for heat",
        run=subject.on_host("top -bn1"),
    )


@with_chat_model
@needs("works:{plan.chat_models[0].tag}")
def test_streaming(ollama: Ollama, measured: Measured, plan: Plan, subject: Subject) -> None:
    """Answers stream through the proxy piece by piece"""
    model = plan.chat_models[0]
    generation = measured.generations[model.tag]
    try:
        # A busy machine may hand us one answer in a heap; what buffers answers does so each time.
        for _ in range(MORE_ANSWERS):
            if not _streamed(generation):
                generation = ollama.generate(model.tag)
    except (OllamaError, httpx.HTTPError) as error:
        raise _no_answer(subject, model, error) from error
    expect(
        _streamed(generation),
        found=f"all of an answer that took {generation.spread_eval_s:.2f} s came within {generation.spread_s:.2f} s",
        expected="pieces as they are made",
        cause="the proxy, or another one in between, buffers answers",
        run=subject.here("up"),
    )


def _streamed(generation: Generation) -> bool:
    return generation.spread_s >= STREAMED * generation.spread_eval_s


def _remember(ollama: Ollama, model: PlannedModel, measured: Measured) -> None:
    """Keep how the model lies in memory now: the next one may push it out."""
    if loaded := ollama.loaded(model.tag):
        measured.loaded[model.tag] = loaded


def _loaded(measured: Measured, model: PlannedModel, subject: Subject) -> Loaded:
    loaded = measured.loaded.get(model.tag)
    expect(
        loaded is not None,
        found=f"{model.tag} is not in memory right after it answered",
        expected="it stays loaded (keep_alive)",
        cause="other models pushed it out at once, or keep_alive is very short",
        run=subject.on_host(f"curl -s http://127.0.0.1:{subject.plan.ollama_port}/api/ps"),
    )
    assert loaded is not None
    return loaded


def _no_answer(subject: Subject, model: PlannedModel, error: Exception) -> Broken:
    if isinstance(error, httpx.TimeoutException):
        found, cause = f"no byte from {model.tag} in time", "its engine hangs, or its disk is very slow"
    else:
        found, cause = shortened(str(error) or type(error).__name__), "the engine cannot load the model, or died"
    return Broken(
        paragraph(
            found=found,
            expected="an answer",
            cause=cause,
            run=subject.on_host(f"journalctl -u {OLLAMA_UNIT} -n 50"),
        )
    )


def _load(host: Host) -> str:
    try:
        return output(host, "cat /proc/loadavg").split()[0]
    except NoAnswer:
        return "unknown"
