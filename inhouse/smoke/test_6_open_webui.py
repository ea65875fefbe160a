"""Open-WebUI: up, closed to strangers, open to its administrator, and a chat that answers as in a browser."""

import httpx

from inhouse.layout import OPEN_WEBUI_UNIT
from inhouse.planner.plan import Plan
from inhouse.smoke.bounds import load_bound_s
from inhouse.smoke.chat import ChatFailed, WebsocketRefused, chat, open_websocket
from inhouse.smoke.expect import Broken, expect, paragraph, shortened
from inhouse.smoke.marks import needs, provides, with_open_webui
from inhouse.smoke.ollama import full_name
from inhouse.smoke.subject import Subject
from inhouse.smoke.web import json_of

NO_ADDRESS = "not-an-address"
"""Sign-up is tried with it: where sign-up is closed it is refused before it is read, and nobody is ever created."""
NO_TOOLS = "Open-WebUI offers its own tools to a model that knows none: its function calling must be `legacy`"


@with_open_webui
@needs("proxy", OPEN_WEBUI_UNIT)
@provides("open-webui")
def test_ready(anyone: httpx.Client, plan: Plan, subject: Subject) -> None:
    """Open-WebUI {plan.open_webui_version} is ready"""
    ready = anyone.get("/ready")
    config = json_of(anyone.get("/api/config"))  # not /api/version, which Ollama has as well
    found_version = config.get("version") if isinstance(config, dict) else None
    expect(
        ready.status_code == 200 and json_of(ready) == {"status": True} and found_version == plan.open_webui_version,
        found=f"/ready answered {ready.status_code} {shortened(ready.text, 80)}, version {found_version or 'unknown'}",
        expected=f"ready, version {plan.open_webui_version}",
        cause="it is still starting, its database is not usable, or an update was not followed by a restart",
        run=subject.on_host(f"journalctl -u {OPEN_WEBUI_UNIT} -n 50"),
    )


@with_open_webui
@needs("open-webui")
def test_sign_up_closed(anyone: httpx.Client, subject: Subject) -> None:
    """Strangers cannot sign up"""
    stranger = {"name": "stranger", "email": NO_ADDRESS, "password": NO_ADDRESS}
    answer = anyone.post("/api/v1/auths/signup", json=stranger)
    expect(
        answer.status_code == 403,
        found=f"sign-up answered {answer.status_code}: {shortened(answer.text, 80)}",
        expected="403",
        cause="ENABLE_SIGNUP is not false in force, or there is no administrator yet and the first to come becomes one",
        run=subject.here("up"),
    )


@with_open_webui
@needs("open-webui")
@provides("session")
def test_sign_in(anyone: httpx.Client, plan: Plan, subject: Subject, person: dict[str, str]) -> None:
    """The administrator signs in"""
    password = subject.admin_password.get_secret_value()
    credentials = {"email": plan.open_webui_admin_email, "password": password}
    answer = anyone.post("/api/v1/auths/signin", json=credentials)
    session = json_of(answer)
    session = session if isinstance(session, dict) else {}
    causes = {
        429: "more than 15 sign-ins of this account in three minutes: wait that long",
        400: "the password was changed in Open-WebUI: the one in the vault only serves for the first start",
    }
    expect(
        answer.status_code == 200 and bool(session.get("token")) and session.get("role") == "admin",
        found=f"status {answer.status_code}, role {session.get('role')}: {shortened(str(session.get('detail', '')))}",
        expected=f"a session of {plan.open_webui_admin_email} as administrator",
        cause=causes.get(answer.status_code, "sign-in by password is off, or asks for a second step"),
        run=subject.on_host(f"journalctl -u {OPEN_WEBUI_UNIT} -n 50"),
    )
    person["token"] = session["token"]


@with_open_webui
@needs("session", "api")
def test_models_listed(anyone: httpx.Client, plan: Plan, subject: Subject, person: dict[str, str]) -> None:
    """Open-WebUI offers the planned models"""
    answer = anyone.get("/api/models", headers={"Authorization": f"Bearer {person['token']}"})
    listed = json_of(answer)
    names = {full_name(str(model["id"])) for model in listed["data"]} if isinstance(listed, dict) else set()
    missing = [model.tag for model in plan.chat_models if full_name(model.tag) not in names]
    expect(
        not missing,
        found=f"{', '.join(sorted(names)) or 'no model'} (status {answer.status_code})",
        expected=f"{', '.join(missing)} among them",
        cause="Open-WebUI does not reach Ollama, or its settings were changed by hand",
        run=subject.on_host(f"journalctl -u {OPEN_WEBUI_UNIT} -n 50"),
    )


@with_open_webui
@needs("open-webui")
@provides("websocket")
def test_websocket(subject: Subject) -> None:
    """A websocket opens through the proxy"""
    try:
        open_websocket(subject)
    except WebsocketRefused as error:
        raise Broken(
            paragraph(
                found=shortened(str(error)),
                expected="a websocket at /ws/socket.io",
                cause="the proxy does not pass websockets on, or Open-WebUI does not accept "
                f"{subject.origin} as an origin (CORS_ALLOW_ORIGIN)",
                run=subject.here("up"),
            )
        ) from error


@with_open_webui(chat=True)
@needs("session", "websocket", "works:{plan.open_webui_default_model}")
def test_chat(anyone: httpx.Client, plan: Plan, subject: Subject, person: dict[str, str]) -> None:
    """A chat with {plan.open_webui_default_model} answers through the websocket"""
    (model,) = (one for one in plan.models if one.tag == plan.open_webui_default_model)
    found = "an empty answer"
    try:
        # The tests before this one may have pushed the model out of memory.
        answer = chat(subject, anyone, person["token"], full_name(model.tag), load_bound_s(model))
    except (ChatFailed, WebsocketRefused) as error:
        found, answer = shortened(str(error)), ""
    expect(
        bool(answer),
        found=found,
        expected="an answer with text",
        cause=NO_TOOLS
        if "support tools" in found
        else "Open-WebUI cannot use the model, or its answer is lost on the way",
        run=subject.on_host(f"journalctl -u {OPEN_WEBUI_UNIT} -n 50"),
    )
