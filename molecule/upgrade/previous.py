"""Makes the previous release of this project ready to run, in an environment of its own, and prints how it is started.

It is built from this clone's history, once, and kept beside the lab's other downloads.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from inhouse.errors import LabError
from inhouse.lab.cached import built, key
from inhouse.lab.paths import cache_dir

HERE = Path(__file__).resolve().parent
RECORD = HERE / "previous"


def revision() -> str:
    """The previous release's tag or commit."""
    (line,) = (line for line in RECORD.read_text().splitlines() if not line.startswith("#"))
    return line


def ready(cache: Path, clone: Path = HERE) -> list[str]:
    """Builds the previous release where it is not there yet, and gives the command that starts it.

    Raises:
        LabError: this clone lacks its history, or the release cannot be installed.
    """
    commit = _commit(clone, revision())
    folder = built(cache, "previous", key((commit, sys.version)), lambda empty: _build(clone, commit, empty))
    # By its module: the environment's own commands name the folder in which it was made.
    return [str(folder / "environment" / "bin" / "python"), "-m", "inhouse.cli"]


def _commit(clone: Path, name: str) -> str:
    command = ["git", "-C", str(clone), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise LabError(
            f"The previous release, {name} (named in {RECORD}), is not in this clone's history; needed: a clone that "
            "is not shallow. Run: git fetch --unshallow --tags. In CI check out the whole history (fetch-depth: 0)."
        )
    return found.stdout.strip()


def _build(clone: Path, commit: str, folder: Path) -> None:
    source, environment = folder / "source", folder / "environment"
    source.mkdir()
    root = ["git", "-C", str(clone), "rev-parse", "--show-toplevel"]
    top = subprocess.run(root, capture_output=True, text=True, check=True).stdout.strip()
    archive = folder / "source.tar"
    _run(["git", "-C", top, "archive", f"--output={archive}", commit])
    _run(["tar", "-xf", str(archive), "-C", str(source)])
    _run([sys.executable, "-m", "venv", str(environment)])
    _run([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", str(source)])
    archive.unlink()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise LabError(f"`{shlex.join(command)}` failed (exit {done.returncode}):\n{last}")


if __name__ == "__main__":
    try:
        sys.stdout.write(shlex.join(ready(cache_dir())) + "\n")
    except LabError as error:
        sys.exit(str(error))
