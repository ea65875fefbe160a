"""Keys of a lab: who may log in, how each host proves itself, and the client's configuration that names both."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

USER = "admin"
"""Login on every lab host; may use sudo without a password."""


@dataclass(frozen=True)
class KeyPair:
    """An ed25519 key in OpenSSH's own formats."""

    private: bytes
    public: bytes
    """`ssh-ed25519 AAAA…`, without a newline."""


def new_key() -> KeyPair:
    """A fresh key."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    )


@dataclass(frozen=True)
class ClientFiles:
    """Files on the controller with which ssh, pyinfra and testinfra reach the hosts of one lab."""

    folder: Path

    @property
    def key(self) -> Path:
        """Private key of the login user."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Host keys, which are therefore checked."""
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        """For `ssh -F`."""
        return self.folder / "ssh_config"

    def write(self, login: KeyPair, host_keys: Mapping[str, KeyPair]) -> None:
        """Writes all three; `host_keys` is by the name that known_hosts has for the host."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.key.touch(mode=0o600)
        self.key.write_bytes(login.private)
        lines = (f"{address} {key.public.decode()}\n" for address, key in host_keys.items())
        self.known_hosts.write_text("".join(lines))
        self.config.write_text(self._config(host_keys))

    def _config(self, known_as: Mapping[str, KeyPair]) -> str:
        # Known hosts with another port than 22 stand in brackets; here a host is only ever named by its address.
        addresses = (name.removeprefix("[").partition("]")[0] for name in known_as)
        return (
            f"Host {' '.join(addresses)}\n"
            f"    User {USER}\n"
            f'    IdentityFile "{self.key}"\n'
            "    IdentitiesOnly yes\n"
            f'    UserKnownHostsFile "{self.known_hosts}"\n'
            f"    GlobalKnownHostsFile {os.devnull}\n"
            "    StrictHostKeyChecking yes\n"
        )
