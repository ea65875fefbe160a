"""On the host with Debian's own toolkit, the real one, whose owner had a compiler that it does not take."""

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://bookworm"]

KERNEL = "__global__ void twice(float *x) { x[threadIdx.x] *= 2; }\n"


@pytest.mark.parametrize("architecture", ["sm_61", "sm_75", "sm_86", "sm_90"])
def test_a_kernel_is_compiled_to_machine_code_of_a_gpu(host: Host, architecture: str) -> None:
    host.check_output("printf %%s %s >/tmp/kernel.cu", KERNEL)
    host.check_output(f"nvcc -arch={architecture} -cubin -o /tmp/kernel.cubin /tmp/kernel.cu")
    described = host.check_output("cuobjdump --dump-elf /tmp/kernel.cubin")
    assert f"{architecture.replace('_', '=')}, toolkit=118" in described
    assert "twice" in described


def test_a_program_of_it_runs_and_finds_no_driver(host: Host) -> None:
    host.check_output("printf %%s %s >/tmp/count.cu", COUNT)
    host.check_output("nvcc -o /tmp/count /tmp/count.cu")
    assert host.run("/tmp/count").rc == NO_DEVICE


NO_DEVICE = 100
COUNT = "int main() { int n; return cudaGetDeviceCount(&n); }\n"


def test_owners_sources_are_as_they_were(host: Host) -> None:
    sources = host.file("/etc/apt/sources.list.d/debian.sources").content_string
    assert sources.count("Components: main\n") == 2
    added = host.file("/etc/apt/sources.list.d/cuda-toolkit.list").content_string
    assert "bookworm-security contrib non-free" in added


def test_owners_compiler_is_still_there(host: Host) -> None:
    assert host.package("clang-14").is_installed
