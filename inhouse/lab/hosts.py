"""One lab host: a container that boots systemd and looks like the machine of its profile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import docker
import stamina
from docker.errors import APIError
from docker.models.containers import Container

from inhouse.errors import LabError
from inhouse.lab import boot
from inhouse.lab.archive import File, tar
from inhouse.lab.engine import DRIVER_MANIFEST, SOFTWARE_DRIVER
from inhouse.lab.hardware import (
    BUNDLED_DRIVER,
    SHADER_CACHE,
    driver_files,
    shared_machine_files,
    software_gpu_files,
    software_manifest,
    write_mounts,
)
from inhouse.lab.network import Endpoint
from inhouse.lab.paths import (
    ADDRESS_LABEL,
    FOLDER_LABEL,
    HOST_FOLDER,
    HOST_LABEL,
    LAB_LABEL,
    PROFILE_LABEL,
    ROLE_LABEL,
    object_name,
    private_dir,
)
from inhouse.lab.profiles import Profile
from inhouse.lab.ssh import KeyPair

ADMIN_UID = 1000
"""The first user the image's setup makes."""
BOOT_TIMEOUT_S = 120.0
"""Seen: 2 s on an idle machine; a busy one with two cores took 40 s for three hosts."""


@dataclass(frozen=True)
class HostSpec:
    """All that one host is made of."""

    lab: str
    name: str
    profile_name: str
    profile: Profile
    image: str
    endpoint: Endpoint
    host_key: KeyPair
    login_key: bytes
    """Public key that may log in."""
    names: Mapping[str, str]
    """Further names the host knows (by /etc/hosts) → address."""
    files: Mapping[str, File]
    """What every host of the lab gets: certificates to trust, settings of pip."""
    software_driver: Path | None = None
    """Folder with the software Vulkan driver of the lab's own engine, where the profile wants it."""


