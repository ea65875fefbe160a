"""On the host with two versions of NVIDIA's, the older of which was made the default and does not take Debian's GCC."""

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://trixie"]


@pytest.mark.parametrize("version", ["13.0", "13.2"])
def test_both_versions_are_there(host: Host, version: str) -> None:
    assert f"release {version}," in host.check_output(f"/usr/local/cuda-{version}/bin/nvcc --version")


def test_the_default_is_one_of_the_alternatives(host: Host) -> None:
    assert host.check_output("update-alternatives --query cuda | sed -n 's/^Value: //p'") == "/usr/local/cuda-13.0"


def test_the_linker_finds_the_libraries_of_the_default(host: Host) -> None:
    assert "libcudart.so.13" in host.check_output("/sbin/ldconfig --print-cache")
    said = host.file("/etc/ld.so.conf.d/cuda-toolkit.conf").content_string
    assert "\n/usr/local/cuda/targets/x86_64-linux/lib\n" in said


def test_only_the_version_that_needs_it_has_a_compiler_of_its_own(host: Host) -> None:
    assert "13" in host.check_output("/usr/local/lib/cuda-toolkit/13.0/g++ -dumpversion")
    assert not host.file("/usr/local/lib/cuda-toolkit/13.2").exists
    assert host.check_output("g++ -dumpversion") == "14"


def test_the_repository_is_signed_and_nothing_is_pinned(host: Host) -> None:
    source = host.file("/etc/apt/sources.list.d/nvidia-cuda.sources").content_string
    assert "\nSigned-By: /etc/apt/keyrings/nvidia-cuda.gpg\n" in source
    assert "\nURIs: http://127.0.0.1:8001/cuda/debian13/x86_64\n" in source
    assert not host.file("/etc/apt/preferences.d").listdir()
    assert not host.package("cuda-keyring").is_installed
