"""Hosts, how to reach them, and what is set for each: read by Ansible's own loader."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from inhouse.settings import HostSettings, Secrets


@dataclass(frozen=True)
class Connection:
    """How a host is reached; the same for the probe, pyinfra, testinfra and Ansible."""

    kind: Literal["ssh", "local"]
    address: str
    """ansible_host, or the host's name."""
    port: int = 22
    user: str | None = None
    private_key_file: str | None = None
    ssh_config_file: str | None = None
    """From `-F FILE` in ansible_ssh_common_args: jump hosts, known-hosts files and the like."""
    become: bool = False
    become_password: SecretStr | None = None


@dataclass(frozen=True)
class Host:
    """One host of an inventory."""

    name: str
    groups: tuple[str, ...]
    connection: Connection
    settings: HostSettings

    @property
    def server_name(self) -> str:
        """Name in the certificate and in the URL."""
        return self.settings.server_name or self.name


@dataclass(frozen=True)
class Inventory:
    """A folder in Ansible's inventory format."""

    path: Path
    hosts: tuple[Host, ...]
    secrets: Secrets | None
    """None until `inhouse init` has made them; `up` and `verify` need them."""

    @property
    def state_dir(self) -> Path:
        """Where plans and results of this inventory are kept."""
        return self.path / ".inhouse"

    @property
    def ca_certificate(self) -> Path:
        """Root certificate of the fleet, for clients to trust."""
        return self.path / "fleet-ca.crt"
