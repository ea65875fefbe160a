"""Virtual lab hosts: what they are started with, what they are made of, and that only their own processes are ended."""

import json
import marshal
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inhouse.errors import LabError
from inhouse.lab import lab as labs
from inhouse.lab import vm, vm_hardware, vm_image, vm_lab
from inhouse.lab.commands import lab_commands
from inhouse.lab.network import Endpoint
from inhouse.lab.paths import cache_dir
from inhouse.lab.profiles import load

RECIPES = [vm_image.Recipe(suite, cloud) for suite in ("bookworm", "trixie") for cloud in (True, False)]


def machine(folder: Path, secure_boot: bool = False) -> vm.Machine:
    return vm.Machine(folder, Endpoint("127.0.1.9", 2222), secure_boot)


def test_its_only_network_is_the_ports_of_its_loopback_address(tmp_path: Path) -> None:
    words = vm.command(machine(tmp_path))
    assert [words[at + 1] for at, word in enumerate(words) if word == "-netdev"] == [
        "user,id=net,restrict=on,hostfwd=tcp:127.0.1.9:2222-:22,"
        "hostfwd=tcp:127.0.1.9:80-:80,hostfwd=tcp:127.0.1.9:443-:443"
    ]
    assert "-nic" not in words


def test_secure_boot_has_firmware_with_keys_and_a_place_to_keep_them(tmp_path: Path) -> None:
    locked, plain = " ".join(vm.command(machine(tmp_path, True))), " ".join(vm.command(machine(tmp_path)))
    assert "OVMF_CODE_4M.ms.fd" in locked
    assert "smm=on" in locked
    assert "property=secure,value=on" in locked
    assert ".ms.fd" not in plain
    assert "property=secure" not in plain


def test_disk_and_variables_are_its_own(tmp_path: Path) -> None:
    words = " ".join(vm.command(machine(tmp_path)))
    assert f"file={tmp_path}/disk.qcow2" in words
    assert f"format=raw,file={tmp_path}/variables.fd" in words


def test_it_is_ended_by_its_process(tmp_path: Path) -> None:
    pid_file = vm.pid_file(tmp_path)
    waits = "import signal; print(flush=True); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", waits, str(pid_file)], stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline()
    pid_file.write_text(f"{child.pid}\n")
    assert vm.running(tmp_path) == child.pid
    vm.stop(tmp_path)
    assert child.wait() != 0
    assert vm.running(tmp_path) is None
    vm.stop(tmp_path)


def test_a_number_that_another_process_has_by_now_is_not_ended(tmp_path: Path) -> None:
    vm.pid_file(tmp_path).write_text(f"{os.getpid()}\n")
    assert vm.running(tmp_path) is None
    vm.stop(tmp_path)


def test_qemus_own_words_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\necho 'no such firmware' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(LabError, match="no such firmware"):
        vm.start(machine(tmp_path))


