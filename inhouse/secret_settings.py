"""The settings that are secrets: the same for all hosts of an inventory, made by `inhouse init`."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from inhouse.errors import InventoryError


class Secrets(BaseModel):
    """What `inhouse init` makes and Ansible Vault keeps. Never in a plan, a log or a process list."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    open_webui_admin_password: SecretStr = Field(description="Password of the first administrator (8 to 72 bytes).")
    open_webui_secret_key: SecretStr = Field(description="Key that signs sessions; must never change.")
    api_token: SecretStr = Field(description="Bearer token of programs that use /v1 and /api.")
    fleet_ca_key: SecretStr = Field(description="Private key (PEM) of the fleet CA, followed by its root certificate.")

    @field_validator("open_webui_admin_password")
    @classmethod
    def _password_fits_bcrypt(cls, value: SecretStr) -> SecretStr:
        # Open-WebUI stores it with bcrypt. Beyond 72 bytes it makes no administrator, starts all the same, and the
        # first stranger who signs up becomes one.
        size = len(value.get_secret_value().encode())
        if not 8 <= size <= 72:
            raise ValueError(f"it has {size} bytes; 8 to 72 are needed (Open-WebUI's bcrypt takes no more)")
        return _one_line(value)

    @field_validator("open_webui_secret_key", "api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text) < 16 or not text.isascii() or any(c.isspace() or c in "\"'\\" for c in text):
            raise ValueError("at least 16 ASCII characters without blanks, quotes and backslashes are needed")
        return value

    @field_validator("fleet_ca_key")
    @classmethod
    def _is_key(cls, value: SecretStr) -> SecretStr:
        from inhouse import tls  # with cryptography, which takes a while; most commands that need settings need no key

        try:
            tls.check_key(value.get_secret_value())
        except InventoryError as error:
            raise ValueError(str(error)) from error
        return value


def _one_line(value: SecretStr) -> SecretStr:
    if any(ord(c) < 32 or ord(c) == 127 for c in value.get_secret_value()):
        raise ValueError("it holds a line break or another control character")
    return value
