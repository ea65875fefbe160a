"""On the host with Secure Boot, where the role refused."""

from testinfra.host import Host

testinfra_hosts = ["ansible://locked"]


def test_secure_boot_is_on_and_the_kernel_locked(host: Host) -> None:
    assert "SecureBoot enabled" in host.check_output("mokutil --sb-state")
    assert "[integrity]" in host.file("/sys/kernel/security/lockdown").content_string


def test_nothing_of_nvidia_is_installed(host: Host) -> None:
    assert "nvidia" not in host.check_output("dpkg-query --show")
    assert not host.file("/sys/module/nvidia").exists


def test_no_file_of_the_role_is_there(host: Host) -> None:
    with host.sudo():
        assert host.check_output("find /etc/apt /etc/modprobe.d /var/lib -iname '*nvidia*'") == ""
