"""The commands: exit codes, one paragraph for an error, JSON and nothing else."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import inhouse
from inhouse import __version__, paths, runners, survey
from inhouse.cli import app
from inhouse.errors import UnreachableError
from inhouse.init import init
from inhouse.inventory import Host, Inventory
from inhouse.plan_command import spread
from inhouse.planner.hardware import parse
from inhouse.planner.plan import Plan
from inhouse.results import DeployResult
from tests.samples import a_plan

HOSTS = "all: {hosts: {gpu1: {ansible_host: 192.0.2.1}, gpu2: {ansible_host: 192.0.2.2}}}\n"


@pytest.fixture
def run() -> Callable[..., tuple[int, str, str]]:
    """Call the command; return exit code, standard output and standard error."""

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A complete inventory of two hosts."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "hosts.yml").write_text(HOSTS)
    init(folder)
    return folder


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """What a dry run would change, by host; both hosts answer and can be planned for."""
    changes: dict[str, tuple[str, ...]] = {}

    def found(inventory: Inventory, _progress: object) -> survey.Survey:
        return survey.Survey(inventory, {}, {host.name: a_plan(host.name) for host in inventory.hosts}, {})

    def dry_run(_i: Inventory, plans: Sequence[Plan], **_more: object) -> dict[str, DeployResult]:
        return {p.host: DeployResult(host=p.host, status="unchanged", changes=changes.get(p.host, ())) for p in plans}

    monkeypatch.setattr(survey, "survey", found)
    monkeypatch.setattr(runners, "run_pyinfra", dry_run)
    return changes


Run = Callable[..., tuple[int, str, str]]


def test_a_plan_with_nothing_to_do_exits_0(run: Run, inventory: Path, world: dict[str, tuple[str, ...]]) -> None:
    code, out, _ = run("plan", str(inventory))
    assert code == 0
    assert "gpu1, gpu2: nothing to do" in out


def test_a_plan_with_pending_changes_exits_2_and_names_them(
    run: Run, inventory: Path, world: dict[str, tuple[str, ...]]
) -> None:
    world["gpu1"] = ("Ollama answers on loopback",)
    code, out, _ = run("plan", str(inventory))
    assert code == 2
    assert "~ Ollama answers on loopback" in out


def test_a_plan_without_secrets_says_what_makes_them(
    run: Run, tmp_path: Path, world: dict[str, tuple[str, ...]]
) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    code, out, _ = run("plan", str(tmp_path / "hosts.yml"))
    assert code == 2
    assert f"Secrets are not made yet. Run: inhouse init {tmp_path}" in " ".join(out.split())


def test_a_plan_as_json_is_json_alone(run: Run, inventory: Path, world: dict[str, tuple[str, ...]]) -> None:
    _, out, _ = run("plan", str(inventory), "--json")
    assert json.loads(out)["hosts"]["gpu1"]["models"][0]["tag"] == "qwen3:8b"


def test_limit_leaves_the_other_hosts_alone(run: Run, inventory: Path, world: dict[str, tuple[str, ...]]) -> None:
    _, out, _ = run("plan", str(inventory), "--limit", "gpu2")
    assert "gpu1" not in out


def test_limit_to_an_unknown_host_is_an_error(run: Run, inventory: Path) -> None:
    code, _, error = run("plan", str(inventory), "--limit", "gpu3")
    assert code == 1
    assert "gpu3" in error


def test_an_empty_limit_is_an_error_and_not_all_hosts(run: Run, inventory: Path) -> None:
    code, _, error = run("up", str(inventory), "--yes", "--limit", "")
    assert code == 1
    assert '"" is no host or group' in error


def test_hosts_with_nothing_deployed_are_told_in_one_sentence_and_not_tested(
    run: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(inventory: Inventory, _progress: object) -> survey.Survey:
        names = [host.name for host in inventory.hosts]
        bare = parse("rtx-4090, ram 64")
        return survey.Survey(inventory, dict.fromkeys(names, bare), {name: a_plan(name) for name in names}, {})

    monkeypatch.setattr(survey, "survey", found)
    code, out, error = run("verify", str(inventory))
    assert code == 1
    assert f"gpu1: nothing is deployed here yet. Run: inhouse up {inventory} --limit gpu1" in error
    assert "passed" not in out


def test_a_host_that_does_not_answer_fails_the_plan_and_shows_the_others(
    run: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(hosts: Sequence[Host], on_done: object) -> dict[str, object]:
        return {host.name: UnreachableError(host.name, "no route to it") for host in hosts}

    monkeypatch.setattr(survey, "gather", answers)
    code, _, error = run("facts", str(inventory))
    assert code == 1
    assert "gpu1: no route to it" in error


def test_up_without_secrets_says_what_to_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    code, _, error = run("up", str(tmp_path), "--yes")
    assert code == 1
    assert f"inhouse init {tmp_path}" in error.replace("\n", " ")


def test_an_error_is_one_paragraph_and_no_traceback(run: Run) -> None:
    code, out, error = run("plan", "--hardware", "rtx-9999")
    assert code == 1
    assert error.startswith("Error: ")
    assert "Traceback" not in out + error


def test_debug_keeps_the_traceback() -> None:
    result = CliRunner().invoke(app, ["--debug", "plan", "--hardware", "rtx-9999"])
    assert result.exc_info is not None
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)


def test_hardware_needs_no_host(run: Run) -> None:
    code, out, _ = run("plan", "--hardware", "rtx-4090, ram 64")
    assert code == 0
    assert "RTX 4090" in out


def test_settings_of_imagined_hardware_are_those_of_an_inventory(run: Run) -> None:
    asked = ("--set", "purposes=code", "--set", "open_webui=false", "--set", "context_length=4096")
    code, out, _ = run("plan", "--hardware", "rtx-4090, ram 64", "--json", *asked)
    made = json.loads(out)
    assert code == 0
    assert {purpose for model in made["models"] for purpose in model["purposes"]} == {"code"}
    assert (made["ollama_context_length"], made["open_webui"]) == (4096, False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("context_lenght=4096", "--set: context_lenght is not a setting. Did you mean context_length?"),
        ("context_length=lots", '--set: context_length is "lots"; a whole number, 512 or more is needed.'),
        (
            "purposes=chat,cooking",
            'purposes, item 2 is "cooking"; a list, each item one of chat, code, vision, embedding',
        ),
        ("context_length", '--set "context_length" is not understood: NAME=VALUE is needed.'),
        ("note=[", "--set note=[ is not YAML"),
        ("http_port=443", "http_port (--set) and https_port (its default): cannot all be 443."),
        ("x_rack=3", "--set: x_rack decides nothing"),
    ],
)
def test_a_wrong_setting_of_imagined_hardware_is_told(run: Run, given: str, says: str) -> None:
    code, out, error = run("plan", "--hardware", "rtx-4090", "--set", given)
    assert (code, out) == (1, "")
    assert says in error


def test_explain_without_a_name_is_about_the_imagined_hardware(run: Run) -> None:
    code, out, _ = run("plan", "--hardware", "ram 8, cpu 4", "--explain")
    assert code == 0
    assert re.search(r"GiB more|slow", out)
    assert "of no higher quality" in out


def test_explain_is_about_one_host_of_the_inventory_and_changes_nothing(
    run: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(hosts: Sequence[Host], on_done: object) -> dict[str, object]:
        return {host.name: parse("rtx-3060, ram 64") for host in hosts}

    monkeypatch.setattr(survey, "gather", answers)
    monkeypatch.setattr(runners, "run_pyinfra", None)
    code, out, _ = run("plan", str(inventory), "--explain", "gpu2", "--json")
    said = json.loads(out)
    assert code == 0
    assert list(said["hosts"]) == ["gpu2"]
    assert said["hosts"]["gpu2"]["explanation"]["chat"]["better"][0]["lacks"]
    assert said["hosts"]["gpu2"]["plan"]["host"] == "gpu2"


def test_explain_of_an_unknown_host_names_the_nearest(run: Run, inventory: Path) -> None:
    code, _, error = run("plan", str(inventory), "--explain", "gpu3")
    assert code == 1
    assert "Nearest: gpu" in error


def test_more_hosts_than_a_person_reads_of_are_not_explained(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = ", ".join(f"gpu{n}: {{ansible_host: 192.0.2.{n}}}" for n in range(1, 8))
    (tmp_path / "hosts.yml").write_text(f"all: {{hosts: {{{hosts}}}}}\n")
    monkeypatch.setattr(survey, "gather", None)
    code, _, error = run("plan", str(tmp_path / "hosts.yml"), "--explain")
    assert code == 1
    assert "7 hosts (gpu1, gpu2, gpu3 and 4 more) are too many to explain. Name some: --explain gpu1" in error


def test_machines_are_compared_in_the_order_they_are_named(run: Run) -> None:
    code, out, _ = run(
        "plan", "--compare", "rtx-4090", "rtx-5090, ram 64", "ram 64", "--json", "--set", "purposes=chat"
    )
    machines = json.loads(out)
    assert code == 0
    assert [one["machine"] for one in machines] == ["rtx-4090", "rtx-5090, ram 64", "ram 64"]
    assert all(len(one["models"]) == 1 for one in machines)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (["--compare", "a", "b", "--json"], ["--compare", "a", "--compare", "b", "--json"]),
        (["--compare=a", "b"], ["--compare=a", "--compare", "b"]),
        (["--compare", "--json"], ["--compare", "--json"]),
        (["inv", "--compare", "a"], ["inv", "--compare", "a"]),
        (["--compare", "a", "--set", "n=1", "inv"], ["--compare", "a", "--set", "n=1", "inv"]),
        (["--explain"], ["--explain", ""]),
        (["--explain", "--json"], ["--explain", "", "--json"]),
        (["--explain", "gpu1", "--json"], ["--explain", "gpu1", "--json"]),
    ],
)
def test_each_machine_that_follows_belongs_to_the_comparison(given: list[str], becomes: list[str]) -> None:
    assert spread(given) == becomes


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--hardware", "ram 8", "--compare", "ram 16"), "give one of the two"),
        (("inventories/x", "--hardware", "ram 8"), "the inventory inventories/x names some"),
        (("--compare", "ram 8", "--limit", "gpu1"), "--limit names some"),
        (("--set", "people=5"), "--set is for --hardware and --compare"),
        (("--compare", "ram 8", "ram 16", "--explain"), "--explain is about one machine"),
        (("--hardware", "ram 8", "--explain", "gpu1"), "write --explain alone"),
        (("--explain", "gpu1", "--limit", "gpu2"), "give the names to one of the two"),
    ],
)
def test_options_of_different_questions_are_refused(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, out, error = run("plan", *arguments)
    assert (code, out) == (1, "")
    assert says in error


def test_more_than_a_few_hosts_are_summed_up(run: Run, tmp_path: Path, world: dict[str, tuple[str, ...]]) -> None:
    hosts = ", ".join(f"gpu{n}: {{ansible_host: 192.0.2.{n}}}" for n in range(1, 10))
    (tmp_path / "hosts.yml").write_text(f"all: {{hosts: {{{hosts}}}}}\n")
    _, out, _ = run("plan", str(tmp_path / "hosts.yml"))
    assert "9 hosts (gpu1, gpu2, gpu3 and 6 more)" in out
    assert "Covered: chat by 9, embedding by 9 of 9 hosts." in " ".join(out.split())
    _, out, _ = run("plan", str(tmp_path / "hosts.yml"), "--json")
    assert json.loads(out)["fleet"]["covered"] == {"chat": 9, "embedding": 9}


def test_an_unknown_setting_stops_everything_before_a_host_is_asked(
    run: Run, inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inventory / "hosts.yml").write_text(HOSTS.replace("192.0.2.1}", "192.0.2.1, context_lenght: 8192}"))
    monkeypatch.setattr(survey, "gather", None)
    code, _, error = run("plan", str(inventory))
    assert code == 1
    assert "context_length" in error


def test_secrets_of_this_machine_are_not_made_inside_an_installed_package(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "site-packages"
    (packed / "local").mkdir(parents=True)
    (packed / "local" / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    monkeypatch.setattr(paths, "inventories_folder", lambda: packed)
    monkeypatch.chdir(tmp_path)
    code, _, said = run("up")
    assert (code, said.rstrip().rpartition("Run: ")[2]) == (1, "inhouse init inventories/local")


def test_every_command_that_a_text_tells_to_run_is_there() -> None:
    folders = (paths.templates_folder(), Path(inhouse.__file__).parent)
    texts = [file.read_text() for folder in folders for file in folder.rglob("*.*") if file.suffix in {".py", ".j2"}]
    told = {name for text in texts for name in re.findall(r"[Rr]un:? `?inhouse ([a-z]+)", text)}
    assert {"init", "plan", "verify"} <= told
    assert told <= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_version_needs_no_command(run: Run) -> None:
    assert run("--version") == (0, f"{__version__}\n", "")
