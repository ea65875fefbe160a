"""`inhouse init`: begins, completes, never overwrites, and mends what was interrupted."""

import stat
from pathlib import Path

import pytest
import yaml

from inhouse import tls, vault
from inhouse.errors import InventoryError
from inhouse.init import init
from inhouse.inventory import ca_certificate, load
from inhouse.secret_settings import Secrets


@pytest.fixture(autouse=True)
def _no_password_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vault.PASSWORD_VARIABLE, raising=False)


def secrets_file(folder: Path) -> Path:
    return folder / "group_vars" / "all" / "secrets.yml"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.parent.rglob("*") if one.is_file()}


def name_a_host(folder: Path) -> None:
    (folder / "hosts.yml").write_text("all: {hosts: {a.example.internal: }}")


def rewrite_secrets(folder: Path, **changes: str | None) -> None:
    """Change secrets as `ansible-vault edit` would; None removes one."""
    found = yaml.safe_load(vault.decrypt(secrets_file(folder), folder)) | changes
    text = yaml.safe_dump({name: value for name, value in found.items() if value is not None})
    secrets_file(folder).write_text(vault.encrypt(text, folder))


def test_what_init_writes_loads_once_a_host_is_named(tmp_path: Path) -> None:
    init(tmp_path / "home")
    name_a_host(tmp_path / "home")
    found = load(tmp_path / "home")
    assert found.secrets is not None
    assert tls.belong_together(found.ca_certificate.read_text(), found.secrets.fleet_ca_key.get_secret_value())


def test_every_file_is_there_and_private_ones_are_private(tmp_path: Path) -> None:
    init(tmp_path / "home")
    written = {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file()}
    assert written == {
        "home.py",
        "home/.gitignore",
        "home/.vault-password",
        "home/hosts.yml",
        "home/group_vars/all/settings.yml",
        "home/group_vars/all/secrets.yml",
        "home/group_vars/all/fleet-ca.crt",
    }
    for private in (tmp_path / "home" / ".vault-password", secrets_file(tmp_path / "home")):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_secrets_are_encrypted_and_differ_between_inventories(tmp_path: Path) -> None:
    init(tmp_path / "a")
    init(tmp_path / "b")
    assert secrets_file(tmp_path / "a").read_text().startswith("$ANSIBLE_VAULT;")
    one, two = (vault.decrypt(secrets_file(tmp_path / name), tmp_path / name) for name in "ab")
    assert not set(yaml.safe_load(one).values()) & set(yaml.safe_load(two).values())


def test_git_leaves_the_password_out(tmp_path: Path) -> None:
    init(tmp_path / "home")
    assert ".vault-password" in (tmp_path / "home" / ".gitignore").read_text().splitlines()


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path) -> None:
    init(tmp_path / "home")
    before = contents(tmp_path / "home")
    (said,) = init(tmp_path / "home")
    assert "nothing was changed" in said
    assert contents(tmp_path / "home") == before


def test_a_missing_secret_is_added_and_the_others_and_comments_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    rewrite_secrets(folder, api_token=None, open_webui_admin_password="chosen by hand", x_mine="kept")
    before = yaml.safe_load(vault.decrypt(secrets_file(folder), folder))
    (said,) = init(folder)
    after = yaml.safe_load(vault.decrypt(secrets_file(folder), folder))
    assert "api_token" in said
    assert "chosen" not in said
    assert {name: after[name] for name in before} == before
    assert set(after) == {*Secrets.model_fields, "x_mine"}


def test_a_plain_secrets_file_is_completed_and_encrypted(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    secrets_file(folder).parent.mkdir(parents=True)
    secrets_file(folder).write_text("# mine\nopen_webui_admin_password: chosen by hand\n")
    init(folder)
    assert secrets_file(folder).read_text().startswith("$ANSIBLE_VAULT;")
    assert "# mine\nopen_webui_admin_password: chosen by hand\n" in vault.decrypt(secrets_file(folder), folder)


def test_a_hosts_file_of_any_name_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "production.ini").write_text("a.example.internal\n")
    init(folder)
    assert not (folder / "hosts.yml").exists()
    assert [host.name for host in load(folder).hosts] == ["a.example.internal"]


def test_a_folder_named_local_is_this_machine(tmp_path: Path) -> None:
    init(tmp_path / "local")
    (host,) = load(tmp_path / "local").hosts
    assert host.connection.kind == "local"


def test_a_dot_in_the_folders_name_stays_in_the_shims(tmp_path: Path) -> None:
    init(tmp_path / "site.b")
    assert (tmp_path / "site.b.py").exists()


def test_the_root_certificate_is_exported_again_when_it_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    before = ca_certificate(folder).read_text()
    ca_certificate(folder).unlink()
    (said,) = init(folder)
    assert "fleet-ca.crt" in said
    assert ca_certificate(folder).read_text() == before


def test_a_certificate_without_its_key_is_no_reason_for_a_new_ca(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    rewrite_secrets(folder, fleet_ca_key=None)
    before = contents(folder)
    with pytest.raises(InventoryError, match="but not its key"):
        init(folder)
    assert contents(folder) == before


def test_a_certificate_of_another_key_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    rewrite_secrets(folder, fleet_ca_key=tls.make_ca("other")[1])
    with pytest.raises(InventoryError, match="does not belong to fleet_ca_key"):
        init(folder)


def test_a_key_alone_makes_no_certificate_that_clients_do_not_know(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    ca_certificate(folder).unlink()
    rewrite_secrets(folder, fleet_ca_key=tls.make_ca("other")[1])
    with pytest.raises(InventoryError, match="holds no certificate"):
        init(folder)


def test_encrypted_secrets_without_a_password_are_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    init(folder)
    (folder / ".vault-password").unlink()
    before = contents(folder)
    with pytest.raises(InventoryError, match="no password is there"):
        init(folder)
    assert contents(folder) == before


def test_a_password_kept_elsewhere_is_used_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("kept elsewhere\n")
    monkeypatch.setenv(vault.PASSWORD_VARIABLE, str(tmp_path / "password"))
    init(tmp_path / "home")
    assert not (tmp_path / "home" / ".vault-password").exists()
    assert "api_token" in vault.decrypt(secrets_file(tmp_path / "home"), tmp_path / "home")


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(InventoryError, match="is a file"):
        init(tmp_path / "home")


@pytest.mark.parametrize("text", ["a: [", "just words"])
def test_a_secrets_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    secrets_file(tmp_path).parent.mkdir(parents=True)
    secrets_file(tmp_path).write_text(text)
    with pytest.raises(InventoryError, match=r"secrets\.yml"):
        init(tmp_path)


@pytest.mark.parametrize("writes", range(7))
def test_interrupted_after_any_file_a_second_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Ctrl-C between writing a file's bytes and giving it its name is the worst moment."""
    folder, real, count = tmp_path / "home", Path.replace, iter(range(99))

    def replace(self: Path, target: Path) -> Path:
        if next(count) == writes:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        init(folder)
    monkeypatch.undo()
    before = contents(folder)
    init(folder)
    name_a_host(folder)
    assert load(folder).secrets is not None
    after = contents(folder)
    assert {name for name in before if before[name] != after[name]} <= {str(folder / "hosts.yml")}
    assert not [one for one in tmp_path.rglob(".*.*") if one.is_file()]
