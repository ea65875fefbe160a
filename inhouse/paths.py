"""Where the files are that are not Python: in a checkout beside the package, in an installed wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def assets() -> Path:
    """Folder that holds `templates/`, `roles/`, `inventories/` and `deploy.py`."""
    packed = _PACKAGE / "_assets"
    return packed if packed.is_dir() else _PACKAGE.parent


def templates_folder() -> Path:
    """Bodies of the files that land on hosts."""
    return assets() / "templates"


def deploy_file() -> Path:
    """The service layer, as pyinfra runs it."""
    return assets() / "deploy.py"


def roles_folder() -> Path:
    """The Ansible roles of the machine layer, and the playbook that applies them."""
    return assets() / "roles"


def inventories_folder() -> Path:
    """The inventories that come with inhouse."""
    return assets() / "inventories"


LOCAL_INVENTORY = Path("inventories/local")
"""This machine, below the folder one works in."""


def default_inventory() -> Path:
    """This machine: `inventories/local` here, or the one that comes with inhouse."""
    return LOCAL_INVENTORY if LOCAL_INVENTORY.is_dir() else inventories_folder() / "local"
