"""What a smoke test knows of the host it judges: its plan, how to reach it, whom to trust, and the keys to get in."""

import json
import shlex

from pydantic import BaseModel, ConfigDict, SecretStr

from inhouse.facts import ssh
from inhouse.inventory import Connection
from inhouse.planner.plan import Plan


class Subject(BaseModel):
    """One host under test. Holds secrets: it travels through a pipe, never through arguments or the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: Plan
    inventory: str
    """The inventory's folder, for commands that a person is told to run."""
    connection: Connection
    """Without its become_password, which stands below: a secret inside a nested record would be masked on the way."""
    become_password: SecretStr | None
    ca_certificate: str
    """PEM: the only certificate the tests trust."""
    fleet: str
    """Fingerprint that the host's fleet marker must hold."""
    api_token: SecretStr
    admin_password: SecretStr

    def revealed(self) -> str:
        """Return everything as JSON, secrets in the clear: for the pipe to the process that runs the tests."""
        record = self.model_dump(mode="json")
        record["api_token"] = self.api_token.get_secret_value()
        record["admin_password"] = self.admin_password.get_secret_value()
        record["become_password"] = self.become_password.get_secret_value() if self.become_password else None
        return json.dumps(record)

    def without_secrets(self, text: str) -> str:
        """Return `text` with every secret in it blacked out."""
        for secret in (self.api_token, self.admin_password, self.become_password):
            value = secret.get_secret_value() if secret else ""
            text = text.replace(value, "•••") if value else text
        return text

    @property
    def host_header(self) -> str:
        """Name and port as a browser would send them."""
        port = self.plan.https_port
        return self.plan.server_name if port == 443 else f"{self.plan.server_name}:{port}"

    @property
    def origin(self) -> str:
        """Origin a browser would send: Open-WebUI refuses websockets of any other."""
        return f"https://{self.host_header}"

    def here(self, command: str) -> str:
        """Return what a person types on the controller to run one of our commands for this host alone."""
        return shlex.join(["inhouse", command, self.inventory, "--limit", self.plan.host])

    def on_host(self, command: str) -> str:
        """Return what a person types on the controller to run `command` on the host as root."""
        as_root = f"sudo {command}" if self.connection.become else command
        return as_root if self.connection.kind == "local" else f"{ssh.login(self.connection)} {as_root}"
