"""Where the Vault password comes from."""

from pathlib import Path

import pytest

from inhouse import vault
from inhouse.errors import InventoryError


@pytest.fixture(autouse=True)
def _no_password_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vault.PASSWORD_VARIABLE, raising=False)


def test_what_is_encrypted_can_be_decrypted_again(tmp_path: Path) -> None:
    (tmp_path / ".vault-password").write_text("open sesame\n")
    (tmp_path / "file").write_text(vault.encrypt("a: grün\n", tmp_path))
    assert "grün" not in (tmp_path / "file").read_text()
    assert vault.decrypt(tmp_path / "file", tmp_path) == "a: grün\n"


def test_the_variable_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".vault-password").write_text("wrong\n")
    (tmp_path / "elsewhere").write_text("right\n")
    monkeypatch.setenv(vault.PASSWORD_VARIABLE, str(tmp_path / "elsewhere"))
    assert vault.secrets(tmp_path)[0][1].bytes == b"right"


def test_an_executable_is_asked_for_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\necho from a program\n")
    program.chmod(0o700)
    monkeypatch.setenv(vault.PASSWORD_VARIABLE, str(program))
    assert vault.secrets(tmp_path)[0][1].bytes == b"from a program"


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vault.PASSWORD_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InventoryError, match="nowhere"):
        vault.secrets(tmp_path)


def test_an_empty_password_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".vault-password").write_text("\n")
    with pytest.raises(InventoryError, match="cannot be read"):
        vault.secrets(tmp_path)


def test_nothing_is_encrypted_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="no password is there"):
        vault.encrypt("a: 1", tmp_path)


def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    (tmp_path / ".vault-password").write_text("right\n")
    (tmp_path / "file").write_text(vault.encrypt("a: 1", tmp_path))
    (tmp_path / ".vault-password").write_text("wrong\n")
    with pytest.raises(InventoryError, match=r"\.vault-password does not open it"):
        vault.decrypt(tmp_path / "file", tmp_path)
