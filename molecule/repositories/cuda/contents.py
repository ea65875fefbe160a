"""Files and maintainer scripts of the stand-in packages, by the kinds that relations.py names."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from relations import Package

# On a host both lie beside this file, in folders of the same names.
from inhouse.lab import elf

HERE = Path(__file__).parent
NVIDIA_SMI = Path(elf.__file__).with_name("nvidia_smi.py")

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SONAMES = {
    "libcuda1": "libcuda.so",
    "libnvidia-ml1": "libnvidia-ml.so",
    "libnvidia-ptxjitcompiler1": "libnvidia-ptxjitcompiler.so",
}
DEVICES = {"nvidia": "nvidiactl", "nvidia-uvm": "nvidia-uvm"}
"""Module → its device in /dev."""


@dataclass
class Contents:
    """What a package carries: bytes of files and of programs by path, targets of links by path, scripts by name."""

    files: dict[str, bytes] = field(default_factory=dict)
    programs: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)


def of(package: Package) -> Contents:
    """The contents of one package."""
    return KINDS[package.contents](package) if package.contents else Contents()


def upstream(package: Package) -> str:
    """580.178.04 of 580.178.04-1."""
    return package.version.rpartition("-")[0]


def library(package: Package) -> Contents:
    """A library that ldconfig accepts, its version in its name; Ubuntu's package holds both that a probe looks for."""
    stems = [SONAMES[package.name]] if package.name in SONAMES else ["libcuda.so", "libnvidia-ml.so"]
    version = upstream(package)
    return Contents(
        files={f"{LIBRARIES}/{stem}.{version}": elf.shared_object(f"{stem}.1") for stem in stems},
        links={f"{LIBRARIES}/{stem}.1": f"{stem}.{version}" for stem in stems},
        scripts={"postinst": "#!/bin/sh\nldconfig\n"},
    )


def nvidia_smi(_package: Package) -> Contents:
    """nvidia-smi of the lab: it answers by the loaded module and the installed library."""
    return Contents(programs={"/usr/bin/nvidia-smi": NVIDIA_SMI.read_bytes()})


def blacklist(_package: Package) -> Contents:
    """The support files keep nouveau away."""
    return Contents(files={"/usr/lib/modprobe.d/nvidia.conf": b"blacklist nouveau\noptions nouveau modeset=0\n"})


def proprietary_module(package: Package) -> Contents:
    """Source of the proprietary module."""
    return _module(package, "NVIDIA")


def open_module(package: Package) -> Contents:
    """Source of the open module."""
    return _module(package, "Dual MIT/GPL")


def _module(package: Package, module_license: str) -> Contents:
    """DKMS source of two modules that really build and load, under the real names."""
    version = upstream(package)
    folder = f"/usr/src/nvidia-{version}"

    def filled(name: str, template: str) -> bytes:
        text = (HERE / "module" / template).read_text()
        known = {"NAME": name, "VERSION": version, "LICENSE": module_license, "DEVICE": DEVICES.get(name, "")}
        for key, value in known.items():
            text = text.replace(f"@{key}@", value)
        return text.encode()

    files = {f"{folder}/{name}.c": filled(name, "module.c") for name in DEVICES}
    files |= {f"{folder}/dkms.conf": filled("", "dkms.conf"), f"{folder}/Kbuild": b"obj-m := nvidia.o nvidia-uvm.o\n"}
    configure = (
        '#!/bin/sh\nset -e\n[ "$1" = configure ] || exit 0\n'
        f'/usr/lib/dkms/common.postinst nvidia {version} /usr/share/{package.name} "" "$2"\n'
    )
    remove = (
        '#!/bin/sh\nset -e\ncase "$1" in remove | upgrade | deconfigure) ;; *) exit 0 ;; esac\n'
        f"dkms remove -m nvidia -v {version} --all >/dev/null || true\n"
    )
    return Contents(files=files, scripts={"postinst": configure, "prerm": remove})


def nvidia_modprobe(_package: Package) -> Contents:
    """nvidia-modprobe loads the module; `-u` the one for CUDA too."""
    script = '#!/bin/sh\nset -e\nmodprobe nvidia\ncase " $* " in *" -u "*) modprobe nvidia-uvm ;; esac\n'
    return Contents(programs={"/usr/bin/nvidia-modprobe": script.encode()})


