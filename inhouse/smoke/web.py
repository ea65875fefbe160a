"""HTTP as a client of the fleet: by the host's name, to the host's address, trusting the fleet CA and nothing else."""

import socket
import ssl
from typing import Final

import httpx
from cryptography import x509

from inhouse.smoke.subject import Subject

CONNECT_S: Final = 5.0
READ_S: Final = 30.0


class ByAddress(httpx.BaseTransport):
    """Connects to one address whatever name a URL holds, as if a DNS server had said so; TLS still checks the name."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        """Connect to `address` always, with the roots of `context`."""
        self._address = address
        self._inner = httpx.HTTPTransport(verify=context, trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, whose Host header already holds the name, to the address."""
        request.extensions = {**request.extensions, "sni_hostname": request.url.host}
        request.url = request.url.copy_with(host=self._address)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


def trust(subject: Subject) -> ssl.SSLContext:
    """Return a TLS context whose only root is the fleet CA."""
    return ssl.create_default_context(cadata=subject.ca_certificate)


def client(subject: Subject, token: str | None = None) -> httpx.Client:
    """Return a client whose relative URLs are the host's proxy, with a bearer token if one is given."""
    return httpx.Client(
        base_url=subject.origin,
        transport=ByAddress(subject.plan.address, trust(subject)),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
    )


def served_certificate(subject: Subject) -> x509.Certificate:
    """Return the certificate the proxy serves, after checking its chain, dates and name.

    Raises:
        ssl.SSLCertVerificationError: the chain, the dates or the name are not right.
        OSError: nobody answers, or not with TLS.
    """
    address = (subject.plan.address, subject.plan.https_port)
    with (
        socket.create_connection(address, CONNECT_S) as plain,
        trust(subject).wrap_socket(plain, server_hostname=subject.plan.server_name) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True)
    if certificate is None:
        raise ssl.SSLError("the proxy sent no certificate")
    return x509.load_der_x509_certificate(certificate)


def accepts_connections(address: str, port: int, timeout: float = 3.0) -> bool:
    """Whether a TCP connection to this port can be opened from here."""
    try:
        socket.create_connection((address, port), timeout).close()
    except OSError:
        return False
    return True


def json_of(response: httpx.Response) -> object:
    """Return the answer's JSON, or None where it is something else: a web application answers 200 to any path."""
    if "application/json" not in response.headers.get("content-type", ""):
        return None
    try:
        return response.json()
    except ValueError:
        return None
