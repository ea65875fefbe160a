"""Open-WebUI's settings file, as systemd reads it."""

import re
from ipaddress import ip_address

from inhouse import layout
from inhouse.planner.plan import Plan
from inhouse.secret_settings import Secrets
from inhouse.templating import render


def settings_body(plan: Plan, secrets: Secrets) -> str:
    """Return the settings file. It holds secrets."""
    return render(
        "open_webui/open-webui.env.j2",
        plan=plan,
        layout=layout,
        quote=env_quote,
        origins=origins(plan),
        secret_key=secrets.open_webui_secret_key.get_secret_value(),
        admin_password=secrets.open_webui_admin_password.get_secret_value(),
    )


def env_quote(value: str) -> str:
    r"""Quote a value for systemd's EnvironmentFile=.

    In double quotes everything stands for itself, line feeds and `#` included, but `"`, `\`, `$` and `` ` ``,
    which take a backslash.
    """
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def origins(plan: Plan) -> tuple[str, ...]:
    """Return what a browser may send as `Origin`: the host's own URL first, then every name of its certificate."""
    port = "" if plan.https_port == 443 else f":{plan.https_port}"
    names = (f"https://{_in_url(name)}{port}" for name in plan.certificate_names)
    return tuple(dict.fromkeys((plan.url.rstrip("/"), *names)))


def _in_url(name: str) -> str:
    try:
        return f"[{name}]" if ip_address(name).version == 6 else name
    except ValueError:
        return name.lower()
