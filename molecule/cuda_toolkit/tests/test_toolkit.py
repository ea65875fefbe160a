"""What must hold on every host once the role was applied: after all it refused, and after faults were planted."""

from testinfra.host import Host

PROGRAM = "#include <cstdio>\n__global__ void nothing() {}\nint main() { nothing<<<1, 1>>>(); }\n"
RELEASES = {"bookworm": "release 11.8", "trixie": "release 13.0"}


def test_login_shells_find_the_default_version(host: Host) -> None:
    said = host.check_output("env --ignore-environment HOME=/tmp sh -lc 'nvcc --version'")
    assert RELEASES[host.system_info.codename] in said


def test_it_compiles_a_program_for_people_without_root(host: Host) -> None:
    host.check_output("printf %%s %s >/tmp/people.cu", PROGRAM)
    host.check_output("sh -lc 'nvcc -o /tmp/people /tmp/people.cu'")
    assert host.file("/tmp/people").mode & 0o100


def test_no_kernel_module_and_no_driver_came_along(host: Host) -> None:
    installed = host.check_output("dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\\n'").splitlines()
    names = {line[3:] for line in installed if line.startswith("ii")}
    assert "nvidia-cuda-toolkit" in names or "cuda-toolkit-13-0" in names
    assert not {name for name in names if name.endswith("-dkms") or "driver" in name or "kernel-" in name}


def test_the_environment_does_not_bend_the_linker(host: Host) -> None:
    assert host.check_output("sh -lc 'echo \"$LD_LIBRARY_PATH\"'") == ""


def test_what_was_done_is_on_record_for_all_to_read(host: Host) -> None:
    record = host.file("/var/lib/inhouse/roles/cuda_toolkit.json")
    assert record.mode == 0o644
    assert '"finished": true' in record.content_string


def test_nothing_of_the_proof_and_the_rehearsal_is_left(host: Host) -> None:
    with host.sudo():
        assert host.check_output("find /tmp /var/tmp -name 'cuda-toolkit.*' -o -name 'prove*'") == ""
