"""How pytest runs the smoke tests: titles as sentences, one failure per cause, results as they come."""

from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

import httpx
import pytest

from inhouse.layout import OPEN_WEBUI_UNIT
from inhouse.planner.plan import PlannedModel
from inhouse.results import SmokeTest
from inhouse.smoke.backend import NoAnswer
from inhouse.smoke.expect import Broken, paragraph, shortened
from inhouse.smoke.ollama import Generation, Loaded, OllamaError
from inhouse.smoke.subject import Subject

LOGIN: Final = "login"
"""What the tests from inside need."""
MARKS: Final = ("needs", "inside", "provides", "for_models", "for_units", "with_open_webui", "with_chat_model")


@dataclass
class Measured:
    """What the tests of one host measured, by model tag."""

    generations: dict[str, Generation] = field(default_factory=dict)
    loaded: dict[str, Loaded] = field(default_factory=dict)


SUBJECT: Final = pytest.StashKey[Subject]()
MEASURED: Final = pytest.StashKey[Measured]()


class SmokePlugin:
    """Runs the tests for one subject and hands out each result at once."""

    def __init__(
        self,
        subject: Subject,
        measured: Measured,
        begin: Callable[[str], None],
        done: Callable[[SmokeTest], None],
    ) -> None:
        """Judge one host.

        Args:
            subject: the host under test.
            measured: filled by the tests.
            begin: called with a test's title before it runs.
            done: called with each result.
        """
        self._subject = subject
        self._measured = measured
        self._begin = begin
        self._done = done
        self._broken: dict[str, str] = {}
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Give the fixtures what they stand on."""
        config.stash[SUBJECT] = self._subject
        config.stash[MEASURED] = self._measured
        for mark in MARKS:
            config.addinivalue_line("markers", f"{mark}: see inhouse.smoke.plugin")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test once per model or per service, all tests of one model before the next model's."""
        if mark := metafunc.definition.get_closest_marker("for_models"):
            models = self._models(mark.args[0])
            metafunc.parametrize("model", models, ids=[model.tag for model in models], scope="module")
        if mark := metafunc.definition.get_closest_marker("for_units"):
            metafunc.parametrize("unit", mark.args, scope="module")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what does not concern this host: such a test is no test of it, not a skipped one."""
        items[:] = [item for item in items if self._concerns_host(item)]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a test whose outcome another failure decided already."""
        self._begin(self.title(item))
        for need in self._needs(item):
            if need in self._broken:
                pytest.skip(self._broken[need])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn each outcome into a result."""
        report = yield
        self._seconds[item.nodeid] += report.duration
        if report.outcome != "passed" or report.when == "call":
            self._record(item, report, call.excinfo.value if call.excinfo else None)
        return report

    def title(self, item: pytest.Item) -> str:
        """Return what must hold, as a sentence: the test's docstring, its placeholders filled in."""
        function: object = getattr(item, "function", None)
        return self._filled(item, (function.__doc__ or item.name).strip())

    def _record(self, item: pytest.Item, report: pytest.TestReport, problem: BaseException | None) -> None:
        title, message = self.title(item), ""
        if report.outcome == "skipped":
            root = str(getattr(problem, "msg", problem))
            message = f"Not tried, because this failed: {root}"
        elif report.outcome == "failed":
            root = title
            message = explain(problem, self._subject)
        if report.outcome != "passed" and not (report.outcome == "skipped" and self._cannot_see(item)):
            for thing in self._marked(item, "provides"):
                self._broken.setdefault(thing, root)
        seconds = round(self._seconds[item.nodeid], 3)
        self._done(SmokeTest(name=title, outcome=report.outcome, seconds=seconds, message=message))

    def _needs(self, item: pytest.Item) -> list[str]:
        return [*(LOGIN for _ in item.iter_markers("inside")), *self._marked(item, "needs")]

    def _cannot_see(self, item: pytest.Item) -> bool:
        return item.get_closest_marker("inside") is not None and LOGIN in self._broken

    def _models(self, kind: str) -> tuple[PlannedModel, ...]:
        plan = self._subject.plan
        return {"chat": plan.chat_models, "embedding": plan.embedding_models, "all": plan.models}[kind]

    def _concerns_host(self, item: pytest.Item) -> bool:
        plan = self._subject.plan
        if (mark := item.get_closest_marker("for_models")) and not self._models(mark.args[0]):
            return False
        mark = item.get_closest_marker("with_open_webui")
        if mark or _parameters(item).get("unit") == OPEN_WEBUI_UNIT:
            chats = bool(mark and mark.kwargs.get("chat"))
            return plan.open_webui and (not chats or plan.open_webui_default_model is not None)
        return not item.get_closest_marker("with_chat_model") or bool(plan.chat_models)

    def _marked(self, item: pytest.Item, name: str) -> list[str]:
        return [self._filled(item, thing) for mark in item.iter_markers(name) for thing in mark.args]

    def _filled(self, item: pytest.Item, text: str) -> str:
        return text.format(plan=self._subject.plan, **_parameters(item))


def _parameters(item: pytest.Item) -> dict[str, object]:
    """Return what a test is parametrized with."""
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec else {}


def explain(problem: BaseException | None, subject: Subject) -> str:
    """Return one paragraph for whatever ended a test."""
    words = subject.without_secrets(str(problem))  # before anything is cut: half a secret would not be found
    if isinstance(problem, Broken):
        return words
    if isinstance(problem, NoAnswer):
        return paragraph(
            found=shortened(words),
            expected="an answer of the host",
            cause="the host lacks the command, or it went away during the test",
            run=subject.on_host("true"),
        )
    if isinstance(problem, OllamaError):
        return paragraph(
            found=shortened(words),
            expected="Ollama answers without an error",
            cause="see its journal",
            run=subject.on_host("journalctl -u ollama.service -n 50"),
        )
    if isinstance(problem, httpx.HTTPError | OSError):
        return paragraph(
            found=shortened(f"{type(problem).__name__} {words}".strip()),
            expected=f"{subject.origin} answers at {subject.plan.address}",
            cause="the proxy or what is behind it hangs, or the network does",
            run=subject.on_host("journalctl -u caddy.service -n 50"),
        )
    return f"The test itself is at fault, please report it: {type(problem).__name__}: {shortened(words)}"
