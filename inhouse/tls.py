"""The fleet CA and the certificates it signs. Pure: nothing is read or written, and `now` is given.

One CA per inventory. Its root certificate is what a person adds to a browser once; every host's certificate is
issued from it on the controller, so that no host ever sees the CA's key.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inhouse.errors import InventoryError

CA_LIFETIME = timedelta(days=3653)
"""Ten years."""
LEAF_LIFETIME = timedelta(days=397)
"""Apple's platforms refuse more than 398 days (https://support.apple.com/en-us/102028)."""
RENEW_BEFORE = timedelta(days=30)
"""Less than this left, and the next `up` issues a new certificate."""
CLOCK_SKEW = timedelta(hours=1)
"""Certificates begin this much in the past: hosts and browsers with a slow clock accept them at once."""


@dataclass(frozen=True)
class Leaf:
    """A host's certificate and its private key, both PEM."""

    certificate_pem: str
    key_pem: str


def make_ca(name: str, now: datetime | None = None) -> tuple[str, str]:
    """A new root certificate and its private key, both PEM.

    Args:
        name: common name of the root, as browsers list it.
        now: begin of its validity (aware); the clock's time when not given.
    """
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    builder = (
        _builder(subject, subject, key.public_key(), now - CLOCK_SKEW, now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _certificate_pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def issue(ca_cert_pem: str, ca_key_pem: str, names: Sequence[str], now: datetime) -> Leaf:
    """A new certificate for a host, with a new key.

    Args:
        ca_cert_pem: root certificate of the fleet.
        ca_key_pem: its private key.
        names: DNS names and IP addresses (at least one).
        now: begin of its validity (aware).

    Raises:
        InventoryError: the CA's certificate or key is not PEM, they do not belong together, or the CA has expired.
    """
    ca = _certificate(ca_cert_pem)
    ca_key = _private_key(ca_key_pem)
    if not belong_together(ca_cert_pem, ca_key_pem):
        raise InventoryError("The fleet CA's certificate does not belong to its key. Restore fleet-ca.crt.")
    if ca.not_valid_after_utc <= now:
        raise InventoryError(f"The fleet CA expired on {ca.not_valid_after_utc:%Y-%m-%d}; a new one is needed.")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    until = min(now + LEAF_LIFETIME, ca.not_valid_after_utc)
    builder = (
        _builder(subject, ca.subject, key.public_key(), now - CLOCK_SKEW, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(_authority_identifier(ca), critical=False)
    )
    return Leaf(_certificate_pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key))


def fault(certificate_pem: str | None, ca_cert_pem: str, names: Sequence[str], now: datetime) -> str | None:
    """Why a host's certificate must be replaced; None if it is good.

    Args:
        certificate_pem: what the host has; None if it has none.
        ca_cert_pem: root certificate of the fleet.
        names: every DNS name and IP address it must be valid for, and no other.
        now: the time it is judged at (aware).

    Raises:
        InventoryError: the CA's certificate is not PEM.
    """
    ca = _certificate(ca_cert_pem)
    if not certificate_pem or not certificate_pem.strip():
        return "there is none yet"
    try:
        leaf = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError:
        return "it is not a PEM certificate"
    return _issuer_fault(leaf, ca) or _time_fault(leaf, ca, now) or _names_fault(leaf, names)


def fingerprint(cert_pem: str) -> str:
    """SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` and browsers print it: "AB:CD:…".

    Raises:
        InventoryError: it is not a PEM certificate.
    """
    return _certificate(cert_pem).fingerprint(hashes.SHA256()).hex(":").upper()


def belong_together(cert_pem: str, key_pem: str) -> bool:
    """Whether the private key is the certificate's.

    Raises:
        InventoryError: one of them is not PEM.
    """
    return bool(_certificate(cert_pem).public_key() == _private_key(key_pem).public_key())


def check_key(key_pem: str) -> None:
    """Check that a text is a key the fleet CA can sign with.

    Raises:
        InventoryError: it is not, and why.
    """
    _private_key(key_pem)


def certificate_in(pem: str) -> str | None:
    """The certificate in a PEM bundle that may hold a key as well; None if there is none."""
    try:
        return _certificate_pem(x509.load_pem_x509_certificate(pem.encode()))
    except ValueError:
        return None


def _issuer_fault(leaf: x509.Certificate, ca: x509.Certificate) -> str | None:
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return "it was not issued by this fleet's CA"
    return None


def _time_fault(leaf: x509.Certificate, ca: x509.Certificate, now: datetime) -> str | None:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        return f"it is not valid before {begin:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
    if end <= now:
        return f"it expired on {end:%Y-%m-%d}"
    # In the CA's own last month a new certificate would end on the same day: renewing would never stop.
    if end - now < RENEW_BEFORE and end < ca.not_valid_after_utc:
        return f"it expires on {end:%Y-%m-%d}, less than {RENEW_BEFORE.days} days from now"
    return None


def _names_fault(leaf: x509.Certificate, names: Sequence[str]) -> str | None:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return "it names no host"
    has, needs = set(extension.value), set(_general_names(names))
    missing, surplus = (_listed(side) for side in (needs - has, has - needs))
    if missing:
        return f"it is not valid for {missing}"
    return f"it is still valid for {surplus}" if surplus else None


def _listed(names: set[x509.GeneralName]) -> str:
    return ", ".join(sorted(str(name.value) for name in names))


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """DNS names and addresses as a certificate holds them: each once, in the order given."""
    return list(dict.fromkeys(_general_name(name) for name in names))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_identifier(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise InventoryError("The fleet CA's certificate is not PEM. Restore fleet-ca.crt from a backup.") from error


def _private_key(pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise InventoryError("fleet_ca_key is not an unencrypted PEM private key.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InventoryError("fleet_ca_key is not an elliptic-curve key, as `inhouse init` makes.")
    return key


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
