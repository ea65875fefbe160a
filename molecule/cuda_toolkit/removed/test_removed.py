"""What must hold once the role was taken back, and then refused a bare host."""

import pytest
from testinfra.host import Host


def test_the_packages_are_those_of_before(host: Host) -> None:
    before = set(host.file("/srv/packages-before").content_string.split())
    listed = host.check_output("dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\\n'").splitlines()
    # What was only ever on hold is listed as not installed.
    assert {line[3:] for line in listed if line[1] != "n"} == before


@pytest.mark.parametrize(
    "path",
    [
        "/etc/apt/sources.list.d/cuda-toolkit.list",
        "/etc/apt/sources.list.d/nvidia-cuda.sources",
        "/etc/apt/keyrings/nvidia-cuda.gpg",
        "/etc/profile.d/cuda-toolkit.sh",
        "/etc/ld.so.conf.d/cuda-toolkit.conf",
        "/usr/local/lib/cuda-toolkit",
        "/etc/ld.so.conf.d/000_cuda.conf",
        "/usr/local/cuda",
        "/var/lib/inhouse/roles/cuda_toolkit.json",
    ],
)
def test_files_of_the_role_are_gone(host: Host, path: str) -> None:
    assert not host.file(path).exists


def test_no_toolkit_is_found_any_more(host: Host) -> None:
    assert host.run("sh -lc nvcc").rc == 127
