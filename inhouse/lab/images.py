"""Base images of lab hosts: Debian's own packages, imported as local images, nothing pulled where that can be avoided.

An image's tag is a hash of its definition, so a changed definition makes a new image and an unchanged one is free.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import docker
from docker.errors import BuildError, ImageNotFound

from inhouse.errors import LabError
from inhouse.lab.archive import File, tar
from inhouse.lab.controller import have_mmdebstrap
from inhouse.lab.paths import cache_dir, one_at_a_time

REPOSITORY = "inhouse-lab"
DEBIAN_RELEASES = {"bookworm": "12", "trixie": "13"}
"""Suites a lab host can run, and the tag of the engine's public image they correspond to."""

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "python3-apt", "iproute2", "ca-certificates"),
    *("sudo", "curl", "procps", "zstd", "pciutils"),
)
READY = ("caddy", "python3-venv", "nftables")
"""Packages whose files lie in apt's cache, not installed: a warm start of the demo, as a second install would have."""

MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
IMAGE_MIB = 1500
"""What one image needs while it is made: the root file system, its archive and the import (measured: about 1.2 GiB)."""


def ensure_image(
    client: docker.DockerClient, suite: str, packages: Sequence[str], on_step: Callable[[str], None]
) -> str:
    """Name of the local image for `suite`, made first where it is missing or its definition changed.

    Args:
        client: of the engine that gets the image.
        suite: bookworm or trixie.
        packages: Debian packages beyond the base system; none: the base image.
        on_step: told when something is made that takes time.

    Raises:
        LabError: no space, or no package could be fetched.
    """
    image = image_name(suite, packages)
    with one_at_a_time(f"image-{suite}"):
        if not _exists(client, image):
            on_step(f"image {image}: being made from Debian's packages (once; a minute or two)")
            require_space(cache_dir(), IMAGE_MIB)
            if not packages:
                (_bootstrap if have_mmdebstrap() else _build_on_pulled)(client, suite, image)
    if packages and not _exists(client, image):
        base = ensure_image(client, suite, (), on_step)
        _build(client, image, f"FROM {base}\n{_install(packages)}", f"install {' '.join(packages)}")
    _remove_older(client, keep=image)
    return image


def image_name(suite: str, packages: Sequence[str] = ()) -> str:
    """`inhouse-lab:SUITE-KIND-HASH`; the hash changes with anything the image is made of."""
    parts = (suite, " ".join(PACKAGES), " ".join(READY), _setup_script().decode(), *packages)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return f"{REPOSITORY}:{suite}-{'-'.join(packages) or 'base'}-{digest}"


def _setup_script() -> bytes:
    return resources.files("inhouse.lab").joinpath("image/setup.sh").read_bytes()


def _exists(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(image)
    except ImageNotFound:
        return False
    return True


def _bootstrap(client: docker.DockerClient, suite: str, image: str) -> None:
    """mmdebstrap into an archive, the archive into the engine."""
    with tempfile.TemporaryDirectory(prefix="image-", dir=cache_dir()) as scratch:
        script, archive = Path(scratch) / "setup.sh", Path(scratch) / "root.tar"
        script.write_bytes(_setup_script())
        _run_mmdebstrap(suite, script, archive)
        repository, tag = image.split(":")
        client.api.import_image(str(archive), repository=repository, tag=tag, changes=['CMD ["/sbin/init"]'])
    if not _exists(client, image):
        raise LabError(f"image {image}: the engine did not take it. Look into the engine's log, then repeat.")


def _run_mmdebstrap(suite: str, script: Path, archive: Path) -> None:
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--quiet",
        f"--include={','.join(PACKAGES)}",
        # The lists stay: a real server has them too, and hosts then fetch only what changed since.
        "--skip=cleanup/apt",
        f"--customize-hook=upload '{script}' /setup.sh",
        f'--customize-hook=chroot "$1" sh /setup.sh {suite} "{" ".join(READY)}"',
        '--customize-hook=rm "$1/setup.sh"',
        suite,
        str(archive),
        f"deb {MIRROR} {suite} main",
        f"deb {MIRROR} {suite}-updates main",
        f"deb {SECURITY} {suite}-security main",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise LabError(
            f"mmdebstrap could not make a root file system of Debian {suite} (exit {done.returncode}); "
            f"{MIRROR} must be reachable from here. It said:\n{last}"
        )


def _build_on_pulled(client: docker.DockerClient, suite: str, image: str) -> None:
    """The same list on top of the engine's public Debian image, where mmdebstrap cannot be had."""
    base = f"debian:{DEBIAN_RELEASES[suite]}"
    recipe = (
        f"FROM {base}\n"
        "COPY setup.sh /setup.sh\n"
        f"{_install(PACKAGES)}"
        f'RUN sh /setup.sh {suite} "{" ".join(READY)}" && rm /setup.sh\n'
        'CMD ["/sbin/init"]\n'
    )
    _build(client, image, recipe, f"build on {base} (with mmdebstrap, `sudo apt-get install mmdebstrap`, it need not)")


def _install(packages: Sequence[str]) -> str:
    options = "-qq -o Dpkg::Use-Pty=0 --no-install-recommends"
    return (
        "RUN export DEBIAN_FRONTEND=noninteractive && apt-get -qq update"
        f" && apt-get install {options} {' '.join(packages)}\n"
    )


def _build(client: docker.DockerClient, image: str, recipe: str, what: str) -> None:
    context = tar({"Dockerfile": File(recipe.encode()), "setup.sh": File(_setup_script())})
    try:
        client.images.build(fileobj=context, custom_context=True, tag=image, rm=True, forcerm=True)
    except BuildError as error:
        last = "\n".join(str(line.get("stream", "")).strip() for line in [*error.build_log][-6:])
        raise LabError(f"image {image}: the engine could not {what}: {error.msg}\n{last}") from error


def _remove_older(client: docker.DockerClient, keep: str) -> None:
    """Images of an earlier definition, unless a host still runs from one."""
    in_use = {container.attrs["Image"] for container in client.containers.list(all=True, ignore_removed=True)}
    kind = keep.rpartition("-")[0]
    for image in client.images.list(name=REPOSITORY):
        for tag in image.tags:
            if tag.rpartition("-")[0] == kind and tag != keep and image.id not in in_use:
                client.images.remove(tag, noprune=True)


def require_space(folder: Path, mib: int) -> None:
    """Raises LabError where the file system of `folder` has less than `mib` MiB free.

    An engine in a virtual machine of its own has a disk that cannot be seen from here: then nothing is asked.
    """
    if not folder.exists():
        return
    free = shutil.disk_usage(folder).free // 2**20
    if free < mib:
        raise LabError(f"{folder}: {free} MiB free, {mib} MiB needed. Free some space, then repeat.")
