"""Ollama: a checked release in its own folder, an atomic switch to it, unit, settings, and a server that answers."""

import hashlib
import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host
from pyinfra.operations import server

from inhouse import layout
from inhouse.deploys import session
from inhouse.deploys.operations import Folder, failure, file, folders, packages, pending, script
from inhouse.planner.plan import Plan
from inhouse.templating import render

REPLACED_UNITS = f"{layout.ETC}/replaced"
"""Unit files of other Ollamas that inhouse took over from."""
_TOOLS = ("ca-certificates", "curl", "zstd")
_VULKAN = ("libvulkan1", "mesa-vulkan-drivers")
"""Vulkan's loader and Mesa's drivers; Ollama's archive carries neither."""
_GPU_GROUPS = ("render", "video")
"""May open /dev/dri/*. systemd refuses to start a unit with a group that does not exist."""
_RELEASE_FOLDERS = (
    Folder(layout.ETC),
    Folder(layout.OPT),
    Folder(layout.OLLAMA_PREFIX),
    Folder(layout.STAGING, "700"),
)


def ollama() -> None:
    """Have the planned release of Ollama serving on loopback."""
    plan = session.plan()
    foreign_ollama_may_be_replaced(name="No Ollama installed by other means is in the way", plan=plan)
    packages(name="Packages that Ollama's installation needs are there", names=_TOOLS)
    folders(name="The folders of Ollama's releases are there", wanted=_RELEASE_FOLDERS)
    unpacked = release_is_unpacked(name="Ollama's planned release is checked and unpacked", plan=plan)
    # Only now, so that a release that cannot be had takes nobody's working Ollama away; and before the user, whose
    # home cannot be changed while it has processes.
    foreign_ollama_is_aside(name="No Ollama installed by other means serves", plan=plan)
    server.user(
        name="The user ollama exists",
        user=layout.OLLAMA_USER,
        system=True,
        home=layout.OLLAMA_HOME,
        shell="/usr/sbin/nologin",
    )
    folders(name="Ollama's folders are there", wanted=_data_folders(plan))
    causes = [
        *(gpu_by_vulkan() if plan.accelerator == "vulkan" else ()),
        unpacked,
        release_is_current(name="Ollama's planned release is the current one", plan=plan),
        file(
            name="Ollama's unit is in place",
            path=layout.OLLAMA_UNIT_FILE,
            body=render("ollama/ollama.service.j2", plan=plan, layout=layout),
        ),
        file(
            name="Ollama's settings are in place",
            path=layout.OLLAMA_ENV,
            body=render("ollama/ollama.env.j2", plan=plan, release=_release_id(plan)),
            mode="600",
        ),
    ]
    serves(name="Ollama answers on loopback", plan=plan, causes=causes)
    old_releases_are_gone(name="Only the current and the previous release of Ollama are kept", plan=plan)


def gpu_by_vulkan() -> tuple[OperationMeta, ...]:
    """Have Mesa's Vulkan driver, and the groups that may open the GPU's devices."""
    driver = packages(name="Mesa's Vulkan driver is there", names=_VULKAN)
    groups = (server.group(name=f"The group {group} exists", group=group, system=True) for group in _GPU_GROUPS)
    return (driver, *groups)


def _data_folders(plan: Plan) -> tuple[Folder, ...]:
    user = layout.OLLAMA_USER
    return (Folder(layout.OLLAMA_HOME, "750", user, user), Folder(plan.ollama_models_dir, "750", user, user))


@dataclass(frozen=True)
class OllamaState:
    """What is true of Ollama on a host."""

    releases: dict[str, str]
    """Unpacked releases: folder name → what inhouse noted when it unpacked it."""
    current: str | None
    previous: str | None
    foreign_unit: str | None
    """A unit `ollama.service` that inhouse did not write."""
    active: bool
    enabled: bool
    daemon_reload_needed: bool
    environment_current: bool
    """The running server was started with the settings that are in the file now."""
    version: str | None
    """What the server answers."""


class Ollama(FactBase[OllamaState]):
    """OllamaState of a host; one round trip."""

    def command(self, port: int) -> StringCommand:
        """Run the state script."""
        return StringCommand("sh", "-c", quote(render("ollama/state.sh.j2", layout=layout, port=port)))

    def process(self, output: Iterable[str]) -> OllamaState:
        """Parse its lines."""
        return parse_state(output)

    @staticmethod
    def default() -> OllamaState:
        """A host without Ollama."""
        return parse_state(())


