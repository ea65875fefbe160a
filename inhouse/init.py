"""`inhouse init`: a starter inventory, and its secrets made and encrypted.

What is there is never overwritten, only completed; each file appears whole or not at all. So a run that was
interrupted is mended by running it again.
"""

import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from inhouse import tls, vault
from inhouse.errors import InventoryError
from inhouse.files import write_whole
from inhouse.inventory import ca_certificate
from inhouse.paths import inventories_folder
from inhouse.secret_settings import Secrets
from inhouse.settings_docs import starter

_LETTERS = string.ascii_letters + string.digits
_SHIM = '''"""For plain pyinfra: pyinfra {name}.py deploy.py"""

from inhouse.pyinfra_hosts import hosts_of

hosts = hosts_of(__file__)
'''
_GITIGNORE = """# The Vault password opens every secret: never commit it.
.vault-password
# Plans and results of the last runs.
.inhouse/
"""
_HOSTS = """# The hosts of this inventory, in Ansible's own format.
# Read: docs/inventory.md. Then: inhouse plan {folder}
all:
  hosts: {{}}
  # Take the braces away and name your hosts:
  #
  # hosts:
  #   gpu1.example.internal:          # its name in the certificate and in the URL
  #     ansible_host: 192.0.2.10      # where it is reached, if the name does not resolve
  #     ansible_user: admin           # signs in with a key
  #     ansible_become: true          # and becomes root with sudo
  #   localhost:                      # this machine itself
  #     ansible_connection: local
  #     ansible_become: true
"""
_SECRETS_HEAD = "# Made by `inhouse init`. To see or to change: ansible-vault edit (never commit it decrypted).\n"


def init(folder: Path) -> list[str]:
    """Begin an inventory, or add what is missing to one.

    Args:
        folder: the inventory's folder; made if it is not there.

    Returns:
        One line for each thing that was written, and what to do next.

    Raises:
        InventoryError: the folder is a file, the secrets cannot be decrypted, or the exported root certificate and the
            CA's key do not belong together.
    """
    if folder.exists() and not folder.is_dir():
        raise InventoryError(f"{folder} is a file; the name of a folder is needed. Run: inhouse init NAME")
    folder = folder.absolute()
    done: list[str] = []
    (folder / "group_vars" / "all").mkdir(parents=True, exist_ok=True)
    _text(folder / ".gitignore", lambda: _GITIGNORE, done, "what git must leave out")
    _hosts_file(folder, done)
    _text(folder / "group_vars" / "all" / "settings.yml", starter, done, "every setting, with its default")
    _text(folder.parent / f"{folder.name}.py", lambda: _SHIM.format(name=folder.name), done, "for plain pyinfra")
    _password(folder, done)
    _ca_file(folder, _secrets_file(folder, done), done)
    return done or [f"{folder} is complete; nothing was changed."]


def _hosts_file(folder: Path, done: list[str]) -> None:
    """A starter, unless hosts are named in any file Ansible reads; this machine, if the folder is called `local`."""
    if any(one.is_file() and not one.name.startswith(".") for one in folder.iterdir()):
        return
    mine = inventories_folder() / "local" / "hosts.yml"
    if folder.name == "local" and mine.is_file():
        _text(folder / "hosts.yml", lambda: mine.read_text(encoding="utf-8"), done, "this machine")
    else:
        _text(folder / "hosts.yml", lambda: _HOSTS.format(folder=folder.name), done, "name your hosts here")


def _password(folder: Path, done: list[str]) -> None:
    """A Vault password, unless there is one already or it is kept elsewhere."""
    if vault.password_file(folder) is None:
        if _is_encrypted(_secrets_path(folder)):
            raise InventoryError(vault.explain(folder, str(_secrets_path(folder))))
        file = folder / vault.PASSWORD_FILE
        write_whole(file, _random(40) + "\n", mode=0o600)
        done.append(f"{file}: opens the secrets. Keep a copy in a safe place; without it they are lost.")


def _secrets_file(folder: Path, done: list[str]) -> Mapping[str, str]:
    """All secrets; those that are missing are made and added. The others keep their text, comments included."""
    file = _secrets_path(folder)
    text = vault.decrypt(file, folder) if file.exists() else _SECRETS_HEAD
    there = _parsed(file, text)
    missing = [name for name in Secrets.model_fields if name not in there]
    if missing:
        if "fleet_ca_key" in missing and ca_certificate(folder).exists():
            raise InventoryError(
                f"{ca_certificate(folder)} is there, but not its key, fleet_ca_key in {file.name}. Restore the key; "
                "or remove that file to begin a new CA, which every client must then trust anew."
            )
        made = {name: _make(name, folder) for name in missing}
        added = yaml.safe_dump(made, sort_keys=False, default_style=None)
        write_whole(file, vault.encrypt(text.rstrip("\n") + "\n" + added, folder), mode=0o600)
        done.append(f"{file}: {', '.join(missing)} (encrypted with Ansible Vault)")
        there = {**there, **made}
    return there


def _ca_file(folder: Path, there: Mapping[str, str], done: list[str]) -> None:
    """The root certificate, exported from the secrets for clients."""
    file, bundle = ca_certificate(folder), str(there["fleet_ca_key"])
    if file.exists():
        if not tls.belong_together(file.read_text(encoding="utf-8"), bundle):
            raise InventoryError(
                f"{file} does not belong to fleet_ca_key in {_secrets_path(folder)}. Restore the right one."
            )
        return
    certificate = tls.certificate_in(bundle)
    if certificate is None or not tls.belong_together(certificate, bundle):
        raise InventoryError(
            f"{file} is missing, and fleet_ca_key in {_secrets_path(folder)} holds no certificate to make it from. "
            "Restore the file from a backup."
        )
    write_whole(file, certificate)
    done.append(f"{file}: root certificate; clients trust it once (SHA-256 {tls.fingerprint(certificate)})")


def _make(name: str, folder: Path) -> str:
    """A new secret. The root certificate is kept with its key: what is exported can be exported again."""
    if name == "fleet_ca_key":
        certificate, key = tls.make_ca(f"inhouse fleet {folder.name}")
        return key + certificate
    return _random(24 if name == "open_webui_admin_password" else 48)


def _random(length: int) -> str:
    """Letters and digits only: they survive YAML, Jinja, environment files and headers without quoting."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _secrets_path(folder: Path) -> Path:
    return folder / "group_vars" / "all" / "secrets.yml"


def _is_encrypted(file: Path) -> bool:
    return file.exists() and file.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT;")


def _parsed(file: Path, text: str) -> Mapping[str, str]:
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InventoryError(f"{file} is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise InventoryError(f"{file} must hold names and values. Run: ansible-vault edit {file}")
    return found


def _text(file: Path, text: Callable[[], str], done: list[str], what: str) -> None:
    if not file.exists():
        write_whole(file, text())
        done.append(f"{file}: {what}")
