"""A catalogue that was checked once is kept, and never taken for another."""

import subprocess
import sys
from pathlib import Path

import pytest

from inhouse.catalogue import kept, load, releases

NAME, TEXT = "rows.yml", "version: 1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "inhouse" / "catalogue"


def test_what_was_kept_is_found(folder: Path) -> None:
    assert kept.load(NAME, TEXT) is None
    kept.keep(NAME, TEXT, {"version": 1})
    assert kept.load(NAME, TEXT) == {"version": 1}
    assert [file.name for file in folder.iterdir()] == [NAME]


def test_another_text_is_read_anew(folder: Path) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    assert kept.load(NAME, "version: 2") is None


def test_another_program_reads_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    kept._readers.cache_clear()
    with monkeypatch.context() as other:
        other.setattr("inhouse.catalogue.kept.sys.version", "another")
        assert kept.load(NAME, TEXT) is None
    kept._readers.cache_clear()
    assert kept.load(NAME, TEXT) == {"version": 1}


def test_every_source_of_the_package_counts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "models.py").write_text("one")
    monkeypatch.setattr("importlib.resources.files", lambda _: package)
    kept._readers.cache_clear()
    try:
        kept.keep(NAME, TEXT, {"version": 1})
        assert kept.load(NAME, TEXT) == {"version": 1}
        (package / "models.py").write_text("two")
        kept._readers.cache_clear()
        assert kept.load(NAME, TEXT) is None
    finally:
        kept._readers.cache_clear()


@pytest.mark.parametrize("kept_bytes", [-1, 10, 0], ids=["end", "most", "all"])
def test_a_damaged_file_is_read_anew(folder: Path, kept_bytes: int) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    file = folder / NAME
    file.write_bytes(file.read_bytes()[:kept_bytes])
    assert kept.load(NAME, TEXT) is None


def test_a_changed_file_is_read_anew(folder: Path) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    file = folder / NAME
    content = file.read_bytes()
    file.write_bytes(content[:-3] + bytes(reversed(content[-3:])))
    assert kept.load(NAME, TEXT) is None


def test_a_file_that_others_may_write_is_not_run(folder: Path) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    (folder / NAME).chmod(0o666)
    assert kept.load(NAME, TEXT) is None


def test_a_file_of_another_user_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.keep(NAME, TEXT, {"version": 1})
    owner = (folder / NAME).stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    assert kept.load(NAME, TEXT) is None


def test_without_a_place_to_write_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load.read("releases.yml", releases.Releases) == releases.releases()


def test_a_kept_catalogue_is_equal_and_needs_nothing_to_check_it(folder: Path) -> None:
    program = (
        "import sys; from inhouse.catalogue import drivers, gpus, models, releases;"
        "print([drivers.drivers(), gpus.gpus(), models.models(), releases.releases()]);"
        "print('yaml' in sys.modules, 'pydantic' in sys.modules, file=sys.stderr)"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert first.stderr == "True True\n"
    assert second.stderr == "False False\n"
    assert first.stdout == second.stdout
