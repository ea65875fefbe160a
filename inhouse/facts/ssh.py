"""The system's own SSH client: the command that reaches a host, and its failures in words a person can act on.

Host keys are checked as the user's configuration, or the inventory's `-F` file, says; nothing here turns that off.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from inhouse.inventory import Connection

CONNECT_TIMEOUT_S = 10

FAILED = 255
"""ssh's exit status when ssh itself failed; any other is the remote command's."""


def command(connection: Connection, remote: Sequence[str]) -> list[str]:
    """Return the arguments that run a command on a host. Asks nothing: what would be asked for is an error."""
    options = [
        *("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}"),
        # A host that dies in the middle is given up after 15 s, not when TCP does.
        *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),
    ]
    # The login shell may be any; quoted words mean the same to all of them.
    return ["ssh", *options, *_target(connection), "--", shlex.join(remote)]


def login(connection: Connection, *options: str) -> str:
    """Return the command with which a person logs in to the host by hand."""
    return shlex.join(["ssh", *options, *_target(connection)])


def _target(connection: Connection) -> list[str]:
    target: list[str] = []
    if connection.ssh_config_file:
        target += ["-F", connection.ssh_config_file]
    if connection.private_key_file:
        # Only this key: an agent full of others makes the server hang up before it is tried.
        target += ["-o", "IdentitiesOnly=yes", "-i", connection.private_key_file]
    if connection.port != 22:
        target += ["-p", str(connection.port)]
    return [*target, f"{connection.user}@{connection.address}" if connection.user else connection.address]


@dataclass(frozen=True)
class _Failure:
    """A text that ssh, sudo or a shell writes to standard error, and what to tell about it."""

    pattern: str
    message: str


# In the order in which they are looked for: a text that comes with others stands before them.
_FAILURES = (
    _Failure(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {address} has changed. Somebody may be listening in, or the host was installed anew. Compare "
        "its fingerprint on its console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); only if it is the same, "
        "run: {forget} and then: {ask}",
    ),
    _Failure(
        r"Host key verification failed|host key is known for",
        "the host key of {address} is not known here yet. Run: {ask} and compare the fingerprint it shows with "
        "the host's own (on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) before you say yes.",
    ),
    _Failure(
        r"Could not resolve hostname",
        "the name {address} does not resolve. Set ansible_host to the host's address, or mend the name in DNS or "
        "/etc/hosts. Run: getent hosts {address}",
    ),
    _Failure(
        r"Connection refused",
        "{address} answers, but nothing listens on port {port}. Start its SSH server (on its console: systemctl start "
        "ssh), or set ansible_port to the port it has.",
    ),
    _Failure(
        r"[Tt]imed out|not responding",
        f"no answer from {{address}}, port {{port}}, within {CONNECT_TIMEOUT_S} s. Is it switched on, and does a "
        "firewall stand between? Run: ping -c 3 {address}",
    ),
    _Failure(
        r"No route to host|[Nn]etwork is unreachable",
        "there is no way from here to {address}. Look at the network of both, or at ansible_host. "
        "Run: ping -c 3 {address}",
    ),
    _Failure(
        r"Identity file (?P<file>.+) not accessible",
        "the key file {file} cannot be read. Set ansible_ssh_private_key_file to one that exists.",
    ),
    _Failure(
        r"UNPROTECTED PRIVATE KEY FILE",
        "others may read the key file {key}, so ssh refuses it. Run: chmod 600 {key}",
    ),
    _Failure(
        r"Permission denied \((?P<methods>[^)]*)\)|Too many authentication failures",
        "login as {user} refused: the host does not accept {key}. Put its public half into the host's "
        "~{user}/.ssh/authorized_keys ({copy}), or set ansible_user and "
        "ansible_ssh_private_key_file. A key with a passphrase must be in the agent: ssh-add.",
    ),
    _Failure(
        r"(?P<said>Unable to negotiate with .*)",
        "the host's SSH server and the client here have no method in common: {said}. Upgrade the older one.",
    ),
    _Failure(
        r"kex_exchange_identification|Connection (?:closed|reset) by",
        "{address}, port {port}, closed the connection before the login. Its SSH server may be overloaded or "
        "refuse this address. On its console: journalctl -u ssh -n 20",
    ),
    _Failure(
        r"[Bb]ad configuration option|[Cc]an't open user config file .*|terminating, \d+ bad configuration",
        "ssh does not accept its configuration file. Run: {login} and look at its first line.",
    ),
    _Failure(
        r"(?:incorrect (?:password|authentication) attempt|[Aa]uthentication failed, try again|Sorry, try again)",
        "sudo refused the password of {user}. Set the right ansible_become_password in the inventory's vault.",
    ),
    _Failure(
        r"is not in the sudoers file|is not allowed to (?:execute|run)|may not run sudo",
        "{user} may not use sudo on the host. Run there, as root: usermod -aG sudo {user}",
    ),
    _Failure(
        r"must have a tty",
        "sudo on the host wants a terminal. Take `Defaults requiretty` out of its sudoers. Run there: visudo",
    ),
    _Failure(
        r"sudo: (?:command )?not found",
        "sudo is not installed on the host. Run there, as root: apt-get install sudo. Or log in as root: "
        "ansible_user: root, ansible_become: false",
    ),
    _Failure(
        r"a password is required|authentication is required|no password was provided|terminal is required",
        "sudo needs a password of {user}. Set ansible_become_password in the inventory's vault, or allow sudo without "
        "a password (run there, as root: echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}).",
    ),
    _Failure(
        r"\bsh: (?:command )?not found|No such file or directory: '?sh\b|not found: sh\b",
        "the host has no `sh`. inhouse needs a Linux with a POSIX shell.",
    ),
)


def explain(connection: Connection, stderr: str) -> str | None:
    """Return found, needed and what to run for a failure that ssh, sudo or a shell told of; None: no known one."""
    for failure in _FAILURES:
        match = re.search(failure.pattern, stderr)
        if match:
            return failure.message.format(**_words(connection, stderr), **match.groupdict())
    return None


def _words(connection: Connection, stderr: str) -> dict[str, str]:
    user = connection.user or "the login user"
    key = connection.private_key_file
    bare = connection.address if connection.port == 22 else f"[{connection.address}]:{connection.port}"
    known_hosts = re.search(r"Offending .*key in (.+):\d+", stderr)
    forget = ["ssh-keygen", *(["-f", known_hosts[1]] if known_hosts else []), "-R", bare]
    copy = (
        ["ssh-copy-id", *_target(connection)]
        if not key
        else ["ssh-copy-id", "-f", "-i", key, *_login_words(connection)]
    )
    return {
        "address": connection.address,
        "port": str(connection.port),
        "user": user,
        "key": key or "any key of yours",
        "login": login(connection),
        # Asks even where the configuration says "yes", which refuses unknown hosts without a question.
        "ask": login(connection, "-o", "StrictHostKeyChecking=ask"),
        "forget": shlex.join(forget),
        "copy": f"run: {shlex.join(copy)}",
    }


def _login_words(connection: Connection) -> list[str]:
    port = [] if connection.port == 22 else ["-p", str(connection.port)]
    return [*port, f"{connection.user}@{connection.address}" if connection.user else connection.address]
