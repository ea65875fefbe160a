"""Plain pyinfra, without our command: an inventory's `.py` file gathers facts, plans, and leaves out what cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyinfra.api.exceptions import PyinfraError

from inhouse import handover, survey
from inhouse.errors import UnreachableError
from inhouse.init import init
from inhouse.inventory import Inventory
from inhouse.paths import inventories_folder
from inhouse.planner.plan import Plan
from inhouse.pyinfra_hosts import hosts_of
from tests.samples import a_plan

HOSTS = "all: {hosts: {gpu1: {ansible_host: 192.0.2.1}, gpu2: {ansible_host: 192.0.2.2}, gpu3: {}}}\n"


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that pyinfra is given."""
    for variable in (handover.INVENTORY_VARIABLE, handover.PLAN_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS)
    init(folder)
    return tmp_path / "site.py"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have these plans made, with every other host not answering."""

    def answer(*plans: Plan) -> None:
        def look(inventory: Inventory, _progress: object) -> survey.Survey:
            by_name = {plan.host: plan for plan in plans}
            others = [host.name for host in inventory.hosts if host.name not in by_name]
            return survey.Survey(inventory, {}, by_name, {name: UnreachableError(name, "is off") for name in others})

        monkeypatch.setattr(survey, "survey", look)

    return answer


def test_hosts_come_with_their_plan_and_those_that_cannot_be_deployed_are_left_out(
    shim: Path, found: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    found(a_plan("gpu1"), a_plan("gpu2", problems=("Its disk is too small.",)))
    ((name, data),) = hosts_of(str(shim))
    assert (name, data["ssh_hostname"], data["models"][0]["tag"]) == ("gpu1", "192.0.2.1", a_plan().models[0].tag)
    assert data["ca_certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert data["secrets"].to_json() == "(hidden)"
    assert "gpu3: is off" in caplog.text
    assert "[gpu2] left out: Its disk is too small." in caplog.text


def test_no_host_at_all_is_an_error_that_pyinfra_shows(shim: Path, found: Callable[..., None]) -> None:
    found()
    with pytest.raises(PyinfraError, match="No host can be deployed"):
        hosts_of(str(shim))


def test_an_inventory_without_secrets_says_what_to_run(shim: Path) -> None:
    (shim.with_suffix("") / "group_vars" / "all" / "secrets.yml").unlink()
    with pytest.raises(PyinfraError, match="inhouse init"):
        hosts_of(str(shim))


@pytest.mark.parametrize("name", ["local", "homelab", "fleet"])
def test_inventories_that_ship_have_the_file_that_init_writes(shim: Path, name: str) -> None:
    written = shim.read_text().replace("site.py", "inventories/NAME.py")
    assert (inventories_folder() / f"{name}.py").read_text() == written.replace("NAME", name)
