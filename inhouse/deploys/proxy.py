"""The proxy: TLS, Open-WebUI for people, Ollama for programs that have the token."""

import hashlib
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import OperationMeta, operation
from pyinfra.context import host

from inhouse import layout
from inhouse.deploys import session
from inhouse.deploys.ollama import REPLACED_UNITS
from inhouse.deploys.operations import Folder, file, folders, packages, pending, script
from inhouse.errors import SettingsError
from inhouse.planner.plan import Plan
from inhouse.templating import render

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
"""What RFC 6750 allows in a bearer token, and long enough not to be guessed."""


def proxy(certificate: OperationMeta) -> None:
    """Have the proxy answering on the host's HTTP and HTTPS ports, with the certificate that is there by then."""
    plan = session.plan()
    packages(name="Caddy is installed", names=("caddy", "curl", "iproute2"))
    folders(
        name="The folder of Caddy's own settings is there", wanted=(Folder(layout.CADDY_DROP_IN.rpartition("/")[0]),)
    )
    causes = [
        certificate,
        file(
            name="Caddy's token is in place",
            path=layout.CADDY_ENV,
            body=render("caddy/caddy.env.j2", token=checked_token(session.secrets().api_token.get_secret_value())),
            mode="600",
        ),
        file(
            name="Caddy's own settings are in place",
            path=layout.CADDY_DROP_IN,
            body=render("caddy/drop-in.conf.j2", layout=layout),
        ),
    ]
    serves(name="The proxy serves the planned addresses", plan=plan, causes=causes)


def checked_token(token: str) -> str:
    """Return the token if it can be one.

    Raises:
        SettingsError: it is short, or has characters that a header or an environment file does not carry unchanged.
    """
    if _TOKEN.fullmatch(token) is None:
        raise SettingsError(
            "api_token: 16 or more letters, digits and . _ ~ + / = - are needed. To have one made, run: inhouse init"
        )
    return token


def caddyfile(plan: Plan) -> str:
    """Return the proxy's configuration."""
    return render("caddy/Caddyfile.j2", plan=plan, layout=layout)


@dataclass(frozen=True)
class ProxyState:
    """What is true of the proxy on a host."""

    serving: bool
    """Active, enabled, with the unit, environment and certificate that are in the files now."""
    config_sha256: str | None


class Caddy(FactBase[ProxyState]):
    """ProxyState of a host."""

    def command(self, port: int, server_name: str) -> StringCommand:
        """Run the state script."""
        body = render("caddy/state.sh.j2", layout=layout, port=port, server_name=quote(server_name))
        return StringCommand("sh", "-c", quote(body))

    def process(self, output: Iterable[str]) -> ProxyState:
        """Parse its lines."""
        return parse_state(output)

    @staticmethod
    def default() -> ProxyState:
        """A host without a proxy."""
        return parse_state(())


def parse_state(lines: Iterable[str]) -> ProxyState:
    """Parse the output of `caddy/state.sh`."""
    values = dict(line.partition(" ")[::2] for line in lines)
    good = {
        "active": "active",
        "enabled": "enabled",
        "reload": "no",
        "environment": "current",
        "certificate": "current",
    }
    return ProxyState(
        serving=all(values.get(key) == value for key, value in good.items()),
        config_sha256=values.get("config"),
    )


@operation()
def serves(plan: Plan, causes: Sequence[OperationMeta]) -> Generator[StringCommand]:
    """Have the planned configuration in force; it is validated before it replaces the running one."""
    state: ProxyState = host.get_fact(Caddy, port=plan.https_port, server_name=plan.server_name)
    body = caddyfile(plan)
    if state.serving and not pending(causes) and state.config_sha256 == hashlib.sha256(body.encode()).hexdigest():
        return
    yield script(
        render(
            "caddy/apply.sh.j2",
            layout=layout,
            caddyfile=body.rstrip("\n"),
            port=plan.https_port,
            http_port=plan.http_port,
            kept=REPLACED_UNITS,
        )
    )
