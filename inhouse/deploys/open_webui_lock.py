"""The locks of Open-WebUI's packages: which files may be installed, by SHA-256, on every supported kind of host.

`python -m inhouse.deploys.open_webui_lock` makes both locks anew from the pinned lists beside them. pip itself says
which wheel it would take on each target, so a lock holds the files that are installed and no others; no build ever runs
on a host. Newer distributions accept the wheels of the oldest one.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from inhouse.catalogue.releases import releases
from inhouse.paths import templates_folder

FOLDER: Final = "open_webui"
REQUIREMENTS: Final = "requirements.txt"
INSTALLER: Final = "installer.txt"

OLDEST_GLIBC_MINOR: Final = 36
"""Debian 12 has glibc 2.36."""

_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """A kind of host that packages are locked for."""

    python: str
    architecture: str

    @property
    def platforms(self) -> tuple[str, ...]:
        """Wheel platforms that it accepts, the newest first; pip adds the old names of 2014 and before."""
        newest_first = (f"manylinux_2_{minor}_{self.architecture}" for minor in range(OLDEST_GLIBC_MINOR, 4, -1))
        return (*newest_first, f"manylinux2014_{self.architecture}")


TARGETS: Final = tuple(Target(*pair) for pair in product(("3.11", "3.12"), ("x86_64", "aarch64")))


def template_body(name: str) -> str:
    """Return a file of `templates/open_webui/` as it is."""
    return (templates_folder() / FOLDER / name).read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    """Return package → version of a lock."""
    return dict(_ENTRY.findall(template_body(name)))


def write_lock(pinned: Path, lock: Path, further: Iterable[str] = ()) -> None:
    """Write `lock` for the list `pinned` and for `further` requirements; takes half a minute per target.

    Raises:
        subprocess.CalledProcessError: pip found no wheel of one of them for one of the targets; it has said which.
    """
    with TemporaryDirectory() as scratch:
        reports = [_report(target, pinned, tuple(further), Path(scratch)) for target in TARGETS]
    lock.write_text(lock_body(reports), encoding="utf-8")


def lock_body(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return a lock that allows what any of pip's installation reports would install.

    Raises:
        ValueError: a report would install a file of this machine, whose hash nobody else could check.
    """
    files: dict[str, set[str]] = {}
    for item in (item for report in reports for item in report["install"]):
        entry = f"{item['metadata']['name']}=={item['metadata']['version']}"
        if not item["download_info"]["url"].startswith("https://"):
            raise ValueError(f"{entry} would come from this machine; unset PIP_FIND_LINKS and lock again")
        files.setdefault(entry, set()).add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    lines = (" \\\n".join([entry, *_hashes(files[entry])]) for entry in sorted(files, key=str.lower))
    return "".join(f"{line}\n" for line in lines)


def _hashes(sums: Iterable[str]) -> list[str]:
    return [f"    --hash=sha256:{each}" for each in sorted(sums)]


def _report(target: Target, pinned: Path, further: tuple[str, ...], scratch: Path) -> dict[str, Any]:
    platforms = [option for platform in target.platforms for option in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps"]
    command += ["--only-binary", ":all:", "--target", str(scratch), "--implementation", "cp"]
    command += ["--python-version", target.python, *platforms, "--report", "-", "--requirement", str(pinned), *further]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Write both locks."""
    folder = templates_folder() / FOLDER
    write_lock(folder / "installer.in", folder / INSTALLER)
    write_lock(folder / "requirements.in", folder / REQUIREMENTS, [f"open-webui=={releases().open_webui.default}"])


if __name__ == "__main__":
    main()
