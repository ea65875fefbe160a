"""Which fleet a host belongs to, and the certificate its proxy shows."""

import datetime
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host

from inhouse import layout
from inhouse import tls as authority
from inhouse.deploys import session
from inhouse.deploys.operations import Folder, failure, folders, packages

PROXY_GROUP = "caddy"
"""Group of Debian's package, whose server must read the key."""

_CERTIFICATE_LINE = "cert "

# The certificate line by line, and whether the key beside it is its key: an interrupted run may have left a pair that
# does not match. openssl comes with ca-certificates.
_STATE = f"""
[ ! -f {layout.FLEET_MARKER} ] || echo "fleet $(cat {layout.FLEET_MARKER})"
[ ! -f {layout.TLS_CERTIFICATE} ] || sed 's/^/{_CERTIFICATE_LINE}/' {layout.TLS_CERTIFICATE}
of_cert=$(openssl x509 -noout -pubkey -in {layout.TLS_CERTIFICATE} 2>/dev/null)
of_key=$(openssl pkey -pubout -in {layout.TLS_KEY} 2>/dev/null)
[ -z "$of_key" ] || [ "$of_cert" != "$of_key" ] || echo "pair matches"
[ "$(stat -c '%a %U %G' {layout.TLS_KEY} 2>/dev/null)" != "640 root {PROXY_GROUP}" ] || echo "mode right"
true
"""


def fleet() -> None:
    """Have the host belong to the fleet of this CA; a host of another fleet is refused before anything is changed."""
    belongs_to(name="The host belongs to this fleet", fingerprint=authority.fingerprint(session.ca_certificate()))


def tls() -> OperationMeta:
    """Have a good certificate of the fleet's CA, and its key, where the proxy reads them; return what came of it."""
    packages(name="The proxy's package is there", names=("caddy", "ca-certificates", "openssl"))
    wanted = (Folder(layout.ETC), Folder(layout.TLS_DIR, "750", "root", PROXY_GROUP))
    folders(name="The folder of the certificate is there", wanted=wanted)
    return certificate_is_good(name="The host's certificate is valid for all its names")


@dataclass(frozen=True)
class TlsState:
    """What a host has."""

    fleet: str | None
    certificate_pem: str | None
    key_fits: bool
    """The key is the certificate's, readable by root and the proxy alone."""


class Tls(FactBase[TlsState]):
    """TlsState of a host."""

    def command(self) -> str:
        """Print it."""
        return _STATE

    def process(self, output: Iterable[str]) -> TlsState:
        """Parse it."""
        return parse_state(output)

    @staticmethod
    def default() -> TlsState:
        """A fresh host."""
        return parse_state(())


def parse_state(lines: Iterable[str]) -> TlsState:
    """Parse what the fact prints."""
    found = list(lines)
    pem = [line.removeprefix(_CERTIFICATE_LINE) for line in found if line.startswith(_CERTIFICATE_LINE)]
    fleets = [line.removeprefix("fleet ").strip() for line in found if line.startswith("fleet ")]
    return TlsState(
        fleet=fleets[0] if fleets else None,
        certificate_pem="\n".join(pem) + "\n" if pem else None,
        key_fits="pair matches" in found and "mode right" in found,
    )


@operation()
def belongs_to(fingerprint: str) -> Generator[StringCommand]:
    """Have the fleet's mark on the host."""
    marked: str | None = host.get_fact(Tls).fleet
    if marked == fingerprint:
        return
    if marked is not None:
        yield failure(
            f"This host belongs to another fleet (CA {marked}; this inventory's is {fingerprint}). Nothing was "
            "changed. "
            f"Use that fleet's inventory; to take the host over, remove {layout.FLEET_MARKER} on it and run again."
        )
        return
    yield StringCommand("install", "-d", "-m", "755", layout.ETC)
    yield StringCommand(f"cat >{layout.FLEET_MARKER}", _stdin=[fingerprint + "\n"])


@operation()
def certificate_is_good() -> Generator[StringCommand]:
    """Have a certificate that clients of the fleet trust, for every name of the host, with time left."""
    state: TlsState = host.get_fact(Tls)
    names = session.plan().certificate_names
    ca = session.ca_certificate()
    now = datetime.datetime.now(datetime.UTC)
    if state.key_fits and authority.fault(state.certificate_pem, ca, names, now) is None:
        return
    leaf = authority.issue(ca, session.secrets().fleet_ca_key.get_secret_value(), names, now)
    yield _staged(layout.TLS_KEY, leaf.key_pem)
    yield _staged(layout.TLS_CERTIFICATE, leaf.certificate_pem)
    yield StringCommand(f"{_moved(layout.TLS_KEY)} && {_moved(layout.TLS_CERTIFICATE)}")


def _moved(path: str) -> str:
    return f"mv -fT {path}.inhouse-new {path}"


def _staged(path: str, body: str) -> StringCommand:
    new = f"{path}.inhouse-new"
    return StringCommand(f"umask 077; cat >{new} && chown root:{PROXY_GROUP} {new} && chmod 640 {new}", _stdin=[body])
