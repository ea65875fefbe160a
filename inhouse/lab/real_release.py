"""A real release archive of Ollama, given by a person, served by the lab in place of the stand-in."""

import hashlib
import os
import re
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zstandard

from inhouse.errors import LabError
from inhouse.lab.release import ARCHIVE, CHECKSUMS

PROGRAM = "bin/ollama"
_VERSION = re.compile(r"\b(\d+\.\d+\.\d+\S*)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Served:
    """A release as the mirror serves it."""

    folder: Path
    """Holds `vVERSION/` with the archive and its checksums."""
    version: str
    sha256: str


def lay_out(archive: Path, folder: Path) -> Served:
    """Lays the archive into `folder` as the publisher has it, with a checksum file of its own.

    The version is what the program in the archive says of itself.

    Raises:
        LabError: not there, not a release archive, or its program does not run here.
    """
    if not archive.is_file():
        raise LabError(f"{archive} is not there; a release archive of Ollama ({ARCHIVE}) is needed.")
    version = _version_of(archive)
    target = folder / f"v{version}"
    target.mkdir(parents=True)
    _link(archive, target / ARCHIVE)
    with archive.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    (target / CHECKSUMS).write_text(f"{digest}  ./{ARCHIVE}\n")
    return Served(folder, version, digest)


def _link(archive: Path, target: Path) -> None:
    """Another name of the same file, or a copy where the file system is another."""
    try:
        os.link(archive.resolve(), target)
    except OSError:
        with archive.open("rb") as source, target.open("wb") as copy:
            while block := source.read(2**20):
                copy.write(block)


def _version_of(archive: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="inhouse-lab-") as scratch:
        program = Path(scratch) / "ollama"
        _extract(archive, program)
        program.chmod(0o755)
        try:
            done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(f"{archive}: its {PROGRAM} does not run on this machine: {error}") from error
    found = _VERSION.search(done.stdout + done.stderr)
    if found is None:
        raise LabError(f"{archive}: `{PROGRAM} --version` names no version; it said: {done.stdout}{done.stderr}")
    return found[1]


def _extract(archive: Path, program: Path) -> None:
    """Only the program, and no more of the archive is read than needed for it."""
    try:
        with (
            archive.open("rb") as packed,
            zstandard.ZstdDecompressor().stream_reader(packed) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                if member.name.removeprefix("./") == PROGRAM and (content := tar.extractfile(member)):
                    program.write_bytes(content.read())
                    return
    except (zstandard.ZstdError, tarfile.TarError) as error:
        raise LabError(f"{archive} is no release archive of Ollama (a tar.zst): {error}") from error
    raise LabError(f"{archive} is no release archive of Ollama: it has no {PROGRAM}.")
