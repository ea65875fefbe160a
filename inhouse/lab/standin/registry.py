"""Requests to a registry, with the texts the real server gives to what can go wrong."""

import contextlib
import http.client
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from . import golang
from .release import VERSION
from .store import MANIFEST_TYPE

TIMEOUT_S = 30.0
"""Seconds without a byte after which an attempt counts as stalled."""


class NotThere(golang.GoError):
    """The registry has no such thing."""


@dataclass
class Answer:
    """A response whose body was not read yet."""

    status: int
    headers: http.client.HTTPMessage
    body: http.client.HTTPResponse
    url: str

    def close(self) -> None:
        """Give the connection back."""
        self.body.close()


def request(method: str, url: str, headers: dict[str, str] | None = None, content: bytes | None = None) -> Answer:
    """One request, no redirect followed.

    Raises:
        GoError: no connection, or no certificate to trust.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, content, {"User-Agent": f"ollama/{VERSION} (stand-in)", **(headers or {})})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise golang.GoError(f'{method.title()} "{url}": {_cause(error, host, port)}') from error
    # The answer owns the connection from here: closing the one closes the other.
    response_socket = connection.sock
    if response_socket is not None and method != "HEAD":
        response_socket.settimeout(TIMEOUT_S)
    return Answer(response.status, response.headers, response, url)


def checked(method: str, url: str, headers: dict[str, str] | None = None, content: bytes | None = None) -> Answer:
    """One request whose answer is below 400.

    Raises:
        NotThere: 404.
        GoError: any other refusal, or no connection.
    """
    answer = request(method, url, headers, content)
    if answer.status == 404:
        answer.close()
        raise NotThere("file does not exist")
    if answer.status >= 400:
        text = answer.body.read().decode(errors="replace")
        answer.close()
        raise golang.GoError(f"{answer.status}: {text}")
    return answer


def manifest(base: str, repository: str, tag: str) -> bytes:
    """A manifest's bytes.

    Raises:
        GoError: it cannot be had.
    """
    answer = checked("GET", f"{base}/v2/{repository}/manifests/{tag}", {"Accept": MANIFEST_TYPE})
    with contextlib.closing(answer):
        return answer.body.read()


def blob_size(url: str) -> int:
    """Size of a blob in bytes.

    Raises:
        GoError: it cannot be had.
    """
    answer = checked("HEAD", url)
    with contextlib.closing(answer):
        return int(answer.headers.get("Content-Length", "0"))


def direct_url(url: str) -> str:
    """Where the registry redirects a blob's download to: a redirect to another host name is required.

    Raises:
        GoError: it redirects nowhere, or wrongly.
    """
    host = urlsplit(url).hostname
    for _ in range(10):
        answer = checked("GET", url)
        answer.close()
        location = answer.headers.get("Location")
        if answer.status in (301, 302, 303, 307, 308) and location:
            target = urljoin(url, location)
            if urlsplit(target).hostname == host:
                url = target
                continue
        if answer.status not in (200, 307):
            raise golang.GoError(f"unexpected status code {answer.status}")
        if not location:
            raise golang.GoError("http: no Location header in response")
        return urljoin(url, location)
    raise golang.GoError("maximum redirects exceeded (10) for directURL")


def _cause(error: Exception, host: str, port: int) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {_certificate_cause(error, host)}"
    if isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    ):
        return "http: server gave HTTP response to HTTPS client"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {host}{_name_server()}: no such host"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {_address(host)}:{port}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"dial tcp {_address(host)}:{port}: i/o timeout"
    return "EOF" if isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError)) else str(error)


def _certificate_cause(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code == 62:
        return f"x509: certificate is not valid for {host}"
    if error.verify_code in (9, 10):
        return "x509: certificate has expired or is not yet valid"
    return "x509: certificate signed by unknown authority"


def _address(host: str) -> str:
    with contextlib.suppress(OSError):
        return str(socket.getaddrinfo(host, None)[0][4][0])
    return host


def _name_server() -> str:
    with contextlib.suppress(OSError):
        match = re.search(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
        if match:
            return f" on {match[1]}:53"
    return ""
