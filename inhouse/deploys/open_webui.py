"""Open-WebUI: hash-checked packages in a folder of their own, unit, settings, an administrator who can sign in."""

import hashlib
import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host
from pyinfra.operations import server

from inhouse import layout
from inhouse.catalogue.releases import releases
from inhouse.deploys import session
from inhouse.deploys.open_webui_env import settings_body
from inhouse.deploys.open_webui_lock import INSTALLER, REQUIREMENTS, locked, template_body
from inhouse.deploys.operations import Folder, file, folders, packages, pending, script
from inhouse.planner.plan import Plan
from inhouse.secret_settings import Secrets
from inhouse.templating import render

BACKUPS = "/var/lib/inhouse/backups/open-webui"
"""Copies of the database, one for every release that was replaced."""

CACHE = "/var/cache/inhouse/packages"
"""What the installer fetched. Files are shared with the releases by hard links where one file system holds both."""

APPLIED = f"{layout.ETC}/open-webui.applied"
"""One line: `stamp` of what serves since the administrator last signed in with it."""

MARKER = ".complete"
"""File that is written last into a release's folder."""

READY_WITHIN_S = 300
"""Seconds; measured 9 to 34 on 2 cores, and a first start beside other first starts takes several times as long."""


def open_webui() -> None:
    """Have Open-WebUI ready on loopback with its administrator made; or, where none is planned, have it stopped."""
    plan = session.plan()
    if not plan.open_webui:
        is_stopped(name=f"No Open-WebUI runs here; data of an earlier one stays in {layout.OPEN_WEBUI_DATA}", plan=plan)
        return
    packages(
        name="Packages that Open-WebUI's installation needs are there",
        names=("ca-certificates", "curl", "iproute2", "python3-venv"),
    )
    server.user(
        name="The user open-webui exists",
        user=layout.OPEN_WEBUI_USER,
        system=True,
        home=layout.OPEN_WEBUI_DATA,
        create_home=False,
        shell="/usr/sbin/nologin",
    )
    folders(name="Open-WebUI's folders are there", wanted=_folders())
    release_is_installed(name="Open-WebUI's planned release is checked and installed", plan=plan)
    causes = _files(plan)
    release_is_current(name="Open-WebUI's planned release is the current one", plan=plan)
    serves(name="Open-WebUI is ready on loopback and its administrator can sign in", plan=plan, causes=causes)
    old_releases_are_gone(name="Only the current and the previous release of Open-WebUI are kept", plan=plan)


def _folders() -> tuple[Folder, ...]:
    user = layout.OPEN_WEBUI_USER
    return (
        Folder(layout.ETC),
        Folder(layout.OPT),
        Folder(layout.OPEN_WEBUI_PREFIX),
        Folder(layout.OPEN_WEBUI_DATA, "700", user, user),
    )


def _files(plan: Plan) -> list[OperationMeta]:
    unit, settings = unit_body(plan), settings_body(plan, session.secrets())
    return [
        file(name="Open-WebUI's unit is in place", path=layout.OPEN_WEBUI_UNIT_FILE, body=unit),
        file(name="Open-WebUI's settings are in place", path=layout.OPEN_WEBUI_ENV, body=settings, mode="600"),
    ]


def unit_body(plan: Plan) -> str:
    """Return the systemd unit."""
    return render("open_webui/open-webui.service.j2", plan=plan, layout=layout)


def release_name(plan: Plan) -> str:
    """Return the folder name of the planned release: its version, and what else a change of the locks must change."""
    content = template_body(REQUIREMENTS) + template_body(INSTALLER)
    return f"{plan.open_webui_version}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def stamp(plan: Plan, secrets: Secrets) -> str:
    """Return a SHA-256 of everything that a start of the service depends on."""
    parts = (release_name(plan), unit_body(plan), settings_body(plan, secrets))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class OpenWebuiState:
    """What is true of Open-WebUI on a host."""

    releases: frozenset[str]
    """Folder names of whole releases."""
    half_releases: frozenset[str]
    """Folder names of installations that did not end."""
    current: str | None
    previous: str | None
    applied: str | None
    """`stamp` of what serves."""
    active: bool
    enabled: bool
    daemon_reload_needed: bool
    ready: bool
    """/ready answers that start and database are done."""


class OpenWebui(FactBase[OpenWebuiState]):
    """OpenWebuiState of a host; one round trip."""

    def command(self, port: int) -> StringCommand:
        """Run the state script."""
        body = render("open_webui/state.sh.j2", layout=layout, port=port, marker=MARKER, applied=APPLIED)
        return StringCommand("sh", "-c", quote(body))

    def process(self, output: Iterable[str]) -> OpenWebuiState:
        """Parse its lines."""
        return parse_state(output)

    @staticmethod
    def default() -> OpenWebuiState:
        """A host without Open-WebUI."""
        return parse_state(())


