"""What must hold where no driver belongs, or where one from elsewhere works: nothing was installed or configured."""

from testinfra.host import Host

testinfra_hosts = ["ansible://runfile", "ansible://guest", "ansible://none", "ansible://container"]

FILES = (
    "/etc/modprobe.d/nvidia-driver-nouveau.conf",
    "/etc/apt/apt.conf.d/52nvidia-driver",
    "/etc/apt/sources.list.d/nvidia-cuda.sources",
    "/etc/apt/sources.list.d/nvidia-driver.sources",
    "/etc/apt/keyrings/nvidia-cuda.gpg",
)


def test_no_package_was_installed_or_removed(host: Host) -> None:
    before = sorted(host.file("/srv/packages-before").content_string.split())
    assert sorted(host.check_output("dpkg-query --show --showformat '${Package}\\n'").split()) == before


def test_nothing_was_configured(host: Host) -> None:
    assert [path for path in FILES if host.file(path).exists] == []


def test_a_driver_that_was_there_still_is(host: Host) -> None:
    loaded = {"runfile": "535.309.01", "container": "580.178.04"}.get(host.check_output("hostname"))
    module = host.file("/sys/module/nvidia/version")
    assert (module.content_string.strip() if module.exists else None) == loaded
