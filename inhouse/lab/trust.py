"""What lab hosts must know of the controller's network: certificates trusted beyond Debian's, and pip's settings."""

import configparser
import io
import subprocess
import sys
from pathlib import Path

from inhouse.lab.archive import File

CA_FOLDER = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")


def controller_files() -> dict[str, File]:
    """Files for every lab host, by path."""
    extra = {str(path): File(path.read_bytes()) for path in sorted(CA_FOLDER.glob("**/*.crt"))}
    return extra | {
        # pip and uv carry their own certificates, which a network that looks into TLS does not match.
        "/etc/pip.conf": File(pip_conf(_pip_settings()).encode()),
        "/etc/uv/uv.toml": File(b"native-tls = true\n"),
    }


def pip_conf(settings: dict[str, str]) -> str:
    """A pip.conf that trusts the system's certificates and knows the controller's package index."""
    parser = configparser.RawConfigParser()
    parser["global"] = {"cert": BUNDLE} | {key: value for key, value in settings.items() if key in _PIP_KEYS}
    stream = io.StringIO()
    parser.write(stream)
    return stream.getvalue()


def _pip_settings() -> dict[str, str]:
    """pip's settings here, from its files and from PIP_… variables alike; none where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        key, _, value = line.partition("=")
        found[key.rpartition(".")[2]] = value.strip("'\"")
    return found