def parse_state(lines: Iterable[str]) -> OpenWebuiState:
    """Parse the output of `open_webui/state.sh`; lines that are missing mean that the thing is absent."""
    pairs = [line.partition(" ")[::2] for line in lines]
    values = {key: value for key, value in pairs if value not in ("", "-")}
    return OpenWebuiState(
        releases=frozenset(value for key, value in pairs if key == "release"),
        half_releases=frozenset(value for key, value in pairs if key == "half"),
        current=values.get("current"),
        previous=values.get("previous"),
        applied=values.get("applied"),
        active=values.get("active") == "active",
        enabled=values.get("enabled") == "enabled",
        daemon_reload_needed=values.get("reload") == "yes",
        ready='"status":true' in values.get("ready", ""),
    )


def _state(plan: Plan) -> OpenWebuiState:
    found: OpenWebuiState = host.get_fact(OpenWebui, port=plan.open_webui_port)
    return found


@operation()
def release_is_installed(plan: Plan) -> Generator[StringCommand]:
    """Have the planned release whole in its own folder; the running one is not touched."""
    if release_name(plan) not in _state(plan).releases:
        yield script(install_script(plan), live=True)


def install_script(plan: Plan) -> str:
    """Return the script that makes the planned release."""
    return render(
        "open_webui/install.sh.j2",
        version=plan.open_webui_version,
        prefix=layout.OPEN_WEBUI_PREFIX,
        release=release_name(plan),
        staging=layout.STAGING,
        cache=CACHE,
        marker=MARKER,
        needed_mib=releases().open_webui.disk_mib,
        packages=len(locked(REQUIREMENTS)),
    )


@operation()
def release_is_current(plan: Plan) -> Generator[StringCommand]:
    """Have the link `current` point at the planned release, and a copy of the database from before the switch."""
    if _state(plan).current != release_name(plan):
        yield script(switch_script(plan), live=True)


def switch_script(plan: Plan) -> str:
    """Return the script that makes the planned release the current one."""
    return render(
        "open_webui/switch.sh.j2",
        prefix=layout.OPEN_WEBUI_PREFIX,
        release=release_name(plan),
        unit=layout.OPEN_WEBUI_UNIT,
        data=layout.OPEN_WEBUI_DATA,
        backups=BACKUPS,
    )


@operation()
def serves(plan: Plan, causes: Sequence[OperationMeta]) -> Generator[StringCommand]:
    """Have the planned release ready with the settings in place, and proved that its administrator can sign in.

    Sign-ins are limited to 15 in three minutes, so it is tried only after a start.
    """
    if pending(causes) or not is_served(_state(plan), plan, session.secrets()):
        yield script(serve_script(plan, session.secrets()), live=True)


def serve_script(plan: Plan, secrets: Secrets) -> str:
    """Return the script that starts the service, waits until it is ready and signs in; it holds the password."""
    password = secrets.open_webui_admin_password.get_secret_value()
    return render(
        "open_webui/serve.sh.j2",
        unit=layout.OPEN_WEBUI_UNIT,
        port=plan.open_webui_port,
        applied=APPLIED,
        wait_s=READY_WITHIN_S,
        email=plan.open_webui_admin_email,
        credentials=json.dumps({"email": plan.open_webui_admin_email, "password": password}),
        stamp=stamp(plan, secrets),
    )


def is_served(state: OpenWebuiState, plan: Plan, secrets: Secrets) -> bool:
    """Tell whether the running server is the planned one, and its administrator has signed in."""
    return (
        state.applied == stamp(plan, secrets)
        and state.current == release_name(plan)
        and state.active
        and state.enabled
        and state.ready
        and not state.daemon_reload_needed
    )


@operation()
def old_releases_are_gone(plan: Plan) -> Generator[StringCommand]:
    """Have no release but the planned one and the one to go back to; runs only after the planned one serves."""
    state = _state(plan)
    previous = state.previous if state.current == release_name(plan) else state.current
    for release in sorted((state.releases | state.half_releases) - {release_name(plan), previous}):
        yield StringCommand("rm", "-rf", quote(f"{layout.OPEN_WEBUI_PREFIX}/{release}"))


@operation()
def is_stopped(plan: Plan) -> Generator[StringCommand]:
    """Have no Open-WebUI running or starting at boot; nothing of it is deleted."""
    state = _state(plan)
    if state.active or state.enabled:
        yield StringCommand("systemctl", "disable", "--now", layout.OPEN_WEBUI_UNIT)
