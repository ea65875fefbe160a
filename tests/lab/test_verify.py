"""Break one thing on a host that serves, and verify names exactly that; mend it, and everything passes again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import stamina

from inhouse.console import Progress, for_people
from inhouse.errors import LabError
from inhouse.inventory import Inventory, load
from inhouse.lab.paths import HOST_FOLDER
from inhouse.layout import CADDY_UNIT, CADDYFILE, OLLAMA_UNIT
from inhouse.planner.plan import Plan
from inhouse.results import SmokeResult
from inhouse.runners import run_pyinfra
from inhouse.smoke.run import run
from inhouse.survey import survey
from tests.lab.conftest import LabHandle

pytestmark = pytest.mark.lab

GPU, SOFTWARE_GPU = "dual-a100-80g", "software-gpu"
OPEN_PORT = "/etc/systemd/system/ollama.service.d/zz-open.conf"
OPEN_PORT_ENV = f"{HOST_FOLDER}/open.env"
TAKEN = "/etc/systemd/system/ollama.service.d/zz-taken.conf"


@pytest.fixture(scope="module")
def inventory(lab: LabHandle) -> Inventory:
    return load(lab.folder).limited_to([GPU, SOFTWARE_GPU])


@pytest.fixture(scope="module")
def plans(inventory: Inventory) -> dict[str, Plan]:
    """The plans of two hosts, applied."""
    found = survey(inventory, Progress(for_people(quiet=True)))
    results = run_pyinfra(inventory, found.applicable, dry=False)
    assert {name: result.error for name, result in results.items()} == {GPU: "", SOFTWARE_GPU: ""}
    return dict(found.plans)


@pytest.fixture
def verify(inventory: Inventory, plans: dict[str, Plan]) -> Callable[[str], SmokeResult]:
    """Runs the smoke tests of one host."""
    return lambda host: run(inventory, [plans[host]])[host]


def failures(result: SmokeResult) -> set[str]:
    return {test.name for test in result.tests if test.outcome == "failed"}


def placed(plan: Plan) -> set[str]:
    return {f"{model.tag} lies on the GPU or the CPU as planned" for model in plan.models}


@contextmanager
def done_and_undone(lab: LabHandle, host: str, do: str, undo: str) -> Iterator[None]:
    """Run `do` on the host, and in the end `undo`; after either, wait until Ollama answers again if it is to run."""
    lab.run(host, do)
    try:
        _wait_for_ollama(lab, host)
        yield
    finally:
        lab.run(host, undo)
        _wait_for_ollama(lab, host)


def _wait_for_ollama(lab: LabHandle, host: str) -> None:
    if lab.run(host, f"systemctl is-active {OLLAMA_UNIT} || true").strip() == "active":
        for attempt in stamina.retry_context(on=LabError, attempts=30, wait_max=1):
            with attempt:
                lab.run(host, "curl -fsS http://127.0.0.1:11434/api/version")


@pytest.mark.parametrize("host", [pytest.param(GPU, marks=pytest.mark.pretence), SOFTWARE_GPU])
def test_a_good_host_passes_and_is_measured(
    verify: Callable[[str], SmokeResult], plans: dict[str, Plan], host: str
) -> None:
    result = verify(host)
    assert [test for test in result.tests if test.outcome != "passed"] == []
    assert set(result.tokens_per_second) == {model.tag for model in plans[host].chat_models}
    assert min(result.tokens_per_second.values()) > 0
    assert set(result.memory_used_mib) == {model.tag for model in plans[host].models}


def test_ollama_stopped(lab: LabHandle, verify: Callable[[str], SmokeResult]) -> None:
    with done_and_undone(lab, GPU, f"systemctl stop {OLLAMA_UNIT}", f"systemctl start {OLLAMA_UNIT}"):
        result = verify(GPU)
    assert failures(result) == {f"{OLLAMA_UNIT} is active"}
    assert next(test for test in result.tests if "signs in" in test.name).outcome == "passed"


@pytest.mark.pretence
def test_fallen_back_to_the_cpu(lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]) -> None:
    lab.fault(GPU, "cpu-fallback")
    try:
        with done_and_undone(lab, GPU, f"systemctl restart {OLLAMA_UNIT}", "true"):
            result = verify(GPU)
    finally:
        lab.fault(GPU, "none")
        lab.run(GPU, f"systemctl restart {OLLAMA_UNIT}")
        _wait_for_ollama(lab, GPU)
    assert failures(result) == placed(plans[GPU])
    assert "on the GPU. Expected: all of it on the GPU" in next(t.message for t in result.tests if t.message)


@pytest.mark.pretence
def test_slower_than_the_least_speed(
    lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]
) -> None:
    lab.fault(GPU, "slow")
    try:
        result = verify(GPU)
    finally:
        lab.fault(GPU, "none")
    least = plans[GPU].min_tokens_per_second
    assert failures(result) == {f"{model.tag} generates at least {least} tokens/s" for model in plans[GPU].chat_models}


def test_device_taken_from_a_real_offload(
    lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]
) -> None:
    restart = f"systemctl daemon-reload && systemctl restart {OLLAMA_UNIT}"
    take = f"printf '[Service]\\nEnvironment=VK_DRIVER_FILES=/nonexistent\\n' > {TAKEN}"
    with done_and_undone(lab, SOFTWARE_GPU, f"{take} && {restart}", f"rm {TAKEN} && {restart}"):
        result = verify(SOFTWARE_GPU)
    assert failures(result) == placed(plans[SOFTWARE_GPU])


@pytest.mark.pretence
def test_ollama_opened_to_the_outside(
    lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]
) -> None:
    port = plans[GPU].ollama_port
    restart = f"systemctl daemon-reload && systemctl restart {OLLAMA_UNIT}"
    # An EnvironmentFile beats Environment=, and the last one beats those before it.
    write = (
        f"mkdir -p {OPEN_PORT.rpartition('/')[0]} && echo OLLAMA_HOST=0.0.0.0:{port} > {OPEN_PORT_ENV} && "
        f"printf '[Service]\\nEnvironmentFile={OPEN_PORT_ENV}\\n' > {OPEN_PORT}"
    )
    with done_and_undone(lab, GPU, f"{write} && {restart}", f"rm {OPEN_PORT} {OPEN_PORT_ENV} && {restart}"):
        result = verify(GPU)
    assert failures(result) == {f"Ollama's port {port} is open on loopback only"}


@pytest.mark.pretence
def test_websocket_closed_in_the_proxy(
    lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]
) -> None:
    assert plans[GPU].open_webui
    first_of_route = "s|^\\troute {|\\troute {\\n\\t\\trespond /ws/* 403|"
    close = f"cp -p {CADDYFILE} {CADDYFILE}.open && sed -i '{first_of_route}' {CADDYFILE}"
    restart = f"systemctl restart {CADDY_UNIT}"
    with done_and_undone(lab, GPU, f"{close} && {restart}", f"mv {CADDYFILE}.open {CADDYFILE} && {restart}"):
        result = verify(GPU)
    assert failures(result) == {"A websocket opens through the proxy"}


@pytest.mark.pretence
def test_engine_that_dies_in_the_middle_of_an_answer(
    lab: LabHandle, verify: Callable[[str], SmokeResult], plans: dict[str, Plan]
) -> None:
    lab.fault(GPU, "dying-child")
    try:
        result = verify(GPU)
    finally:
        lab.fault(GPU, "none")
    assert failures(result) == {f"{model.tag} generates through the proxy" for model in plans[GPU].chat_models}
