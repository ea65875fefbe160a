#!/usr/bin/env python3
"""Builds stand-ins for NVIDIA's CUDA repositories and Ubuntu's archive, signed, in the layout of the real ones.

build.py FOLDER URL DKMS_DEB

FOLDER/debian12/x86_64/ and FOLDER/debian13/x86_64/ are what `developer.download.nvidia.com/compute/cuda/repos/` has
there, `cuda-keyring_1.1-1_all.deb` included; FOLDER-earlier/ is the same before newer versions were published;
FOLDER/ubuntu-archive/ has the drivers of Ubuntu's archive. URL is where FOLDER will be served, DKMS_DEB Debian's own
package of DKMS: NVIDIA's repository has a newer one, which its drivers ask for.

Needs Python's standard library, dpkg-deb and gpg, whose default key signs; see cuda.sh.
"""

import gzip
import hashlib
import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import contents
from relations import DRIVERS, Package, packages, ubuntu_archive, was_there_earlier

DKMS_VERSION = "3.1.8-1"
"""The oldest that the drivers accept; which one the real repository has is not known here."""
KEYRING = "/usr/share/keyrings/cuda-archive-keyring.gpg"


def tar(files: Iterable[tuple[str, bytes, int]], links: Mapping[str, str]) -> bytes:
    """An archive of root's files (path, bytes, mode) and links, xz-compressed, with the folders above them."""
    buffer = io.BytesIO()
    known: set[str] = set()

    def add(path: str, kind: bytes, mode: int, body: bytes = b"", target: str = "") -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(body), target
        archive.addfile(entry, io.BytesIO(body))

    def add_folders(path: str) -> None:
        for parent in [*reversed(Path(path).parents)][1:]:
            if str(parent) not in known:
                known.add(str(parent))
                add(f"./{parent}/", tarfile.DIRTYPE, 0o755)

    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, body, mode in files:
            add_folders(path.lstrip("/"))
            add(f"./{path.lstrip('/')}", tarfile.REGTYPE, mode, body)
        for path, target in links.items():
            add_folders(path.lstrip("/"))
            add(f"./{path.lstrip('/')}", tarfile.SYMTYPE, 0o777, target=target)
    return lzma.compress(buffer.getvalue(), preset=0)


def ar(members: Mapping[str, bytes]) -> bytes:
    """The outer archive of a .deb."""
    parts = [b"!<arch>\n"]
    for name, body in members.items():
        parts.append(
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
        )
    return b"".join(parts)


def control(package: Package) -> dict[str, str]:
    """The fields of a package, those without a value left out."""
    fields = {
        "Package": package.name,
        "Source": package.source,
        "Version": package.version,
        "Architecture": package.architecture,
        "Maintainer": package.maintainer,
        "Provides": ", ".join(package.provides),
        "Depends": ", ".join(package.depends),
        "Recommends": ", ".join(package.recommends),
        "Conflicts": ", ".join(package.conflicts),
        "Description": "stand-in for the package of the same name",
    }
    return {name: value for name, value in fields.items() if value}


def deb(fields: Mapping[str, str], of: contents.Contents) -> bytes:
    """A binary package."""
    text = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
    etc = "".join(f"{path}\n" for path in of.files if path.startswith("/etc/")).encode()
    scripts = [(name, script.encode(), 0o755) for name, script in of.scripts.items()]
    about = [("control", text, 0o644), *scripts, *([("conffiles", etc, 0o644)] if etc else [])]
    body = [(path, data, 0o644) for path, data in of.files.items()]
    body += [(path, data, 0o755) for path, data in of.programs.items()]
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": tar(about, {}), "data.tar.xz": tar(body, of.links)})


def publish(folder: Path, made: Iterable[tuple[Mapping[str, str], bytes]], origin: str) -> None:
    """Writes the packages and a signed index of them into one flat folder."""
    folder.mkdir(parents=True)
    stanzas = []
    for fields, body in made:
        name = f"{fields['Package']}_{fields['Version'].replace(':', '%3a')}_{fields['Architecture']}.deb"
        (folder / name).write_bytes(body)
        index = {**fields, "Filename": f"./{name}", "Size": str(len(body)), "SHA256": hashlib.sha256(body).hexdigest()}
        stanzas.append("".join(f"{key}: {value}\n" for key, value in index.items()))
    text = "\n".join(stanzas).encode()
    indexes = {"Packages": text, "Packages.gz": gzip.compress(text, mtime=0)}
    for name, body in indexes.items():
        (folder / name).write_bytes(body)
    sums = "".join(f" {hashlib.sha256(body).hexdigest()} {len(body)} {name}\n" for name, body in indexes.items())
    release = (
        f"Origin: {origin}\nLabel: {origin}\nArchitecture: x86_64\nDate: Wed, 25 Nov 2026 00:00:00 UTC\nSHA256:\n{sums}"
    )
    (folder / "Release").write_text(release)
    sign = ["gpg", "--batch", "--yes", "--quiet", "--clearsign", "--output", f"{folder}/InRelease", f"{folder}/Release"]
    subprocess.run(sign, check=True)


def keyring(distribution: str, url: str) -> tuple[dict[str, str], bytes]:
    """The package that makes a repository known to apt; on Debian the real one has no pin either."""
    key = subprocess.run(["gpg", "--batch", "--export"], check=True, capture_output=True).stdout
    line = f"deb [signed-by={KEYRING}] {url}/{distribution}/x86_64/ /\n"
    package = Package("cuda-keyring", "1.1-1", architecture="all", source="cuda-keyring")
    files = {KEYRING: key, f"/etc/apt/sources.list.d/cuda-{distribution}-x86_64.list": line.encode()}
    return control(package), deb(control(package), contents.Contents(files=files))


def dkms(debian: Path) -> tuple[dict[str, str], bytes]:
    """Debian's DKMS under the version that NVIDIA's drivers ask for."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["dpkg-deb", "--raw-extract", debian, f"{scratch}/tree"], check=True)
        about = Path(scratch, "tree/DEBIAN/control")
        lines = [
            f"Version: {DKMS_VERSION}" if line.startswith("Version: ") else line
            for line in about.read_text().splitlines()
        ]
        about.write_text("\n".join(lines) + "\n")
        made = Path(scratch, "dkms.deb")
        build = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", f"{scratch}/tree", str(made)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        fields = dict(line.split(": ", 1) for line in lines if line[:1] not in ("", " ") and ": " in line)
        return fields, made.read_bytes()


def main(folder: Path, url: str, debian_dkms: Path) -> None:
    """Builds everything."""
    for distribution in DRIVERS:
        made = {p: (control(p), deb(control(p), contents.of(p))) for p in packages(distribution)}
        others = [keyring(distribution, url), dkms(debian_dkms)]
        publish(folder / distribution / "x86_64", [*made.values(), *others], "NVIDIA CUDA")
        earlier = [both for package, both in made.items() if was_there_earlier(package)]
        before = folder.with_name(f"{folder.name}-earlier")
        publish(before / distribution / "x86_64", [*earlier, *others], "NVIDIA CUDA")
    ubuntu = [(control(package), deb(control(package), contents.of(package))) for package in ubuntu_archive()]
    publish(folder / "ubuntu-archive", ubuntu, "Ubuntu")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
