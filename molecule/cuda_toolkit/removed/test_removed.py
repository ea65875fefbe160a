"""What must hold once the role was taken back, and then refused a bare host."""

import pytest
from testinfra.host import Host


def test_packages_of_the_role_are_gone_and_all_that_came_along(host: Host) -> None:
    installed = host.check_output("dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\\n'").splitlines()
    names = {line[3:] for line in installed if line.startswith("ii")}
    assert "clang-14" in names or host.system_info.codename == "trixie"
    assert not {
        name
        for name in names
        if name.startswith(("nvidia", "cuda", "libcuda", "libcublas", "libcusolver", "libnv", "g++"))
    }


@pytest.mark.parametrize(
    "path",
    [
        "/etc/apt/sources.list.d/cuda-toolkit.list",
        "/etc/apt/sources.list.d/nvidia-cuda.sources",
        "/etc/apt/keyrings/nvidia-cuda.gpg",
        "/etc/profile.d/cuda-toolkit.sh",
        "/etc/ld.so.conf.d/cuda-toolkit.conf",
        "/usr/local/lib/cuda-toolkit",
        "/usr/local/cuda",
        "/var/lib/inhouse/roles/cuda_toolkit.json",
    ],
)
def test_files_of_the_role_are_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_no_toolkit_is_found_any_more(host: Host) -> None:
    assert host.run("sh -lc nvcc").rc == 127