def test_each_recipe_is_a_disk_of_its_own() -> None:
    assert len({recipe.key for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize("name", ["GRUB", "KEPT", "PACKAGES", "INITRAMFS_MODULES", "DISK_MIB"])
def test_a_changed_definition_is_another_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = RECIPES[0].key
    value = getattr(vm_image, name)
    monkeypatch.setattr(vm_image, name, value + (("x",) if isinstance(value, tuple) else type(value)("1")))
    assert RECIPES[0].key != before


@pytest.mark.parametrize(("cloud", "kernel"), [(True, "linux-image-cloud-amd64"), (False, "linux-image-amd64")])
def test_kernel_and_headers_are_of_one_flavour(cloud: bool, kernel: str) -> None:
    packages = vm_image.Recipe("trixie", cloud).packages
    assert kernel in packages
    assert kernel.replace("image", "headers") in packages
    assert len([name for name in packages if name.startswith("linux-image")]) == 1


def test_the_first_kernel_comes_without_updates(tmp_path: Path) -> None:
    sources = [word for word in vm_image.mmdebstrap_command(RECIPES[0], tmp_path) if word.startswith("deb ")]
    assert sources == ["deb http://deb.debian.org/debian bookworm main"]


def test_the_root_file_system_lies_in_its_partition(tmp_path: Path) -> None:
    root = vm_image.partitions().splitlines()[-1]
    fields = dict(part.strip().split("=") for part in root.split(","))
    filling = " ".join(vm_image.mmdebstrap_command(RECIPES[0], tmp_path))
    assert f"offset={int(fields['start']) * 512}" in filling
    assert f"{int(fields['size']) * 512 // vm_image.MIB}M" in filling
    # The table's copy at the end of the disk.
    assert int(fields["start"]) + int(fields["size"]) <= vm_image.DISK_MIB * 2048 - 34


def test_signed_loaders_lie_where_firmware_looks(tmp_path: Path) -> None:
    copied = {words[-1]: words[-2] for words in vm_image.boot_commands(tmp_path) if words[0] == "mcopy"}
    assert copied["::/EFI/BOOT/BOOTX64.EFI"].endswith("shimx64.efi.signed")
    assert copied["::/EFI/BOOT/grubx64.efi"].endswith("grubx64.efi.signed")


def test_the_card_is_shown_and_no_driver_stated(tmp_path: Path) -> None:
    files = vm_hardware.files(load("rtx-4090"), tmp_path)
    assert files["/etc/inhouse-lab/pci/0000:01:00.0/vendor"].content == b"0x10de\n"
    assert not [path for path in files if path.endswith("/driver")]
    answers = json.loads(files["/etc/inhouse-lab/nvidia.json"].content)
    assert (answers["module"], answers["library"]) == (None, "")
    assert answers["gpus"]


@pytest.mark.parametrize("profile", ["rtx-4090", "quad-3090", "cpu-small"])
def test_the_script_of_its_hardware_is_valid(profile: str) -> None:
    script = vm_hardware.script(load(profile))
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_a_cards_driver_is_asked_for_cards_only() -> None:
    script = vm_hardware.script(load("rtx-4090"))
    assert "for card in 0000:01:00.0; do" in script


def test_python_keeps_the_code_of_modules_in_archives(tmp_path: Path) -> None:
    shutil.copy(Path(vm.__file__).with_name("vm_python.py"), tmp_path / "inhouse_lab.py")
    words = "import inhouse_lab as lab; lab.CACHE = 'kept'; lab.os.getuid = lambda: 0; import sent; print(sent.A)"

    def answer(source: str) -> str:
        with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
            archive.writestr("sent.py", source)
        command = [sys.executable, "-S", "-c", words]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": "sent.zip"}, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    assert answer("A = 1") == "1"
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(marshal.dumps(compile("A = 'of before'", "", "exec")))
    assert answer("A = 1") == "of before"
    assert answer("A = 2") == "2"


def test_they_are_listed_and_ended_as_other_labs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(labs, "labs", tuple)
    ended: list[str] = []
    monkeypatch.setattr(labs, "down", ended.append)
    group = cache_dir() / "machines" / "vms"
    (group / "open").mkdir(parents=True)
    (group / "open" / "disk.qcow2").touch()
    (group / "inventory").symlink_to(tmp_path / "written")
    listed = CliRunner().invoke(lab_commands, ["list"]).output
    assert listed == f"vms: {tmp_path}/written\n  open             virtual machine (stopped)\n"
    assert CliRunner().invoke(lab_commands, ["down", "--name", "other"]).exit_code == 0
    assert (vm_lab.groups(), ended) == (("vms",), ["other"])
    assert CliRunner().invoke(lab_commands, ["down", "--name", "vms"]).exit_code == 0
    assert (vm_lab.groups(), ended) == ((), ["other"])
    assert CliRunner().invoke(lab_commands, ["list"]).output == "No lab is up. Run: inhouse lab up\n"


def test_hosts_that_are_not_there_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    vm_lab.down("none")


def test_without_rights_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"sudo apt-get install .*mtools.*qemu-system-x86 qemu-utils"):
        vm_image.ensure_tools()