def parse_state(lines: Iterable[str]) -> OllamaState:
    """Parse the output of `ollama/state.sh`; lines that are missing mean that the thing is absent."""
    pairs = [line.partition(" ")[::2] for line in lines]
    values = {key: value for key, value in pairs if value not in ("", "-")}
    releases = dict(value.partition(" ")[::2] for key, value in pairs if key == "release")
    unit = values.get("unit", "absent")
    return OllamaState(
        releases=releases,
        current=values.get("current"),
        previous=values.get("previous"),
        foreign_unit=None if unit in ("ours", "absent") else unit,
        active=values.get("active") == "active",
        enabled=values.get("enabled") == "enabled",
        daemon_reload_needed=values.get("reload") == "yes",
        environment_current=values.get("environment") == "current",
        version=_version(values.get("answer", "")),
    )


def _version(answer: str) -> str | None:
    try:
        said: Any = json.loads(answer)
    except ValueError:
        return None
    return str(said["version"]) if isinstance(said, dict) and "version" in said else None


def stamp(plan: Plan) -> str:
    """Return what is noted beside an unpacked release: it is unpacked anew when this differs."""
    return json.dumps({"sha256": plan.ollama_archive_sha256, "without": sorted(plan.ollama_without)}, sort_keys=True)


def _release_id(plan: Plan) -> str:
    return f"{plan.ollama_version}-{hashlib.sha256(stamp(plan).encode()).hexdigest()[:16]}"


def _state(plan: Plan) -> OllamaState:
    found: OllamaState = host.get_fact(Ollama, port=plan.ollama_port)
    return found


@operation()
def foreign_ollama_may_be_replaced(plan: Plan) -> Generator[StringCommand]:
    """Have no unit `ollama.service` but inhouse's own, or the leave to take over from it."""
    unit = _state(plan).foreign_unit
    if unit is not None and not plan.replace_existing_ollama:
        yield failure(
            f"An Ollama that inhouse did not install is here: {unit}. Nothing was changed. To let inhouse take over "
            "(its unit is stopped and kept, its models stay), set replace_existing_ollama: true for this host "
            "and run again."
        )


@operation()
def foreign_ollama_is_aside(plan: Plan) -> Generator[StringCommand]:
    """Have no unit `ollama.service` but inhouse's own; never deletes models or programs."""
    if _state(plan).foreign_unit is not None:
        yield script(render("ollama/replace.sh.j2", layout=layout, kept=REPLACED_UNITS), live=True)


@operation()
def release_is_unpacked(plan: Plan) -> Generator[StringCommand]:
    """Have the planned release in its own folder; the running one is not touched."""
    if _state(plan).releases.get(plan.ollama_version) == stamp(plan):
        return
    yield script(install_script(plan), live=True)


def install_script(plan: Plan) -> str:
    """Return the script that fetches, checks and unpacks the planned release."""
    return render(
        "ollama/install.sh.j2",
        url=quote(plan.ollama_archive_url),
        sha256=plan.ollama_archive_sha256,
        version=plan.ollama_version,
        prefix=layout.OLLAMA_PREFIX,
        staging=layout.STAGING,
        without=plan.ollama_without,
        stamp=stamp(plan),
    )


@operation()
def release_is_current(plan: Plan) -> Generator[StringCommand]:
    """Have the link `current` point at the planned release, and `previous` at the one before: both atomically."""
    state = _state(plan)
    if state.current == plan.ollama_version:
        return
    if state.current is not None:
        yield _link("previous", state.current)
    yield _link("current", plan.ollama_version)


def _link(name: str, target: str) -> StringCommand:
    prefix = layout.OLLAMA_PREFIX
    return StringCommand(f"ln -sfn {quote(target)} {prefix}/.{name} && mv -fT {prefix}/.{name} {prefix}/{name}")


@operation()
def serves(plan: Plan, causes: Sequence[OperationMeta]) -> Generator[StringCommand]:
    """Have the planned release answering, with the settings in place; restarts it only if it must."""
    if pending(causes) or not is_served(_state(plan), plan):
        body = render("ollama/serve.sh.j2", layout=layout, port=plan.ollama_port, version=plan.ollama_version)
        yield script(body)


def is_served(state: OllamaState, plan: Plan) -> bool:
    """Tell whether the running server is the planned one."""
    return (
        state.version == plan.ollama_version
        and state.active
        and state.enabled
        and state.environment_current
        and not state.daemon_reload_needed
    )


@operation()
def old_releases_are_gone(plan: Plan) -> Generator[StringCommand]:
    """Have no release but the planned one and the one to go back to; runs only after the planned one answers."""
    state = _state(plan)
    previous = state.previous if state.current == plan.ollama_version else state.current
    for release in sorted(set(state.releases) - {plan.ollama_version, previous}):
        yield StringCommand("rm", "-rf", quote(f"{layout.OLLAMA_PREFIX}/{release}"))
