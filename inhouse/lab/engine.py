"""The engine of the lab is real: Debian sid's llama.cpp as a relocatable folder in Ollama's own layout.

Three things decide the layout, each found by trying:
- libc must not lie in `lib/ollama`: Ollama puts that folder into LD_LIBRARY_PATH, and then /bin/sh itself fails.
- Every subfolder of `lib/ollama` that holds a `libggml-*` counts as a GPU backend for Ollama: the CPU's lie elsewhere.
- ggml looks for its CPU code in the folder of the running executable, which here is the loader's: so the loader, the
  libraries and the CPU code share the folder `lib/llama`.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from inhouse.errors import LabError
from inhouse.lab import cached

SUITE = "sid"
"""llama.cpp is in no stable Debian yet."""
TOOLS = ("llama-server", "llama-quantize")
LEFT_OUT = ("libggml-cpu-sapphirerapids.so",)
"""Uses AMX, whose buffers Ollama, and so the stand-in, takes for a GPU's. Without it all machines' labs are alike."""
ENGINE_PACKAGES = ("llama.cpp", "libggml0-backend-vulkan")
DRIVER_PACKAGES = ("mesa-vulkan-drivers",)

LIBRARIES = "usr/lib/x86_64-linux-gnu"
BACKENDS = f"{LIBRARIES}/ggml/backends0"
LOADER = "ld-linux-x86-64.so.2"
VULKAN_BACKEND = "libggml-vulkan.so"
SOFTWARE_DRIVER = "libvulkan_lvp.so"
DRIVER_MANIFEST = "lvp_icd.json"

WRAPPER = """\
#!/bin/sh
# Runs the tool of the same name with the loader and the libraries it was built against, whatever this host has.
# A Vulkan driver comes from the host, as it would for Ollama; one named by its manifest brings its folder along.
root=$(dirname "$(readlink -f "$0")")/../llama
driver=${VK_DRIVER_FILES:+:${VK_DRIVER_FILES%/*}}
# The hosts of a lab share one machine. Threads of the engine wait for each other by spinning: when there are more of
# them than cores, all become many times slower. One each is nearly as fast for a model this small.
export LLAMA_ARG_THREADS="${LLAMA_ARG_THREADS:-1}"
exec "$root/@LOADER@" --library-path "$root$driver" --argv0 "$0" "$root/${0##*/}" "$@"
""".replace("@LOADER@", LOADER)


def build(cache: Path) -> Path:
    """Folder with `lib/ollama` (`llama-server`, `llama-quantize`, `vulkan/`) and `lib/llama` (all they need).

    It runs on any x86-64 Linux, from any path. Made once and kept in `cache`.

    Raises:
        LabError: Debian's packages cannot be fetched.
    """
    definition = cached.key((SUITE, *ENGINE_PACKAGES, WRAPPER, *LEFT_OUT))
    return cached.built(cache, "engine", definition, _make_engine)


def software_gpu(cache: Path) -> Path:
    """Folder with Mesa's software Vulkan driver and its manifest, for machines whose system has none.

    A server started with `VK_DRIVER_FILES=<folder>/lvp_icd.json GGML_VK_VISIBLE_DEVICES=0` offloads to it (without the
    second, llama.cpp passes over devices that are processors). The manifest names the driver by this folder's path.
    Lab hosts of the profile `software-gpu` have it beside the stand-in's release; beside a real one they have Debian's.

    Raises:
        LabError: Debian's packages cannot be fetched.
    """
    definition = cached.key((SUITE, *DRIVER_PACKAGES, *ENGINE_PACKAGES))
    folder = cached.built(cache, "software-gpu", definition, lambda target: _make_driver(build(cache), target))
    driver = {"api_version": "1.4.0", "library_path": str(folder / SOFTWARE_DRIVER)}
    (folder / DRIVER_MANIFEST).write_text(json.dumps({"ICD": driver, "file_format_version": "1.0.0"}))
    return folder


def _make_engine(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="engine-root-", dir=target.parent) as scratch:
        root = _unpacked(ENGINE_PACKAGES, Path(scratch))
        ollama, llama = target / "lib/ollama", target / "lib/llama"
        (ollama / "vulkan").mkdir(parents=True)
        llama.mkdir()
        programs = [root / "usr/bin" / tool for tool in TOOLS]
        every = sorted((root / BACKENDS).glob("libggml-cpu-*.so"))
        processors = [file for file in every if file.name not in LEFT_OUT]
        needed = _needed(root, [*programs, *processors])
        for file in (*programs, *processors, *needed):
            shutil.copyfile(file, llama / file.name)
        for file in (*(llama / tool for tool in TOOLS), llama / LOADER):
            file.chmod(0o755)
        shutil.copyfile(root / BACKENDS / VULKAN_BACKEND, ollama / "vulkan" / VULKAN_BACKEND)
        for tool in TOOLS:
            (ollama / tool).write_text(WRAPPER)
            (ollama / tool).chmod(0o755)


def _make_driver(engine: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="driver-root-", dir=target.parent) as scratch:
        root = _unpacked((*DRIVER_PACKAGES, *ENGINE_PACKAGES), Path(scratch))
        driver = root / LIBRARIES / SOFTWARE_DRIVER
        for file in (driver, *_needed(root, [driver, root / BACKENDS / VULKAN_BACKEND])):
            if not (engine / "lib/llama" / file.name).exists():
                shutil.copyfile(file, target / file.name)


def _unpacked(packages: Sequence[str], scratch: Path) -> Path:
    """The programs and libraries of `packages` and of all they depend on, below the returned folder."""
    archive, root = scratch / "root.tar", scratch / "root"
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        # Mirrors of sid that lag a week behind still serve.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(packages)}",
        SUITE,
        str(archive),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError("the lab's engine: mmdebstrap is not here. Run: sudo apt-get install mmdebstrap") from error
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise LabError(f"the lab's engine: {', '.join(packages)} of Debian {SUITE} could not be fetched:\n{last}")
    wanted = ("./usr/bin/llama-", f"./{LIBRARIES}/")
    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.name.startswith(wanted)]
        tar.extractall(root, members, filter="data")
    archive.unlink()
    return root


def _needed(root: Path, files: Iterable[Path]) -> list[Path]:
    """All libraries of `root` that the programs and libraries in `files` load, the loader among them."""
    loader = root / LIBRARIES / LOADER
    search = f"{root / LIBRARIES}:{root / LIBRARIES / 'llama'}"
    found = {LOADER: loader}
    for file in files:
        listed = subprocess.run(
            [loader, "--library-path", search, "--list", file], capture_output=True, text=True, check=False
        )
        for line in listed.stdout.splitlines():
            name, arrow, path = (part.strip() for part in line.partition(" => "))
            if arrow and not path.startswith(str(root)):
                raise LabError(
                    f"the lab's engine: {file.name} needs {name}, which no package of Debian {SUITE} brought"
                )
            if arrow:
                found[name] = Path(path.rpartition(" (")[0])
    return [found[name] for name in sorted(found)]
