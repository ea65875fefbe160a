"""From a host and its facts to its plan. Pure: the same input gives the same plan, whatever the day or the place."""

from inhouse.catalogue.releases import ARCHITECTURES, releases
from inhouse.facts.model import HostFacts
from inhouse.planner import cards, memory, preflight, wording
from inhouse.planner import layer as layers
from inhouse.planner import machine as machines
from inhouse.planner import webui as webuis
from inhouse.planner.budget import Budget
from inhouse.planner.decide import Decision, decide
from inhouse.planner.disk import Space
from inhouse.planner.loads import loads
from inhouse.planner.machine import Machine
from inhouse.planner.needs import Needs, is_frail
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.planner.selection import Chosen, Selection
from inhouse.planner.subject import Subject
from inhouse.settings import HostSettings
from inhouse.speeds import NONE, Speeds


def decided(host: Subject, facts: HostFacts, speeds: Speeds = NONE) -> tuple[Needs, Budget, Selection]:
    """What was asked of a host, what its models may take, and what was chosen: for views that explain a plan."""
    layer = layers.decide(host.settings, host.role_variables, facts)
    machine = machines.judge(facts, layer.outlook)
    webui = webuis.decide(host.settings, facts)
    disk = Space.of(host.settings, facts, machine, webui.planned)
    decision = decide(host.settings, facts, machine, webui, disk.for_models, speeds)
    return decision.needs, decision.budget, decision.selection


def make_plan(host: Subject, facts: HostFacts, fleet: str | None = None, speeds: Speeds = NONE) -> Plan:
    """Decide everything about a host.

    Args:
        host: the host and its settings.
        facts: what is true on it.
        fleet: fingerprint of the fleet CA that plans; None if there is none yet.
        speeds: what `verify` measured before.

    Raises:
        PlanError: only if the catalogue itself is damaged. What is wrong with a host stands in its plan's problems.
    """
    layer = layers.decide(host.settings, host.role_variables, facts)
    machine = machines.judge(facts, layer.outlook)
    webui = webuis.decide(host.settings, facts)
    disk = Space.of(host.settings, facts, machine, webui.planned)
    decision = decide(host.settings, facts, machine, webui, disk.for_models, speeds)
    budget, selection, settings = decision.budget, decision.selection, host.settings
    accelerator = budget.cards[0].backend if budget.cards else "cpu"
    visible = cards.visible(budget.cards, machine.cards)
    embedding = next((c.model.tag for c in selection.chosen if c.purposes == ("embedding",)), None)
    talking = [c.model.tag for c in selection.chosen if c.purposes != ("embedding",)]
    return Plan(
        host=host.name,
        note=settings.note,
        server_name=host.server_name,
        url=f"https://{host.server_name}{'' if settings.https_port == 443 else f':{settings.https_port}'}/",
        address=host.connection.address,
        certificate_names=tuple(dict.fromkeys((host.server_name, *settings.server_aliases, host.connection.address))),
        http_port=settings.http_port,
        https_port=settings.https_port,
        accelerator=accelerator,
        hardware=wording.hardware(facts, machine),
        device=budget.device,
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
        ollama_nvidia=accelerator == "cuda",
        ollama_visible_devices=visible,
        # Vulkan would find what CUDA must not use.
        ollama_vulkan=accelerator == "vulkan" or (accelerator == "cuda" and not facts.amd_devices and not visible),
        ollama_integrated_gpu=budget.kind.unified,
        ollama_sched_spread=decision.layout.spread,
        ollama_fit_target_mib=memory.MARGIN_MIB if budget.cards and decision.fit_target else None,
        replace_existing_ollama=settings.replace_existing_ollama,
        models=tuple(planned(c, decision) for c in selection.chosen),
        disk_reserve_mib=settings.disk_reserve_mib,
        min_tokens_per_second=settings.min_tokens_per_second,
        open_webui=webui.planned,
        open_webui_version=releases().open_webui.default,
        open_webui_port=settings.open_webui_port,
        open_webui_admin_email=settings.open_webui_admin_email,
        open_webui_default_model=talking[0] if webui.planned and talking else None,
        open_webui_embedding_model=embedding if webui.planned else None,
        machine_roles=layer.roles,
        **layer.variables,
        reasons=(
            *layer.reasons,
            *machine.reasons,
            *decision.reasons,
            *webui.reasons,
            *wording.about_host(decision),
        ),
        warnings=(*layer.warnings, *machine.warnings, *selection.warnings),
        problems=(
            *layer.problems,
            *preflight.problems(settings, facts, fleet, webui.planned),
            *webui.problems,
            *_cache_problem(settings, selection),
            *selection.problems,
            *disk.problems(selection),
        ),
    )


def planned(chosen: Chosen, decision: Decision) -> PlannedModel:
    """A chosen model as it stands in a plan."""
    model, budget = chosen.model, decision.budget
    use, placed = chosen.use, chosen.placement
    gpus = 1 if model.tag in decision.layout.alone else max(len(budget.cards), 1)
    load = loads(decision.selection.use, gpus).of(model)
    whole = placed.share >= 1
    copies = budget.kind.copies(load)
    gpu_mib = round(load.memory.gpu + copies if whole else placed.gpu)
    ram_mib = round(load.memory.beside_gpu if whole else placed.ram)
    speed = chosen.speed
    generation = speed.tokens_per_second if speed else None
    return PlannedModel(
        tag=model.tag,
        purposes=chosen.purposes,
        quantization=model.quantization,
        context_length=use.context_length,
        parallel=use.parallel,
        download_mib=model.file_mib,
        weights_mib=round(load.memory.weights + load.memory.projector),
        kv_cache_mib=round(load.memory.kv_cache + load.memory.recurrent),
        compute_mib=round(load.memory.compute + copies),
        gpu_mib=gpu_mib,
        ram_mib=ram_mib,
        gpu_share=round(placed.share, 3),
        loaded=chosen.stays,
        tokens_per_second_low=_tenth(generation.low) if generation else None,
        tokens_per_second=_tenth(generation.likely) if generation else None,
        tokens_per_second_high=_tenth(generation.high) if generation else None,
        first_token_s=_tenth(speed.first_token_s.likely) if speed else None,
        speed_measured=bool(speed and speed.measured),
        reason=wording.reason(chosen, decision, gpu_mib, ram_mib),
    )


def _tenth(number: float) -> float:
    return round(number, 1)


def _without(machine: Machine, budget: Budget) -> tuple[str, ...]:
    """Folders of the archive that would only take space, or let Ollama use a device the plan leaves alone.

    A card by NVIDIA keeps all of them even while its driver is broken, so that mending the driver suffices.
    """
    folders = releases().ollama.folders
    if budget.cards and budget.cards[0].backend == "vulkan" and not machine.has_nvidia:
        return folders.cuda
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
    if settings.kv_cache_type in (None, "f16"):
        return ()
    if selection.use.flash_attention:
        return tuple(
            f"kv_cache_type {settings.kv_cache_type} with {chosen.use.parallel} requests at a time ends the engine of "
            f"{chosen.model.tag}. Set parallel: 1 or kv_cache_type: f16."
            for chosen in selection.chosen
            if is_frail(chosen.model) and chosen.use.parallel > 1
        )
    return (
        f"kv_cache_type {settings.kv_cache_type} needs flash attention, which a GPU of this host lacks: "
        "every model would fail to load. Set kv_cache_type: f16.",
    )
