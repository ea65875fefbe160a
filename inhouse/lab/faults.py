"""Telling a lab's stand-ins to misbehave: the server on one host, or the registry they all pull from."""

import json

from inhouse.errors import LabError
from inhouse.lab import controller, mirror_host
from inhouse.lab.archive import File, tar
from inhouse.lab.lab import container_of, mirror_of
from inhouse.lab.paths import HOST_FOLDER, RELEASE_LABEL

NONE = "none"
HOST_FAULTS = (NONE, "cpu-fallback", "slow", "hang", "queue-full", "dying-child")
"""What the stand-in for Ollama's server can do wrong."""
REGISTRY_FAULTS = (NONE, "cut", "corrupt", "503")
"""What the registry and the release mirror can do wrong."""
REGISTRY = "registry"
OLLAMA_FAULT_FILE = f"{HOST_FOLDER}/ollama.json"
"""Read by the stand-in at every request."""


def set_fault(lab: str, host: str, fault: str) -> None:
    """Makes a host's Ollama, or the `registry`, do something wrong from now on.

    Args:
        lab: name of a lab that is up.
        host: a host's name, or `registry`.
        fault: one of HOST_FAULTS or REGISTRY_FAULTS; `none` ends it.

    Raises:
        LabError: no such lab, host or fault, or the lab serves a real Ollama, which cannot be told.
    """
    known = REGISTRY_FAULTS if host == REGISTRY else HOST_FAULTS
    if fault not in known:
        raise LabError(f"{fault!r} is no fault of {host}. There are: {', '.join(known)}.")
    client = controller.client()
    mirror = mirror_of(client, lab)
    if host == REGISTRY:
        target, path = mirror, mirror_host.FAULT_FILE
    elif mirror.labels.get(RELEASE_LABEL):
        raise LabError(f"lab {lab!r} serves a real Ollama, which cannot be told to misbehave.")
    else:
        target, path = container_of(client, lab, host), OLLAMA_FAULT_FILE
    target.put_archive("/", tar({path: File(json.dumps({"fault": fault}).encode())}))
