"""Addresses of lab hosts, and the files with which they are reached."""

import socket
import subprocess
from pathlib import Path

import pytest

from inhouse.errors import LabError
from inhouse.inventory import load
from inhouse.lab import inventory_files, network
from inhouse.lab.network import Endpoint
from inhouse.lab.ssh import ClientFiles, new_key


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, int]]:
    """Endpoints where something listens; (\"*\", port) is all addresses."""
    found: set[tuple[str, int]] = set()
    monkeypatch.setattr(network, "taken", lambda address, port: (address, port) in found or ("*", port) in found)
    return found


def test_addresses_of_other_labs_and_of_programs_are_passed_over(busy: set[tuple[str, int]]) -> None:
    busy.add(("127.0.1.3", 443))
    chosen = network.choose({"127.0.1.2"}, 2)
    assert chosen == [Endpoint("127.0.1.4", 22), Endpoint("127.0.1.5", 22)]


def test_the_controllers_own_sshd_on_all_addresses_moves_ssh_to_another_port(busy: set[tuple[str, int]]) -> None:
    busy.add(("*", 22))
    assert network.choose(set(), 1) == [Endpoint("127.0.1.2", 2222)]


def test_a_web_server_on_all_addresses_is_named_with_its_port(busy: set[tuple[str, int]]) -> None:
    busy.add(("*", 443))
    with pytest.raises(LabError, match=r"port 443 is already taken .* ss -ltnp 'sport = :443'"):
        network.choose(set(), 1)


def test_no_port_for_ssh_is_named_too(busy: set[tuple[str, int]]) -> None:
    busy.update({("*", 22), ("*", 2222)})
    with pytest.raises(LabError, match="port 22 and 2222 is already taken"):
        network.choose(set(), 1)


def test_all_addresses_in_labs_is_an_error_that_says_so(busy: set[tuple[str, int]]) -> None:
    every = {f"127.0.1.{number}" for number in range(2, 255)}
    with pytest.raises(LabError, match="belong to labs"):
        network.choose(every, 1)


def test_a_listening_program_takes_its_port() -> None:
    with socket.create_server(("127.0.1.250", 0)) as server:
        port = server.getsockname()[1]
        assert network.taken("127.0.1.250", port)
        assert not network.taken("127.0.1.251", port)


@pytest.mark.parametrize(("known_as", "port"), [("127.0.1.9", "22"), ("[127.0.1.9]:2222", "2222")])
def test_ssh_reads_the_labs_configuration_as_meant(known_as: str, port: str, tmp_path: Path) -> None:
    files = ClientFiles(tmp_path / "a lab")
    files.write(new_key(), {known_as: new_key()})
    shown = subprocess.run(
        ["ssh", "-G", "-F", files.config, "-p", port, "127.0.1.9"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "user admin" in shown
    assert "stricthostkeychecking true" in shown
    assert f"userknownhostsfile {files.known_hosts}" in shown
    assert files.key.stat().st_mode & 0o777 == 0o600


def test_the_written_inventory_is_an_ordinary_one_with_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "my lab"
    inventory_files.claim(folder, "one")
    files = ClientFiles(folder / ".lab")
    files.write(new_key(), {"127.0.1.9": new_key()})
    inventory_files.write(
        folder, {"gpu1": ("rtx-4090", Endpoint("127.0.1.9", 2222))}, files, {"ollama_mirror": "https://lab.internal"}
    )
    inventory = load(folder)
    (host,) = inventory.hosts
    assert host.settings.note == "lab host, pretended hardware: rtx-4090"
    assert host.settings.ollama_mirror == "https://lab.internal"
    assert (host.connection.address, host.connection.port, host.connection.user) == ("127.0.1.9", 2222, "admin")
    assert host.connection.ssh_config_file == str(files.config)
    assert host.connection.become
    assert inventory.secrets is not None
    inventory_files.remove(folder, "one")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_neither_taken_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    with pytest.raises(LabError, match="--folder DIR"):
        inventory_files.claim(tmp_path, "one")
    inventory_files.remove(tmp_path, "one")
    assert (tmp_path / "hosts.yml").exists()
