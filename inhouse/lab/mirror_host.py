"""The mirror of a lab: a container that its hosts take for Ollama's registry and for a release mirror."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import docker
import stamina
from docker.models.containers import Container

from inhouse import tls
from inhouse.catalogue.models import models
from inhouse.catalogue.releases import releases
from inhouse.errors import LabError
from inhouse.lab import release as stand_in
from inhouse.lab import weights
from inhouse.lab.archive import File, tar
from inhouse.lab.paths import FOLDER_LABEL, HOST_FOLDER, LAB_LABEL, RELEASE_LABEL, ROLE_LABEL, object_name, private_dir
from inhouse.lab.real_release import Served, lay_out

REGISTRIES = ("registry.ollama.ai", "ollama.com")
"""Names that lab hosts resolve to the mirror: what Ollama pulls plain model names from."""
BLOBS = "blobs.inhouse-lab.internal"
"""Downloads are redirected to another name, because Ollama refuses a registry that serves them itself."""
RELEASES = "releases.inhouse-lab.internal"
NAMES = (*REGISTRIES, BLOBS, RELEASES)
CONFIG = f"{HOST_FOLDER}/mirror-config.json"
FAULT_FILE = f"{HOST_FOLDER}/mirror.json"
"""Read at every download."""
PROGRAM_FOLDER = "/opt/inhouse-lab"
READY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Authority:
    """The lab's CA certificate, which its hosts trust, and the mirror's own. The CA's key is thrown away."""

    ca_pem: str
    leaf: tls.Leaf


def new_authority(lab: str) -> Authority:
    """A CA for one lab, and what it signs."""
    ca_pem, ca_key = tls.make_ca(f"inhouse lab {lab}")
    return Authority(ca_pem, tls.issue(ca_pem, ca_key, NAMES, datetime.now(UTC)))


def served_release(archive: Path | None, folder: Path, cache: Path) -> Served:
    """The stand-in's release, or the archive that a person gave.

    Args:
        archive: a real release archive, or None.
        folder: the lab's inventory.
        cache: where the stand-in's release is kept once built.

    Raises:
        LabError: the archive is none, or what the stand-in is built from cannot be fetched.
    """
    if archive is not None:
        return lay_out(archive, private_dir(folder) / "releases")
    version = releases().ollama.default
    built = stand_in.build(cache, version)
    return Served(built, version, stand_in.archive_sha256(built, version))


def start(
    client: docker.DockerClient,
    lab: str,
    image: str,
    served: Served,
    authority: Authority,
    labels: Mapping[str, str],
    cache: Path,
) -> str:
    """Starts the mirror, and returns its address on the lab's network once it serves.

    Raises:
        LabError: the models cannot be fetched, or the mirror ends at once.
    """
    container = client.containers.create(
        image,
        # Not a unit: the mirror is no host, and nothing in it needs systemd.
        ["python3", "-c", "from mirror.main import main; main()", CONFIG],
        name=object_name(lab, "mirror"),
        network=object_name(lab),
        working_dir=PROGRAM_FOLDER,
        volumes=[f"{served.folder}:/srv/releases:ro", f"{weights.build(cache).folder}:/srv/weights:ro"],
        labels={LAB_LABEL: lab, ROLE_LABEL: "mirror", **labels},
    )
    container.put_archive("/", tar(_files(authority.leaf)))
    container.start()
    _wait_until_ready(container)
    container.reload()
    address: str = container.attrs["NetworkSettings"]["Networks"][object_name(lab)]["IPAddress"]
    return address


def labels(folder: Path, archive: Path | None) -> dict[str, str]:
    """What `down`, a second `up` and `set_fault` must know of the mirror."""
    return {FOLDER_LABEL: str(folder), RELEASE_LABEL: str(archive or "")}


def settings(served: Served) -> dict[str, str]:
    """Settings of an inventory whose hosts use the mirror."""
    return {
        "ollama_version": served.version,
        "ollama_mirror": f"https://{RELEASES}",
        "ollama_archive_sha256": served.sha256,
    }


def _files(leaf: tls.Leaf) -> dict[str, File]:
    certificate, key = f"{HOST_FOLDER}/cert.pem", f"{HOST_FOLDER}/key.pem"
    config = {
        "listen": [{"address": "0.0.0.0", "port": 443, "certificate": certificate, "key": key}],
        "weights": "/srv/weights",
        "models": {model.tag: _kind(model.purposes) for model in models()},
        "releases": "/srv/releases",
        "blob_host": BLOBS,
        "fault_file": FAULT_FILE,
    }
    program = resources.files("inhouse.lab").joinpath("mirror")
    modules = {
        f"{PROGRAM_FOLDER}/mirror/{module.name}": File(module.read_bytes())
        for module in program.iterdir()
        if module.name.endswith(".py")
    }
    return modules | {
        CONFIG: File(json.dumps(config, indent=1).encode()),
        certificate: File(leaf.certificate_pem.encode()),
        key: File(leaf.key_pem.encode(), 0o600),
    }


def _kind(purposes: tuple[str, ...]) -> str:
    return "embedding" if "embedding" in purposes else "completion"


class _NotReadyError(LabError):
    """The mirror does not serve yet."""


def _wait_until_ready(container: Container) -> None:
    for attempt in stamina.retry_context(
        on=_NotReadyError, timeout=READY_TIMEOUT_S, attempts=None, wait_initial=0.2, wait_max=1.0, wait_jitter=0.1
    ):
        with attempt:
            said = container.logs().decode(errors="replace")
            container.reload()
            if container.status != "running":
                raise LabError(f"the lab's mirror ended at once; it said:\n{said.strip()}")
            if "ready" not in said:
                raise _NotReadyError(f"the lab's mirror does not serve yet; it said: {said.strip() or 'nothing'}")