def persistenced(_package: Package) -> Contents:
    """A daemon that, like the real one, does not start where no driver answers."""
    script = (
        "#!/bin/sh\n# Stand-in: holds nothing open, but starts only where module and library fit.\n"
        "set -e\nnvidia-smi -L >/dev/null\nexec sleep infinity\n"
    )
    unit = (
        "[Unit]\nDescription=NVIDIA Persistence Daemon (stand-in)\n\n"
        "[Service]\nExecStart=/usr/bin/nvidia-persistenced\n\n[Install]\nWantedBy=multi-user.target\n"
    )
    start = (
        '#!/bin/sh\nset -e\n[ "$1" = configure ] || exit 0\nsystemctl daemon-reload\n'
        "systemctl enable --quiet nvidia-persistenced.service\n"
        "systemctl try-restart nvidia-persistenced.service || true\n"
    )
    stop = '#!/bin/sh\nset -e\n[ "$1" != remove ] || systemctl disable --now --quiet nvidia-persistenced.service\n'
    return Contents(
        files={"/usr/lib/systemd/system/nvidia-persistenced.service": unit.encode()},
        programs={"/usr/bin/nvidia-persistenced": script.encode()},
        scripts={"postinst": start, "prerm": stop},
    )


def preferences(package: Package) -> Contents:
    """The pin of a nvidia-driver-pinning package; its pattern is that of NVIDIA's installation guide."""
    to = package.name.removeprefix("nvidia-driver-pinning-")
    version = f"{to}-*" if "." in to else f"{to}.*"
    pattern = "src:*nvidia*:any src:cuda-drivers:any src:cuda-compat:any"
    text = f"Package: {pattern}\nPin: version {version}\nPin-Priority: 1000\n"
    return Contents(files={f"/etc/apt/preferences.d/{package.name}": text.encode()})


def linker_all(_package: Package) -> Contents:
    """The libraries of the default toolkit are found."""
    return Contents(files={"/etc/ld.so.conf.d/000_cuda.conf": b"/usr/local/cuda/targets/x86_64-linux/lib\n"})


def linker_major(package: Package) -> Contents:
    """So are those of the newest toolkit of a major version."""
    major = package.name.split("-")[2]
    line = f"/usr/local/cuda-{major}/targets/x86_64-linux/lib\n"
    return Contents(files={f"/etc/ld.so.conf.d/988_cuda-{major}.conf": line.encode()})


def alternatives(package: Package) -> Contents:
    """/usr/local/cuda and /usr/local/cuda-MAJOR lead to one of the installed toolkits."""
    major, minor = package.name.split("-")[2:4]
    folder = f"/usr/local/cuda-{major}.{minor}"
    names = ("cuda", f"cuda-{major}")
    install = [f"update-alternatives --install /usr/local/{n} {n} {folder} {major}{minor}" for n in names]
    remove = [f"update-alternatives --remove {n} {folder}" for n in names]
    return Contents(
        scripts={
            "postinst": "\n".join(["#!/bin/sh", "set -e", '[ "$1" = configure ] || exit 0', *install, ""]),
            "prerm": "\n".join(["#!/bin/sh", "set -e", '[ "$1" = remove ] || exit 0', *remove, ""]),
        }
    )


NEWEST_GCC = {12: 14, 13: 15}
"""Newest host compiler that CUDA 12.9 and 13 take, by NVIDIA's installation guide."""


def nvcc(package: Package) -> Contents:
    """A compiler that knows its version and needs a host compiler; the rest is the owner's scenario's."""
    major, minor = package.name.split("-")[2:4]
    program = (
        (HERE / "nvcc.sh").read_text().replace("@RELEASE@", f"{major}.{minor}").replace("@VERSION@", upstream(package))
    )
    folder = f"/usr/local/cuda-{major}.{minor}"
    targets = f"{folder}/targets/x86_64-linux"
    return Contents(
        programs={f"{folder}/bin/nvcc": program.encode()},
        files={
            f"{folder}/bin/nvcc.profile": b"TOP = $(_HERE_)/..\n",
            f"{targets}/include/crt/host_config.h": f"#if __GNUC__ > {NEWEST_GCC[int(major)]}\n".encode(),
            f"{targets}/lib/libcudart.so.{major}": elf.shared_object(f"libcudart.so.{major}"),
        },
    )


KINDS: dict[str, Callable[[Package], Contents]] = {
    function.__name__: function
    for function in (
        library,
        nvidia_smi,
        blacklist,
        proprietary_module,
        open_module,
        nvidia_modprobe,
        persistenced,
        preferences,
        linker_all,
        linker_major,
        alternatives,
        nvcc,
    )
}
