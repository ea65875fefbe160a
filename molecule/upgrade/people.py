"""People of an Open-WebUI and their chats, through the proxy and by its API, as a browser uses it.

people.py INVENTORY HOST   somebody gets an account, and has a chat there
"""

import ssl
import sys
from pathlib import Path
from typing import Any

import httpx

from inhouse.inventory import load

EMAIL, PASSWORD = "someone@example.internal", "Passw0rd-of-someone"
ANSWER = "Forty-two."
_MESSAGE: dict[str, Any] = {
    "id": "1",
    "parentId": None,
    "childrenIds": [],
    "role": "assistant",
    "content": ANSWER,
    "timestamp": 0,
}
_CHAT: dict[str, Any] = {
    "title": "Before",
    "messages": [_MESSAGE],
    "history": {"messages": {"1": _MESSAGE}, "currentId": "1"},
}


class OpenWebUI:
    """The Open-WebUI of one host.

    Args:
        folder: the inventory.
        name: of the host.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._inventory = load(folder).limited_to((name,))
        (self._host,) = self._inventory.hosts
        trust = ssl.create_default_context(cafile=str(self._inventory.ca_certificate))
        url = f"https://{self._host.connection.address}/api/v1"
        self._http = httpx.Client(base_url=url, verify=trust, timeout=60)

    def add_person(self) -> None:
        """Have the administrator make an account, and its owner a chat."""
        assert self._inventory.secrets is not None
        password = self._inventory.secrets.open_webui_admin_password.get_secret_value()
        admin = self._sign_in(self._host.settings.open_webui_admin_email, password)
        account = {"name": "Someone", "email": EMAIL, "password": PASSWORD, "role": "user"}
        self._ask("POST", "auths/add", admin, account)
        self._ask("POST", "chats/new", self._sign_in(EMAIL, PASSWORD), {"chat": _CHAT})

    def answers(self) -> list[str]:
        """All that was answered to that person, in all chats."""
        token = self._sign_in(EMAIL, PASSWORD)
        chats = [self._ask("GET", f"chats/{chat['id']}", token) for chat in self._ask("GET", "chats/", token)]
        return [message["content"] for chat in chats for message in chat["chat"]["messages"]]

    def _sign_in(self, email: str, password: str) -> str:
        token: str = self._ask("POST", "auths/signin", "", {"email": email, "password": password})["token"]
        return token

    def _ask(self, method: str, path: str, token: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._http.request(method, path, headers=headers, json=body).raise_for_status().json()


if __name__ == "__main__":
    OpenWebUI(Path(sys.argv[1]), sys.argv[2]).add_person()
