"""The inventory of a lab: what a person would write for hosts of their own, so all else works on it unchanged."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from inhouse.errors import LabError
from inhouse.init import init
from inhouse.lab.network import SSH_PORT, Endpoint
from inhouse.lab.paths import private_dir
from inhouse.lab.ssh import USER, ClientFiles

_HEADER = "---\n# Written by `inhouse lab up`; `inhouse lab down` removes it.\n"


def claim(folder: Path, lab: str) -> None:
    """Makes the folder, or takes over what an interrupted `up` of the same lab left there.

    Raises:
        LabError: the folder holds something else.
    """
    if folder.exists() and _owner(folder) == lab:
        shutil.rmtree(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(
            f"{folder} exists and is no inventory of a lab {lab!r}. Name another: inhouse lab up --folder DIR"
        )
    private_dir(folder).mkdir(parents=True)
    private_dir(folder).chmod(0o700)
    (private_dir(folder) / "name").write_text(f"{lab}\n")


def remove(folder: Path, lab: str) -> None:
    """Removes the inventory and its shim, unless the folder is not this lab's."""
    if _owner(folder) == lab:
        shutil.rmtree(folder)
        _shim(folder).unlink(missing_ok=True)


def write(
    folder: Path,
    hosts: Mapping[str, tuple[str, Endpoint]],
    client_files: ClientFiles,
    settings: Mapping[str, Any],
) -> None:
    """Writes hosts.yml, group_vars, and what `inhouse init` adds: secrets and the shim for plain pyinfra.

    Args:
        folder: the inventory.
        hosts: host name → (profile, endpoint).
        client_files: what ssh needs.
        settings: settings that are the same for all hosts.
    """
    entries = {name: _host(profile, endpoint) for name, (profile, endpoint) in hosts.items()}
    _dump(folder / "hosts.yml", {"all": {"hosts": entries}})
    common = {
        "ansible_user": USER,
        "ansible_become": True,
        "ansible_ssh_private_key_file": str(client_files.key),
        "ansible_ssh_common_args": f"-F {shlex.quote(str(client_files.config))}",
        # Hosts that share a machine's cores are slow together; the fault `slow` is slower.
        "min_tokens_per_second": 1.5,
        # They measure this machine with a small model, whatever they pretend to be.
        "learn_speeds": False,
    }
    (folder / "group_vars" / "all").mkdir(parents=True)
    _dump(folder / "group_vars" / "all" / "lab.yml", common | dict(settings))
    init(folder)


def _host(profile: str, endpoint: Endpoint) -> dict[str, Any]:
    port = {} if endpoint.ssh_port == SSH_PORT else {"ansible_port": endpoint.ssh_port}
    return {"ansible_host": endpoint.address, **port, "note": f"lab host, pretended hardware: {profile}"}


def _dump(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(_HEADER + yaml.safe_dump(dict(content), sort_keys=False, width=120))


def _owner(folder: Path) -> str | None:
    marker = private_dir(folder) / "name"
    return marker.read_text().strip() if marker.is_file() else None


def _shim(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.py")
