"""A release archive that a person gives: laid out as the publisher has it, or refused with the reason."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from inhouse.errors import LabError
from inhouse.lab.real_release import lay_out

SAYS_VERSION = b"""#!/bin/sh
echo 'Warning: could not connect to a running Ollama instance'
echo 'Warning: client version is 0.33.3'
"""


def archive(file: Path, members: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    file.write_bytes(zstandard.ZstdCompressor().compress(buffer.getvalue()))
    return file


def test_the_program_in_the_archive_says_the_version(tmp_path: Path) -> None:
    given = archive(tmp_path / "given.tar.zst", {"./lib/ollama/x": b"", "./bin/ollama": SAYS_VERSION})
    served = lay_out(given, tmp_path / "served")
    laid = tmp_path / "served" / "v0.33.3"
    assert served.version == "0.33.3"
    assert served.sha256 == hashlib.sha256(given.read_bytes()).hexdigest()
    assert (laid / "ollama-linux-amd64.tar.zst").read_bytes() == given.read_bytes()
    assert (laid / "sha256sum.txt").read_text() == f"{served.sha256}  ./ollama-linux-amd64.tar.zst\n"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"lib/ollama/x": b""}, "it has no bin/ollama"),
        ({"bin/ollama": b"#!/bin/sh\necho hello\n"}, "names no version; it said: hello"),
        ({"bin/ollama": b"\x7fELF of another machine"}, "does not run on this machine"),
    ],
)
def test_an_archive_without_a_program_that_runs_is_refused(
    tmp_path: Path, members: dict[str, bytes], said: str
) -> None:
    with pytest.raises(LabError, match=said):
        lay_out(archive(tmp_path / "given.tar.zst", members), tmp_path / "served")


def test_a_file_that_is_missing_or_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is not there"):
        lay_out(tmp_path / "nothing", tmp_path / "served")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(LabError, match=r"no release archive of Ollama \(a tar.zst\)"):
        lay_out(tmp_path / "text", tmp_path / "served")
