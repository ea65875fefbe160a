"""Where things are on a managed host. Every path that more than one module needs stands here, once."""

from typing import Final

ETC: Final = "/etc/inhouse"
"""Settings and secrets; readable by root alone unless a file says otherwise."""

FLEET_MARKER: Final = f"{ETC}/fleet"
"""One line: fingerprint of the fleet CA that manages this host."""

TLS_DIR: Final = f"{ETC}/tls"
TLS_CERTIFICATE: Final = f"{TLS_DIR}/cert.pem"
TLS_KEY: Final = f"{TLS_DIR}/key.pem"

OPT: Final = "/opt/inhouse"
"""Programs, one folder per release, with a link `current` to the one that runs."""

STAGING: Final = f"{OPT}/staging"
"""Downloads that are not yet checked and files that are not yet in force; root alone may enter it."""

OLLAMA_PREFIX: Final = f"{OPT}/ollama"
OLLAMA_CURRENT: Final = f"{OLLAMA_PREFIX}/current"
OLLAMA_ENV: Final = f"{ETC}/ollama.env"
OLLAMA_HOME: Final = "/var/lib/ollama"
"""Home of the user `ollama`: its key, and the models unless the inventory puts them elsewhere."""
OLLAMA_UNIT: Final = "ollama.service"
OLLAMA_UNIT_FILE: Final = f"/etc/systemd/system/{OLLAMA_UNIT}"
OLLAMA_USER: Final = "ollama"

OPEN_WEBUI_PREFIX: Final = f"{OPT}/open-webui"
OPEN_WEBUI_CURRENT: Final = f"{OPEN_WEBUI_PREFIX}/current"
OPEN_WEBUI_ENV: Final = f"{ETC}/open-webui.env"
OPEN_WEBUI_DATA: Final = "/var/lib/open-webui"
OPEN_WEBUI_UNIT: Final = "open-webui.service"
OPEN_WEBUI_UNIT_FILE: Final = f"/etc/systemd/system/{OPEN_WEBUI_UNIT}"
OPEN_WEBUI_USER: Final = "open-webui"

LIBEXEC: Final = f"{OPT}/libexec"
"""Small POSIX-sh programs that deploys put on the host and run there."""
OLLAMA_PULL: Final = f"{LIBEXEC}/ollama-pull"

CADDY_UNIT: Final = "caddy.service"
CADDYFILE: Final = "/etc/caddy/Caddyfile"
CADDY_ENV: Final = f"{ETC}/caddy.env"
CADDY_DROP_IN: Final = f"/etc/systemd/system/{CADDY_UNIT}.d/inhouse.conf"
