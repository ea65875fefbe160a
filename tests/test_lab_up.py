"""What `lab up` and the controller refuse before anything is made."""

from pathlib import Path

import pytest

from inhouse.errors import LabError
from inhouse.lab import controller, images, lab


@pytest.fixture
def no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("no_daemon")
def test_without_a_daemon_one_paragraph_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no Docker daemon answers here .* apt-get install docker.io") as caught:
        lab.up("one", {"a": "cpu-small"}, tmp_path / "inventory")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "inventory").exists()


@pytest.mark.parametrize(
    ("name", "hosts", "said"),
    [
        ("Big Lab", {"a": "cpu-small"}, "cannot name a lab"),
        ("one", {}, "has no hosts"),
        ("one", {"registry": "cpu-small"}, "cannot name a lab host"),
        ("one", {"a b": "cpu-small"}, "cannot name a lab host"),
        ("one", {"a": "cpu-smal"}, "Did you mean cpu-small"),
    ],
)
@pytest.mark.usefixtures("no_daemon")
def test_bad_names_are_refused_before_the_engine_is_asked(
    name: str, hosts: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=said):
        lab.up(name, hosts, tmp_path / "inventory")


@pytest.mark.usefixtures("no_daemon")
def test_stopping_a_daemon_that_was_never_started_here_does_nothing(tmp_path: Path) -> None:
    assert controller.stop() is False
    pid_file = tmp_path / "inhouse" / "lab" / "dockerd.pid"
    pid_file.write_text("999999999")
    assert controller.stop() is False


def test_too_little_space_is_said_in_mib(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"MiB free, 1099511627776 MiB needed"):
        images.require_space(tmp_path, 2**40)


def test_an_images_name_changes_with_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.image_name("bookworm")
    assert before != images.image_name("trixie")
    assert images.image_name("bookworm", ("mesa-vulkan-drivers",)).startswith(
        "inhouse-lab:bookworm-mesa-vulkan-drivers-"
    )
    monkeypatch.setattr(images, "PACKAGES", (*images.PACKAGES, "nano"))
    assert images.image_name("bookworm") != before
