"""A release of Ollama in the project's own layout: real engine, and a stand-in for the Go half as `bin/ollama`.

    vVERSION/ollama-linux-amd64.tar.zst     bin/ollama · lib/ollama/… · lib/llama/…
    vVERSION/sha256sum.txt                  names carry a `./`, as in the published file

Built twice it is the same to the byte, so its SHA-256 can be pinned like a real one's.
"""

import hashlib
import io
import stat
import tarfile
from pathlib import Path

import zstandard

from inhouse.lab import cached, engine
from inhouse.lab.programs import standin_program

ARCHIVE = "ollama-linux-amd64.tar.zst"
CHECKSUMS = "sha256sum.txt"
COMPRESSION_LEVEL = 3
"""Published archives are at 19: twenty times slower to make, a third smaller."""

STANDS_IN = "Stand-in of inhouse's lab: the published archive has NVIDIA's CUDA libraries here.\n"
CUDA_FOLDERS = ("cuda_v12", "cuda_v13")
CUDA_FILES = ("libcublas.so.stand-in", "libcudart.so.stand-in", "libggml-cuda.so.stand-in")
"""Not named `libggml-*.so`, or the engine would try to load them."""


def build(cache: Path, version: str) -> Path:
    """Folder that holds `vVERSION/` with the archive and its checksums; made once and kept in `cache`.

    Raises:
        LabError: the engine's packages cannot be fetched.
    """
    program = standin_program(version)
    engine_folder = engine.build(cache)
    definition = cached.key(
        (version, engine_folder.name, hashlib.sha256(program).hexdigest(), STANDS_IN, str(COMPRESSION_LEVEL))
    )
    return cached.built(
        cache, f"release-{version}", definition, lambda target: _make(target / f"v{version}", engine_folder, program)
    )


def archive_sha256(release: Path, version: str) -> str:
    """SHA-256 of the archive, as its checksum file says."""
    lines = (release / f"v{version}" / CHECKSUMS).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.endswith(f"  ./{ARCHIVE}"))


def _make(target: Path, engine_folder: Path, program: bytes) -> None:
    target.mkdir()
    archive = target / ARCHIVE
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
    with (
        archive.open("wb") as raw,
        compressor.stream_writer(raw) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        _add(tar, "bin/ollama", program, executable=True)
        for folder in CUDA_FOLDERS:
            for name in CUDA_FILES:
                _add(tar, f"lib/ollama/{folder}/{name}", STANDS_IN.encode())
        for file in sorted(path for path in engine_folder.rglob("*") if path.is_file()):
            executable = bool(file.stat().st_mode & stat.S_IXUSR)
            _add(tar, str(file.relative_to(engine_folder)), file.read_bytes(), executable)
    with archive.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    (target / CHECKSUMS).write_text(f"{digest}  ./{ARCHIVE}\n")


def _add(tar: tarfile.TarFile, name: str, content: bytes, executable: bool = False) -> None:
    """A file of root's with a constant date: the archive does not depend on who made it, or when."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o755 if executable else 0o644
    tar.addfile(member, io.BytesIO(content))
