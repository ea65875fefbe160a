"""Name resolution of a server under test: only what the test says, nothing from outside.

Python imports this by itself where the folder is on PYTHONPATH. INHOUSE_TEST_NAMES holds NAME=ADDRESS:PORT, separated
by spaces; loopback stays what it is; any other name does not exist.
"""

import os
import socket
from typing import Any

_known = dict(entry.split("=") for entry in os.environ.get("INHOUSE_TEST_NAMES", "").split())
_real = socket.getaddrinfo


def _resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
    if host in _known:
        address, _, known_port = _known[host].rpartition(":")
        return _real(address, int(known_port), *args, **kwargs)
    if host in ("localhost", "127.0.0.1", "::1", None, ""):
        return _real(host, port, *args, **kwargs)
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


socket.getaddrinfo = _resolve
