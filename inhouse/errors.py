"""Every error a person can meet, as one small tree.

InhouseError
├── SettingsError      a setting is unknown, of the wrong type, or contradicts another
├── InventoryError     the inventory cannot be read, or its hosts cannot be told apart
├── HostError          one host: names it, and never stops the others
│   ├── UnreachableError   no connection, wrong key, sudo refused
│   ├── FactsError         the host answered, but not what the probe prints
│   └── PreflightError     the host cannot take the plan: nothing was changed on it
├── PlanError          nothing sensible can be planned from what was asked
├── DeployError        a child process (pyinfra, ansible-playbook) failed as a whole
├── VerifyError        the smoke tests could not be run (not: a test failed)
└── LabError           the lab cannot be made on this machine

A message says what was found, what is needed, and the command to run.
"""


class InhouseError(Exception):
    """Base of all errors shown to a person as one clear paragraph."""


class SettingsError(InhouseError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class InventoryError(InhouseError):
    """The inventory cannot be read, or two of its hosts are one machine."""


class HostError(InhouseError):
    """One host has a problem; the others go on.

    Args:
        host: the inventory's name of the host.
        message: found, needed, command to run; without the host's name.
    """

    def __init__(self, host: str, message: str) -> None:
        super().__init__(f"{host}: {message}")
        self.host = host
        self.message = message


class UnreachableError(HostError):
    """No connection, host key or login refused, or sudo wants a password that is not known."""


class FactsError(HostError):
    """The host answered, but not with what the probe prints."""


class PreflightError(HostError):
    """The host cannot take the plan; nothing was changed on it."""


class PlanError(InhouseError):
    """Nothing sensible can be planned from what was asked."""


class DeployError(InhouseError):
    """A child process failed as a whole, not on one host."""


class VerifyError(InhouseError):
    """The smoke tests could not be run. (A failing test is a result, not an error.)"""


class LabError(InhouseError):
    """The lab cannot be made on this machine."""
