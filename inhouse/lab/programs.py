"""Programs of the lab as one file each: what runs on a lab host needs nothing there but python3."""

import io
import zipfile
from collections.abc import Mapping
from importlib import resources

START = b"#!/usr/bin/python3\n"


def program(package: str, written: Mapping[str, str] | None = None) -> bytes:
    """A file that runs `main` of `inhouse.lab.PACKAGE.main`; the same sources give the same bytes.

    Args:
        package: the package below `inhouse.lab`; it imports itself by relative names, and the standard library only.
        written: modules that take the place of the package's own: name → source.
    """
    modules = {
        module.name: module.read_text()
        for module in resources.files("inhouse.lab").joinpath(package).iterdir()
        if module.name.endswith(".py")
    }
    sources = {f"{package}/{name}": source for name, source in (modules | dict(written or {})).items()}
    sources["__main__.py"] = f"from {package}.main import main\n\nmain()\n"
    buffer = io.BytesIO(START)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(sources):
            # The default date of a ZipInfo is a constant.
            archive.writestr(zipfile.ZipInfo(name), sources[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def mirror_program() -> bytes:
    """The registry and release mirror: `python3 FILE CONFIG.json` (see `inhouse.lab.mirror.config`)."""
    return program("mirror")


def standin_program(version: str) -> bytes:
    """The stand-in for Ollama's Go half, saying it is release `version`."""
    return program("standin", {"release.py": f'"""Written when the program is built."""\n\nVERSION = "{version}"\n'})
