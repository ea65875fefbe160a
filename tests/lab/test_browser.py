"""A person's way: the sign-in page over TLS that the fleet CA vouches for, a message, an answer that grows.

`SCREENSHOT=FILE` keeps a picture of the chat.
"""

import json
import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.lab.chat_host import ChatHost, deployed
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

CHROMIUM = "/usr/bin/chromium"
QUIET = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
LOG = logging.getLogger(__name__)
"""What pytest shows beside a test that failed."""

SLOW_MS = 120_000
"""Milliseconds: a small host loads the model at the first question."""

PIECES = 3
QUESTIONS = 3
"""One answer may come at once: the lab's model has little sense and now and then writes next to nothing, or the machine
was busy. What holds answers back does so with each."""

# Lengths of the answer's text, each once, for as long as it is not finished (then it can be regenerated).
WATCH = """() => {
  window.grown = [];
  new MutationObserver(() => {
    const answer = [...document.querySelectorAll('.chat-assistant')].at(-1);
    if (!answer || document.querySelector('button[aria-label="Regenerate"]')) return;
    const length = answer.innerText.trim().length;
    if (length > (window.grown.at(-1) ?? 0)) window.grown.push(length);
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@dataclass
class Seen:
    """What a page did beside what it shows."""

    hosts: set[str] = field(default_factory=set)
    """Names in the addresses of all requests and websockets."""
    errors: list[str] = field(default_factory=list)
    """Errors in the console."""

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self._address(request.url))
        page.on("websocket", lambda websocket: self._address(websocket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        page.on("requestfailed", lambda request: LOG.warning("%s: %s", request.url, request.failure))

    def _address(self, url: str) -> None:
        if urlsplit(url).hostname:  # data: and blob: have none
            self.hosts.add(str(urlsplit(url).hostname))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)


@pytest.fixture(scope="module")
def chat(lab: LabHandle) -> ChatHost:
    return deployed(lab)


@pytest.fixture(scope="module")
def home(chat: ChatHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose certificate store holds the fleet CA, as docs/open-webui.md tells people to do it."""
    home = tmp_path_factory.mktemp("home")
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    certutil = ["certutil", "-d", f"sql:{store}"]
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    add = ["-A", "-n", "fleet", "-t", "C,,", "-i", str(chat.inventory.ca_certificate)]
    subprocess.run([*certutil, *add], check=True)
    return home


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def page(chat: ChatHost, home: Path, seen: Seen) -> Iterator[Page]:
    with browser_of(chat, home) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(SLOW_MS)
        seen.watch(page)
        yield page


@contextmanager
def browser_of(chat: ChatHost, home: Path) -> Iterator[Browser]:
    """A browser that knows the lab host's name and no other."""
    rules = f"--host-resolver-rules=MAP {chat.plan.server_name} {chat.plan.address}, MAP * ~NOTFOUND"
    environment: dict[str, str | float | bool] = {**os.environ, "HOME": str(home)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, rules], env=environment)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Person:
    """An ordinary account that was made a moment ago."""

    email: str
    password: str


@pytest.fixture
def person(chat: ChatHost) -> Person:
    """Somebody whom the administrator gave an account.

    Not an administrator: that one sees every model by right, and is told at the first sign-in what is new.
    """
    assert chat.inventory.secrets is not None
    admin_password = chat.inventory.secrets.open_webui_admin_password.get_secret_value()
    admin = ask(chat, "auths/signin", email=chat.plan.open_webui_admin_email, password=admin_password)
    person = Person(f"{uuid4().hex}@example.internal", "Passw0rd-" + uuid4().hex)
    account = {"name": "Someone", "email": person.email, "password": person.password, "role": "user"}
    assert ask(chat, "auths/add", admin["token"], **account)["role"] == "user"
    return person


def ask(chat: ChatHost, path: str, token: str = "", **body: str) -> dict[str, str]:
    """Post to Open-WebUI's API on the host itself."""
    url = f"http://127.0.0.1:{chat.plan.open_webui_port}/api/v1/{path}"
    headers = f"-H 'Content-Type: application/json' -H 'Authorization: Bearer {token}'"
    answer: dict[str, str] = json.loads(
        chat.run(f"curl -s {headers} --data-binary @- {url} <<'END'\n{json.dumps(body)}\nEND")
    )
    return answer


def sign_in(page: Page, chat: ChatHost, person: Person) -> None:
    page.goto(chat.plan.url)
    page.fill("input[type=email]", person.email)
    page.fill("input[type=password]", person.password)
    page.click("button[type=submit]")


def answered(page: Page, chat: ChatHost) -> tuple[list[int], str]:
    """The lengths that the answer had before it was finished, and then its text."""
    chosen = page.get_by_role("button", name=f"Selected model: {chat.plan.open_webui_default_model}")
    expect(chosen).to_be_visible(timeout=SLOW_MS)
    page.evaluate(WATCH)
    page.click("#chat-input")
    page.keyboard.type("Say hello in five words.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible(timeout=SLOW_MS)
    grown: list[int] = page.evaluate("window.grown")
    return grown, page.locator(".chat-assistant").last.inner_text().strip()


def test_a_person_signs_in_and_sees_the_answer_grow(page: Page, chat: ChatHost, person: Person, seen: Seen) -> None:
    sign_in(page, chat, person)
    for _ in range(QUESTIONS):
        grown, answer = answered(page, chat)
        LOG.warning("answer of %d characters, which had %s of them: %r", len(answer), grown, answer)
        if len(grown) >= PIECES:
            break
        page.get_by_role("link", name="New Chat").first.click()
    if picture := os.environ.get("SCREENSHOT"):
        page.screenshot(path=picture)
    assert len(grown) >= PIECES, f"no answer came piece by piece; lengths of the last one's text: {grown}"
    assert seen.hosts == {chat.plan.server_name}
    assert seen.errors == []


def test_nobody_is_offered_an_account(page: Page, chat: ChatHost) -> None:
    page.goto(chat.plan.url)
    expect(page.locator("input[type=password]")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Sign up")).to_have_count(0)


def test_a_browser_that_does_not_trust_the_fleet_is_stopped(chat: ChatHost, tmp_path: Path) -> None:
    with browser_of(chat, tmp_path) as browser:
        page = browser.new_page()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto(chat.plan.url)
