"""Texts derived from the settings: docs/settings.md and the starter that `inhouse init` writes.

After a change of inhouse/settings.py: python -m inhouse.settings_docs > docs/settings.md
"""

import sys

from inhouse.secret_settings import Secrets
from inhouse.settings_schema import rows

_HEAD = """# Settings

<!-- Written by: python -m inhouse.settings_docs > docs/settings.md -->

Settings are variables of an Ansible inventory: in `group_vars/all/settings.yml` for all hosts, in
`group_vars/GROUP.yml` for a group, in `host_vars/HOST.yml` for one host; the narrower place wins. All have defaults.
A default of `null` means that it is decided for each host, as its text says.

An unknown name is an error. Names that begin with `x_` are yours, to use in templates:
`ollama_mirror: "{{ x_mirror }}/ollama"`. How hosts are reached is in [inventory.md](inventory.md).
"""

_ROLES_HEAD = """## Variables of the roles

What the roles of the machine layer take can be set in the same places, under the names that stand in each role's
README ([roles.md](roles.md) lists the roles). inhouse checks their names and types as it checks its own settings. What
the planner decides (source, branch and module of a driver, versions of CUDA) is then as you state it, and the plan says
so; a value that cannot work on the host's cards is refused.
"""

_SECRETS_HEAD = """## Secrets

Made by `inhouse init` and kept in `group_vars/all/secrets.yml`, encrypted with Ansible Vault. They are the same for all
hosts of an inventory. To see or change one: `ansible-vault edit --vault-password-file INVENTORY/.vault-password
INVENTORY/group_vars/all/secrets.yml`.
"""


def markdown() -> str:
    """The whole of docs/settings.md."""
    settings = [f"## `{row.name}`\n\n{row.help}\n\nNeeded: {row.needed}. Default: `{row.default}`.\n" for row in rows()]
    secrets = [f"- `{name}`: {field.description}" for name, field in Secrets.model_fields.items()]
    return "\n".join([_HEAD, *settings, _ROLES_HEAD, _SECRETS_HEAD, *secrets, ""])


def starter() -> str:
    """A settings file with every setting as a comment: help, what is needed, default."""
    blocks = [f"# {row.help}\n# ({row.needed})\n# {row.name}: {row.default}\n" for row in rows()]
    return "---\n# Settings of all hosts. Take the # away to change one.\n\n" + "\n".join(blocks)


if __name__ == "__main__":
    sys.stdout.write(markdown())
