"""The fleet CA, its certificates, and a real handshake with Python's strictest verification."""

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse import tls
from inhouse.errors import InventoryError

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NAMES = ["gpu1.example.internal", "192.0.2.10", "2001:db8::10"]
CA, CA_KEY = tls.make_ca("inhouse fleet test", NOW)


def leaf(names: list[str] = NAMES, now: datetime = NOW) -> tls.Leaf:
    return tls.issue(CA, CA_KEY, names, now)


def test_a_new_certificate_has_no_fault() -> None:
    assert tls.fault(leaf().certificate_pem, CA, NAMES, NOW) is None


def test_order_and_case_and_repetition_of_names_do_not_matter() -> None:
    assert tls.fault(leaf().certificate_pem, CA, ["192.0.2.10", *NAMES[::-1], "GPU1.example.internal"], NOW) is None


@pytest.mark.parametrize(
    ("certificate", "names", "after", "why"),
    [
        (None, NAMES, timedelta(), "there is none yet"),
        ("", NAMES, timedelta(), "there is none yet"),
        ("rubbish", NAMES, timedelta(), "not a PEM certificate"),
        (leaf().certificate_pem, NAMES, timedelta(days=-365), "not valid before 2026-11-25"),
        (leaf().certificate_pem, NAMES, timedelta(days=397 - 30, seconds=1), "less than 30 days"),
        (leaf().certificate_pem, NAMES, timedelta(days=397), "expired on 2027-12-27"),
        (leaf().certificate_pem, [*NAMES, "ai.example.internal"], timedelta(), "not valid for ai.example.internal"),
        (leaf().certificate_pem, NAMES[:2], timedelta(), "still valid for 2001:db8::10"),
    ],
)
def test_fault_says_why(certificate: str | None, names: list[str], after: timedelta, why: str) -> None:
    assert why in str(tls.fault(certificate, CA, names, NOW + after))


def test_a_certificate_is_kept_until_thirty_days_remain() -> None:
    assert tls.fault(leaf().certificate_pem, CA, NAMES, NOW + timedelta(days=397 - 30)) is None


def test_a_certificate_of_another_ca_is_a_fault_even_with_the_same_name() -> None:
    other, _ = tls.make_ca("inhouse fleet test", NOW)
    assert tls.fault(leaf().certificate_pem, other, NAMES, NOW) == "it was not issued by this fleet's CA"


def test_in_the_cas_last_month_a_certificate_is_not_renewed_for_ever() -> None:
    late = NOW + tls.CA_LIFETIME - timedelta(days=10)
    assert tls.fault(leaf(now=late).certificate_pem, CA, NAMES, late) is None


def test_an_expired_ca_issues_nothing() -> None:
    with pytest.raises(InventoryError, match="expired on 2036-11-25"):
        leaf(now=NOW + tls.CA_LIFETIME)


def test_a_ca_certificate_of_another_key_issues_nothing() -> None:
    other, _ = tls.make_ca("other", NOW)
    with pytest.raises(InventoryError, match="does not belong to its key"):
        tls.issue(other, CA_KEY, NAMES, NOW)


@pytest.mark.parametrize(("cert", "key"), [("rubbish", CA_KEY), (CA, "rubbish"), (CA, CA)])
def test_a_ca_that_is_not_pem_is_an_error(cert: str, key: str) -> None:
    with pytest.raises(InventoryError, match="not"):
        tls.issue(cert, key, NAMES, NOW)


def test_fingerprint_is_the_one_openssl_prints(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(CA)
    printed = _openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", str(tmp_path / "ca.crt"))
    assert printed.strip().partition("=")[2] == tls.fingerprint(CA)


def test_openssl_accepts_the_chain_strictly(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(CA)
    (tmp_path / "leaf.crt").write_text(leaf(now=datetime.now(UTC)).certificate_pem)
    checked = _openssl(
        "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", f"{tmp_path}/ca.crt", f"{tmp_path}/leaf.crt"
    )
    assert checked.strip().endswith("OK")


@pytest.mark.parametrize("name", NAMES)
def test_a_real_handshake_verifies_strictly(tmp_path: Path, name: str) -> None:
    assert _handshake(tmp_path, name) == "TLSv1.3"


def test_a_real_handshake_refuses_a_name_that_is_not_in_the_certificate(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"ai\.example\.internal"):
        _handshake(tmp_path, "ai.example.internal")


@settings(max_examples=25)
@given(
    names=st.lists(
        st.ip_addresses().map(str) | st.from_regex(r"[a-z][a-z0-9_-]{0,20}(\.[a-z0-9]{1,20}){0,3}", fullmatch=True),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_the_names_what_is_issued_has_no_fault_and_one_name_less_has(names: list[str]) -> None:
    made = leaf(names).certificate_pem
    assert tls.fault(made, CA, names, NOW) is None
    assert tls.fault(made, CA, [*names, "one.more.internal"], NOW) is not None


def test_no_host_can_sign_for_others() -> None:
    constraints = x509.load_pem_x509_certificate(leaf().certificate_pem.encode()).extensions.get_extension_for_class(
        x509.BasicConstraints
    )
    assert (constraints.critical, constraints.value.ca) == (True, False)


def _openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, timeout=20).stdout


def _handshake(folder: Path, name: str) -> str | None:
    """Shake hands over loopback as `name`; the client trusts the fleet CA alone."""
    made = leaf(now=datetime.now(UTC))
    (folder / "cert.pem").write_text(made.certificate_pem)
    (folder / "key.pem").write_text(made.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cadata=CA)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    near.settimeout(10)
    far.settimeout(10)

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except ssl.SSLError:
            far.close()  # the client refused; its side of the test says why

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=name) as stream:
            return stream.version()
    finally:
        near.close()
        thread.join(10)