def create(client: docker.DockerClient, spec: HostSpec, folder: Path, cache: Path) -> Container:
    """Makes the container, not started yet; `folder` (the inventory) holds what is mounted over the hardware."""
    mounts = write_mounts(spec.profile, private_dir(folder) / "hosts" / spec.name)
    volume = object_name(spec.lab, f"{spec.name}-docker")
    labels = {LAB_LABEL: spec.lab, HOST_LABEL: spec.name}
    client.volumes.create(volume, labels=labels)
    container = client.containers.create(
        spec.image,
        "/sbin/init",
        name=object_name(spec.lab, spec.name),
        hostname=spec.name,
        network=object_name(spec.lab),
        ports=spec.endpoint.published,
        extra_hosts=dict(spec.names),
        # Not --privileged, which some machines refuse; with these systemd boots and a Docker Engine runs inside.
        cap_add=["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="host",
        volumes=[
            "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            # A volume, because an overlay on an overlay is refused.
            f"{volume}:/var/lib/docker",
            # What pip and uv fetched once need not be fetched again by the next host.
            f"{_kept(cache, 'packages')}:/root/.cache:rw",
            *(f"{mount.source}:{mount.target}:ro" for mount in mounts),
            *_software_gpu_volumes(spec, folder, cache),
        ],
        tmpfs={"/run": "exec,mode=755", "/run/lock": "", "/tmp": "exec,mode=1777"},
        stop_signal="SIGRTMIN+3",
        labels=labels
        | {
            ROLE_LABEL: "host",
            FOLDER_LABEL: str(folder),
            PROFILE_LABEL: spec.profile_name,
            ADDRESS_LABEL: spec.endpoint.address,
        },
    )
    container.put_archive("/", tar(_files(spec)))
    return container


def start(container: Container) -> None:
    """Boots the host, and returns when systemd says that it runs.

    Raises:
        LabError: the engine cannot start it, or a unit failed; names it.
    """
    try:
        container.start()
    except APIError as error:
        raise LabError(f"{container.name}: the engine cannot start it: {error.explanation}") from error
    _wait_until_running(container)
    run(container, "update-ca-certificates")


def run(container: Container, command: str) -> str:
    """Runs a shell command as root in the host and gives its output.

    Raises:
        LabError: it ended with another status than 0.
    """
    status, output = _execute(container, ["sh", "-c", command])
    if status != 0:
        raise LabError(f"{container.name}: `{command}` ended with {status}:\n{output.strip()}")
    return output


def _execute(container: Container, command: list[str]) -> tuple[int, str]:
    done = container.exec_run(command)
    output = done.output if isinstance(done.output, bytes) else b"".join(done.output)
    return done.exit_code or 0, output.decode(errors="replace")


class _BootingError(LabError):
    """The host is still booting."""


def _wait_until_running(container: Container) -> None:
    for attempt in stamina.retry_context(
        on=_BootingError, timeout=BOOT_TIMEOUT_S, attempts=None, wait_initial=0.2, wait_max=1.0, wait_jitter=0.1
    ):
        with attempt:
            state = _execute(container, ["systemctl", "is-system-running"])[1].strip()
            if state == "degraded":
                failed = run(container, "systemctl --failed --no-legend --plain")
                raise LabError(f"{container.name}: booted, but units failed:\n{failed}")
            if state != "running":
                container.reload()
                raise _BootingError(f"{container.name}: {container.status}, systemd says {state or 'nothing'}")


def _files(spec: HostSpec) -> dict[str, File]:
    files = {
        "/etc/ssh/ssh_host_ed25519_key": File(spec.host_key.private, 0o600),
        "/etc/ssh/ssh_host_ed25519_key.pub": File(spec.host_key.public + b"\n"),
        "/home/admin/.ssh/authorized_keys": File(spec.login_key + b"\n", 0o600, ADMIN_UID),
        f"{HOST_FOLDER}/profile": File(f"{spec.profile_name}\n".encode()),
    } | dict(spec.files)
    files |= {path: File(content) for path, content in shared_machine_files().items()}
    if spec.profile.software_gpu:
        bundled = spec.software_driver is not None
        files |= {path: File(content) for path, content in software_gpu_files(bundled).items()}
    if spec.profile.nvidia:
        stand_in = resources.files("inhouse.lab").joinpath("nvidia_smi.py").read_bytes()
        for path, content in driver_files(spec.profile.nvidia, stand_in).items():
            files[path] = File(content, 0o755 if path.startswith("/usr/bin/") else 0o644)
    if spec.profile.undriven:
        gpus = {"gpus": [gpu.model_dump() for gpu in spec.profile.undriven]}
        files[f"{HOST_FOLDER}/nvidia.json"] = File(json.dumps(gpus, indent=1).encode())
    if spec.profile.machine:
        for path, content in boot.machine_files().items():
            files[path] = File(content, 0o755 if path.endswith(".sh") else 0o644)
    if script := boot.script(spec.profile):
        files[f"{HOST_FOLDER}/hardware.sh"] = File(script.encode())
    return files


def _software_gpu_volumes(spec: HostSpec, folder: Path, cache: Path) -> list[str]:
    if not spec.profile.software_gpu:
        return []
    volumes = [f"{_kept(cache, 'shaders')}:{SHADER_CACHE}:rw"]
    if spec.software_driver:
        manifest = private_dir(folder) / "hosts" / spec.name / DRIVER_MANIFEST
        manifest.write_bytes(software_manifest(f"{BUNDLED_DRIVER}/{SOFTWARE_DRIVER}"))
        # The folder's own manifest names the driver where it lies on this machine.
        volumes += [
            f"{spec.software_driver}:{BUNDLED_DRIVER}:ro",
            f"{manifest}:{BUNDLED_DRIVER}/{DRIVER_MANIFEST}:ro",
        ]
    return volumes


def _kept(cache: Path, name: str) -> Path:
    """A folder that outlives the lab."""
    folder = cache / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
