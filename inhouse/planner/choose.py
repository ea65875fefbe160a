"""From a host and its facts to its plan. Pure: the same input gives the same plan, whatever the day or the place."""

from dataclasses import replace

from inhouse.catalogue.releases import ARCHITECTURES, releases
from inhouse.facts.model import HostFacts
from inhouse.planner import budget as budgets
from inhouse.planner import machine as machines
from inhouse.planner import preflight, wording
from inhouse.planner import webui as webuis
from inhouse.planner.budget import Budget
from inhouse.planner.disk import Space
from inhouse.planner.machine import Machine
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.planner.selection import Chosen, Needs, Selection, select
from inhouse.planner.subject import Subject
from inhouse.planner.webui import Webui
from inhouse.settings import HostSettings

SMALL_GPU_MIB = 6144
"""Below this a GPU holds so little that the CPU may do better; from it on it wins by how fast it reads prompts."""


def decided(host: Subject, facts: HostFacts) -> tuple[Needs, Budget, Selection]:
    """What was asked of a host, what its models may take, and what was chosen: for views that explain a plan."""
    machine = machines.judge(facts)
    webui = webuis.decide(host.settings, facts)
    disk = Space.of(host.settings, facts, machine, webui.planned)
    budget, selection, _ = _decide(host.settings, facts, machine, webui, disk.for_models)
    flash_attention = machine.flash_attention or not budget.cards
    return Needs(host.settings, flash_attention, disk.for_models), budget, selection


def make_plan(host: Subject, facts: HostFacts, fleet: str | None = None) -> Plan:
    """Decide everything about a host.

    Args:
        host: the host and its settings.
        facts: what is true on it.
        fleet: fingerprint of the fleet CA that plans; None if there is none yet.

    Raises:
        PlanError: only if the catalogue itself is damaged. What is wrong with a host stands in its plan's problems.
    """
    machine = machines.judge(facts)
    webui = webuis.decide(host.settings, facts)
    disk = Space.of(host.settings, facts, machine, webui.planned)
    budget, selection, weaker = _decide(host.settings, facts, machine, webui, disk.for_models)
    cuda = bool(budget.cards)
    embedding = next((c.model.tag for c in selection.chosen if c.purposes == ("embedding",)), None)
    talking = [c.model.tag for c in selection.chosen if c.purposes != ("embedding",)]
    settings = host.settings
    return Plan(
        host=host.name,
        note=settings.note,
        server_name=host.server_name,
        url=f"https://{host.server_name}{'' if settings.https_port == 443 else f':{settings.https_port}'}/",
        address=host.connection.address,
        certificate_names=tuple(dict.fromkeys((host.server_name, *settings.server_aliases, host.connection.address))),
        http_port=settings.http_port,
        https_port=settings.https_port,
        accelerator="cuda" if cuda else "cpu",
        hardware=wording.hardware(facts, machine),
        memory_total_mib=budget.total,
        ollama_version=settings.ollama_version,
        ollama_archive_url=_archive_url(settings, facts),
        ollama_archive_sha256=_archive_sha256(settings, facts),
        ollama_without=_without(machine, budget),
        ollama_models_dir=settings.ollama_models_dir,
        ollama_port=settings.ollama_port,
        ollama_context_length=selection.use.context_length,
        ollama_num_parallel=selection.use.parallel,
        ollama_max_loaded_models=selection.loaded,
        ollama_kv_cache_type=selection.use.kv_cache_type,
        ollama_flash_attention=selection.use.flash_attention,
        ollama_keep_alive=settings.keep_alive,
        ollama_nvidia=cuda,
        replace_existing_ollama=settings.replace_existing_ollama,
        models=tuple(_planned(c, selection, budget) for c in selection.chosen),
        disk_reserve_mib=settings.disk_reserve_mib,
        min_tokens_per_second=settings.min_tokens_per_second,
        open_webui=webui.planned,
        open_webui_version=releases().open_webui.default,
        open_webui_port=settings.open_webui_port,
        open_webui_admin_email=settings.open_webui_admin_email,
        open_webui_default_model=talking[0] if webui.planned and talking else None,
        open_webui_embedding_model=embedding if webui.planned else None,
        reasons=(
            *machine.reasons,
            *weaker,
            *webui.reasons,
            *wording.about_host(selection, budget, settings.context_length),
        ),
        warnings=machine.warnings,
        problems=(
            *preflight.problems(settings, facts, fleet, webui.planned),
            *webui.problems,
            *_cache_problem(settings, selection),
            *selection.problems,
            *disk.problems(selection),
        ),
    )


