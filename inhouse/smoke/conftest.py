"""What the smoke tests stand on: the host by SSH, its service by HTTPS, and the measurements they share."""

from collections.abc import Iterator

import httpx
import pytest
from testinfra.host import Host

from inhouse.planner.plan import Plan
from inhouse.smoke.backend import connect
from inhouse.smoke.ollama import Ollama
from inhouse.smoke.plugin import MEASURED, SUBJECT, Measured
from inhouse.smoke.subject import Subject
from inhouse.smoke.web import client


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Subject:
    """The host under test, secrets included."""
    subject = request.config.stash.get(SUBJECT, None)
    if subject is None:
        raise pytest.UsageError("These tests need a host and its plan. Run: inhouse verify INVENTORY")
    return subject


@pytest.fixture(scope="session")
def plan(subject: Subject) -> Plan:
    """What the host must be."""
    return subject.plan


@pytest.fixture(scope="session")
def host(subject: Subject) -> Iterator[Host]:
    """testinfra's view of the host."""
    with connect(subject) as host:
        yield host


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Measured:
    """What the tests before this one measured."""
    return request.config.stash[MEASURED]


@pytest.fixture(scope="session")
def anyone(subject: Subject) -> Iterator[httpx.Client]:
    """A client without a token."""
    with client(subject) as http:
        yield http


@pytest.fixture(scope="session")
def program(subject: Subject) -> Iterator[httpx.Client]:
    """A client with the fleet's API token."""
    with client(subject, subject.api_token.get_secret_value()) as http:
        yield http


@pytest.fixture(scope="session")
def ollama(program: httpx.Client, plan: Plan) -> Ollama:
    """Ollama through the proxy."""
    unloads_at_once = plan.ollama_keep_alive.rstrip("smh").lstrip("-") == "0"
    # Where a model leaves memory with its answer, nobody could see how it lay there.
    return Ollama(program, keep_alive="1m" if unloads_at_once else None)


@pytest.fixture(scope="session")
def person(subject: Subject) -> dict[str, str]:
    """The token of the one sign-in of this run: Open-WebUI allows 15 in three minutes, successes included."""
    return {}
