"""Ansible Vault: where the password comes from, and the file that holds an inventory's secrets."""

import os
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret, get_file_vault_secret

from inhouse.errors import InventoryError

PASSWORD_VARIABLE = "ANSIBLE_VAULT_PASSWORD_FILE"
"""Ansible's own environment variable; a file or an executable that prints the password."""
PASSWORD_FILE = ".vault-password"
"""Used when the variable is not set; `inhouse init` makes it."""


def password_file(folder: Path) -> Path | None:
    """File (or program) with the Vault password of an inventory; None if there is none."""
    if named := os.environ.get(PASSWORD_VARIABLE):
        return Path(named).expanduser()
    return folder / PASSWORD_FILE if (folder / PASSWORD_FILE).exists() else None


def secrets(folder: Path, loader: DataLoader | None = None) -> list[tuple[str, VaultSecret]]:
    """What Ansible's loader needs to decrypt; empty if there is no password.

    Raises:
        InventoryError: the password file is named but cannot be used.
    """
    file = password_file(folder)
    if file is None:
        return []
    try:
        secret = get_file_vault_secret(filename=str(file), loader=loader or DataLoader())
        secret.load()
    except (AnsibleError, OSError) as error:
        raise InventoryError(f"The Vault password cannot be read from {file}: {error}") from error
    return [("default", secret)]


def encrypt(text: str, folder: Path) -> str:
    """The text, encrypted with the inventory's Vault password.

    Raises:
        InventoryError: there is no password, or it cannot be read.
    """
    found = secrets(folder)
    if not found:
        raise InventoryError(explain(folder, "nothing can be encrypted"))
    return str(VaultLib(found).encrypt(text, found[0][1]).decode())


def decrypt(file: Path, folder: Path) -> str:
    """Text of a file, decrypted if it is encrypted.

    Raises:
        InventoryError: there is no password, or it is not the one the file was encrypted with.
    """
    text = file.read_text(encoding="utf-8")
    if not VaultLib.is_encrypted(text):
        return text
    try:
        return str(VaultLib(secrets(folder)).decrypt(text).decode())
    except AnsibleVaultError as error:
        raise InventoryError(explain(folder, str(file))) from error


def explain(folder: Path, where: str) -> str:
    """Why encrypted data cannot be read, and what to do."""
    file = password_file(folder)
    if file is None:
        return (
            f"{where or folder}: encrypted with Ansible Vault, and no password is there. Put it into "
            f"{folder / PASSWORD_FILE}, or name a file that holds it: export {PASSWORD_VARIABLE}=FILE"
        )
    return (
        f"{where or folder}: the Vault password in {file} does not open it. Put the password it was encrypted with "
        f"there, or name the right file: export {PASSWORD_VARIABLE}=FILE"
    )