def _decide(
    settings: HostSettings, facts: HostFacts, machine: Machine, webui: Webui, disk: int
) -> tuple[Budget, Selection, tuple[str, ...]]:
    """Models on the GPUs where there are any, on the CPU otherwise or where a small GPU would only hold worse ones."""
    needs = Needs(settings, machine.flash_attention, disk)
    cpu = budgets.on_cpu(facts, webui.memory_mib)
    if not machine.cards:
        return cpu, select(needs, cpu), ()
    gpu = budgets.on_gpus(facts, machine.cards, webui.memory_mib)
    on_gpu = select(needs, gpu)
    if gpu.total >= SMALL_GPU_MIB and (settings.models is not None or not on_gpu.problems):
        return gpu, on_gpu, ()
    on_cpu = select(replace(needs, flash_attention=True), cpu)
    if (len(on_cpu.problems), -on_cpu.rank) >= (len(on_gpu.problems), -on_gpu.rank):
        return gpu, on_gpu, ()
    held = ", ".join(c.model.tag for c in on_gpu.chosen) or "nothing that was asked for"
    why = f"{machine.cards[0].name} has {gpu.total} MiB, which would hold {held}: the CPU runs better ones from RAM."
    return cpu, on_cpu, (why,)


def _planned(chosen: Chosen, selection: Selection, budget: Budget) -> PlannedModel:
    model, use = chosen.model, selection.use
    memory = budget.memory(model, use)
    embeds = "embedding" in model.purposes
    return PlannedModel(
        tag=model.tag,
        purposes=chosen.purposes,
        quantization=model.quantization,
        context_length=min(use.context_length, model.context_trained),
        parallel=1 if embeds else use.parallel,
        download_mib=model.file_mib,
        weights_mib=round(memory.weights + memory.projector),
        kv_cache_mib=round(memory.kv_cache + memory.recurrent),
        compute_mib=round(memory.compute),
        gpu_mib=round(memory.gpu) if budget.cards else 0,
        ram_mib=round(memory.beside_gpu if budget.cards else memory.cpu),
        gpu_share=1.0 if budget.cards else 0.0,
        reason=wording.reason(chosen, selection, budget),
    )


def _without(machine: Machine, budget: Budget) -> tuple[str, ...]:
    """Folders of the archive that would only take space, or let Ollama use a device the plan leaves alone.

    A card by NVIDIA keeps all of them even while its driver is broken, so that mending the driver suffices.
    """
    folders = releases().ollama.folders
    if budget.cards or (machine.has_nvidia and not machine.cards):
        return ()
    return (*folders.cuda, *folders.vulkan)


def _archive_url(settings: HostSettings, facts: HostFacts) -> str:
    name = f"ollama-linux-{_architecture(facts)}.tar.zst"
    return f"{settings.ollama_mirror.rstrip('/')}/v{settings.ollama_version}/{name}"


def _archive_sha256(settings: HostSettings, facts: HostFacts) -> str:
    """The sum to enforce; "" where none is known, which is a problem of the plan."""
    known = releases().ollama.sha256(settings.ollama_version, _architecture(facts))
    return settings.ollama_archive_sha256 or known or ""


def _architecture(facts: HostFacts) -> str:
    return ARCHITECTURES.get(facts.os.architecture, facts.os.architecture)


def _cache_problem(settings: HostSettings, selection: Selection) -> tuple[str, ...]:
    if settings.kv_cache_type in (None, "f16") or selection.use.flash_attention:
        return ()
    return (
        f"kv_cache_type {settings.kv_cache_type} needs flash attention, which a GPU of this host lacks: "
        "every model would fail to load. Set kv_cache_type: f16.",
    )
