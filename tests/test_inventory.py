"""Reading inventories as Ansible does, and saying what is wrong with them better than Ansible does."""

import textwrap
from pathlib import Path

import pytest

from inhouse import vault
from inhouse.errors import InventoryError, SettingsError
from inhouse.init import init
from inhouse.inventory import Host, Inventory, load

SHIPPED = Path(__file__).parent.parent / "inventories"


@pytest.fixture(autouse=True)
def _no_password_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vault.PASSWORD_VARIABLE, raising=False)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return tmp_path / "home"


def write(folder: Path, **files: str) -> Path:
    """Write files; `hosts_yml` becomes hosts.yml, `group_vars__all_yml` becomes group_vars/all.yml."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__"))
        path = path.with_name(path.name.replace("_yml", ".yml").replace("_ini", ".ini"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def one_host(folder: Path, variables: str = "") -> Path:
    return write(folder, hosts_yml="all: {hosts: {a.internal: }}\n", group_vars__all_yml=variables)


def by_name(found: Inventory) -> dict[str, Host]:
    return {host.name: host for host in found.hosts}


def settings_error(folder: Path) -> str:
    with pytest.raises(SettingsError) as error:
        load(folder)
    return str(error.value)


def inventory_error(folder: Path) -> str:
    with pytest.raises(InventoryError) as error:
        load(folder)
    return str(error.value)


# What Ansible users expect


@pytest.mark.parametrize(("name", "hosts"), [("local", 1), ("homelab", 3), ("fleet", 39)])
def test_inventories_that_ship_load(name: str, hosts: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(load(SHIPPED / name).hosts) == hosts
    assert capfd.readouterr() == ("", "")


def test_the_local_inventory_is_this_machine_without_ssh() -> None:
    (host,) = load(SHIPPED / "local").hosts
    assert (host.connection.kind, host.connection.address) == ("local", "127.0.0.1")


def test_the_fleet_takes_settings_from_parents_children_and_hosts() -> None:
    hosts = by_name(load(SHIPPED / "fleet"))
    code, chat, nyc = (hosts[f"{name}.example.internal"] for name in ("code01.ams", "chat01.ams", "chat08.nyc"))
    assert (code.settings.kv_cache_type, code.settings.parallel, code.settings.open_webui) == ("q8_0", 4, False)
    assert chat.settings.note == "first to get every change"
    assert nyc.settings.ollama_mirror == "https://mirror.nyc.example.internal/ollama"
    assert nyc.groups == ("gpu", "nyc", "chat_servers")


def test_host_vars_beat_group_vars_and_children_beat_parents(inventory: Path) -> None:
    write(
        inventory,
        hosts_yml="""
            all:
              children:
                parent:
                  children:
                    child: {hosts: {'a[1:3].internal': }}
            """,
        group_vars__all_yml="parallel: 1\n",
        group_vars__parent_yml="parallel: 2\nhttp_port: 81\n",
        group_vars__child_yml="parallel: 3\n",
    )
    write(inventory / "host_vars", **{"a3.internal": "parallel: 4\n"})
    found = load(inventory).hosts
    assert [(host.settings.parallel, host.settings.http_port) for host in found] == [(3, 81), (3, 81), (4, 81)]


def test_hosts_come_in_the_order_they_are_written(inventory: Path) -> None:
    write(inventory, hosts_yml="all: {hosts: {c.internal: , a.internal: , b.internal: }}\n")
    assert [host.name[0] for host in load(inventory).hosts] == ["c", "a", "b"]


def test_ini_inventories_load(inventory: Path) -> None:
    write(inventory, hosts_ini="[gpu]\na.internal ansible_port=2222 parallel=3\n")
    (host,) = load(inventory).hosts
    assert (host.groups, host.connection.port, host.settings.parallel) == (("gpu",), 2222, 3)


def test_one_hosts_file_may_be_named_and_its_folder_is_the_inventory(inventory: Path) -> None:
    write(inventory, hosts_yml="all: {hosts: {a.internal: }}\n", other_yml="all: {hosts: {b.internal: }}\n")
    found = load(inventory / "hosts.yml")
    assert (found.path, [host.name for host in found.hosts]) == (inventory, ["a.internal"])


def test_templates_see_own_variables_other_hosts_groups_and_lookups(
    inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHOUSE_TEST_PORT", "8444")
    write(
        inventory,
        hosts_yml="all: {children: {gpu: {hosts: {a.internal: {x_kib: 8}, b.internal: {x_kib: 16}}}}}\n",
        group_vars__all_yml="""
            context_length: "{{ x_kib * 1024 }}"
            parallel: "{{ groups['gpu'] | length }}"
            note: "{{ inventory_hostname }} beside {{ hostvars['b.internal'].x_kib }}"
            https_port: "{{ lookup('ansible.builtin.env', 'INHOUSE_TEST_PORT') | int }}"
            """,
    )
    first = load(inventory).hosts[0].settings
    assert (first.context_length, first.parallel, first.note) == (8192, 2, "a.internal beside 16")
    assert first.https_port == 8444


def test_a_change_is_seen_by_the_next_load_of_the_same_process(inventory: Path) -> None:
    write(inventory, hosts_yml="all: {hosts: {a.internal: }}\n")
    assert load(inventory).hosts[0].settings.parallel is None
    write(inventory, group_vars__all_yml="parallel: 5\n")
    assert load(inventory).hosts[0].settings.parallel == 5


def test_vault_strings_and_vault_files_of_two_inventories_load_in_one_process(tmp_path: Path) -> None:
    for name in ("one", "two"):
        init(tmp_path / name)
        hidden = textwrap.indent(vault.encrypt(f"sudo of {name}", tmp_path / name), "  ")
        write(
            tmp_path / name,
            hosts_yml="all: {hosts: {a.internal: }}\n",
            group_vars__all__mine_yml=f"ansible_become_password: !vault |\n{hidden}",
        )
    for name in ("one", "two"):
        found = load(tmp_path / name)
        password = found.hosts[0].connection.become_password
        assert password is not None
        assert password.get_secret_value() == f"sudo of {name}"
        assert found.secrets is not None
        assert f"sudo of {name}" not in repr(found)


# What is wrong with settings


def test_everything_wrong_is_reported_together_and_each_once_in_the_order_of_the_file(inventory: Path) -> None:
    write(
        inventory,
        hosts_yml="all: {hosts: {'a[01:40].internal': }}\n",
        group_vars__all_yml="context_lenght: 8192\nhttp_port: 443\nparallel: many\nopen_webui: 'yes'\n",
    )
    assert settings_error(inventory).splitlines()[1:] == [
        "  group_vars/all.yml:1: context_lenght is not a setting. Did you mean context_length?",
        "  group_vars/all.yml:2: http_port (group_vars/all.yml:2) and https_port (its default): cannot all be 443.",
        '  group_vars/all.yml:3: parallel is "many"; a whole number from 1 to 64 is needed.',
        '  group_vars/all.yml:4: open_webui is "yes"; true or false is needed. Leave out the quotes.',
    ]


def test_contradictions_are_reported_once_with_both_places(inventory: Path) -> None:
    write(
        inventory,
        hosts_yml="all: {hosts: {'a[01:40].internal': {https_port: 8080}}}\n",
        group_vars__all_yml="# ports\nopen_webui_port: 8080\n",
    )
    (line,) = settings_error(inventory).splitlines()[1:]
    assert "https_port (hosts.yml:1) and open_webui_port (group_vars/all.yml:2): cannot all be 8080." in line


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("http_prot: 80", "Did you mean http_port?"),
        ("Parallel: 2", "Did you mean parallel?"),
        ("keep-alive: 30m", "Did you mean keep_alive?"),
        ("open_webui_admin_pasword: secret12", "Did you mean open_webui_admin_password?"),
        ("zebra: 1", "A variable of your own begins with x_: x_zebra."),
        ("http_port: true", "http_port is true; a whole number from 1 to 65535 is needed."),
        ("http_port: 70000", "http_port is 70000; a whole number from 1 to 65535 is needed."),
        ("http_port: '8081'", 'http_port is "8081"; a whole number from 1 to 65535 is needed. Leave out the quotes.'),
        ("http_port: 80.5", "http_port is 80.5;"),
        ("http_port:", "http_port is null;"),
        ("context_length: 32k", 'context_length is "32k"; a whole number, 512 or more is needed.'),
        ("keep_alive: -1", 'keep_alive is -1; a time such as "30m", "2h" or "-1" is needed. Put it in quotes: "-1"'),
        ("kv_cache_type: Q8_0", 'kv_cache_type is "Q8_0"; one of f16, q8_0, q4_0 is needed. Write q8_0.'),
        ("ollama_version: v0.34.4", "Leave out the v."),
        ("ollama_version: 0.34", "ollama_version is 0.34; a version"),
        ("models: qwen3:8b", 'models is "qwen3:8b"; a list, each item a model tag such as "qwen3:8b" is needed.'),
        ("models: qwen3:8b", "Write it as a list: [qwen3:8b]"),
        ("models: [qwen3:8b, 5]", "models, item 2 is 5;"),
        ("models: {qwen3: 8b}", 'models is {"qwen3": "8b"};'),
        ("purposes: [chat, coding]", 'purposes, item 2 is "coding"; a list, each item one of chat, code'),
        ("note: [old]", "Write it without a list."),
        ("ollama_mirror: http://m.internal", "an address that begins with https:// is needed."),
        ("server_name: https://ai.internal", "a host name or an IPv4 address"),
        ("ollama_archive_sha256: ABC", "64 hex digits in lower case is needed."),
        ("ollama_port: '{{ x_nowhere }}'", "ollama_port: its template cannot be worked out: 'x_nowhere' is undefined"),
        ("ollama_port: '{{ lookup(\"nonesuch\") }}'", "The lookup plugin 'nonesuch' was not found."),
        ("ollama_port: '{{ 1 + }}'", "ollama_port: its template cannot be worked out:"),
    ],
)
def test_a_wrong_setting_is_named_with_file_and_line(inventory: Path, line: str, said: str) -> None:
    message = settings_error(one_host(inventory, f"---\n{line}\n"))
    assert "  group_vars/all.yml:2: " in message
    assert said in message


def test_a_wrong_port_is_not_reported_a_second_time_as_a_contradiction(inventory: Path) -> None:
    one_host(inventory, "https_port: 80.5\nhttp_port: 443\n")
    assert len(settings_error(inventory).splitlines()) == 2


def test_a_wrong_true_is_found_where_it_counts_not_where_it_is_overridden(inventory: Path) -> None:
    one_host(inventory, "---\nparallel: 2\n")
    write(inventory / "host_vars", **{"a.internal": "---\n# mine\nparallel: true\n"})
    assert "host_vars/a.internal:3: parallel is true" in settings_error(inventory)


def test_names_of_ansible_and_of_the_user_are_left_alone(inventory: Path) -> None:
    one_host(inventory, "ansible_python_interpreter: /usr/bin/python3\nx_mine: '{{ never_defined }}'\n")
    assert len(load(inventory).hosts) == 1


def test_whole_numbers_and_lists_are_taken_for_numbers_and_tuples(inventory: Path) -> None:
    one_host(inventory, "min_tokens_per_second: 5\nmodels: [qwen3:8b]\n")
    settings = load(inventory).hosts[0].settings
    assert (settings.min_tokens_per_second, settings.models) == (5.0, ("qwen3:8b",))


def test_two_hosts_with_one_server_name_are_told_about_aliases(inventory: Path) -> None:
    write(inventory, hosts_yml="all: {hosts: {a.internal: , b.internal: }}\n", group_vars__all_yml="server_name: ai\n")
    assert "a.internal, b.internal: server_name is ai for each" in settings_error(inventory)


# What is wrong with secrets


def test_an_inventory_without_secrets_has_none(inventory: Path) -> None:
    assert load(one_host(inventory)).secrets is None


def test_some_secrets_without_the_others_are_an_error_that_shows_no_value(inventory: Path) -> None:
    message = settings_error(one_host(inventory, "api_token: tooshort-value\n"))
    assert "fleet_ca_key is not set" in message
    assert "group_vars/all.yml:1: api_token: at least 16" in message
    assert "tooshort" not in message


def test_a_secret_of_one_host_alone_is_an_error(inventory: Path) -> None:
    write(inventory, hosts_yml="all: {hosts: {a.internal: {api_token: 'aaaaaaaaaaaaaaaaaaaa'}, b.internal: }}\n")
    message = settings_error(inventory)
    assert "hosts.yml:1: api_token differs between hosts" in message
    assert "aaaa" not in message


def test_a_lost_root_certificate_names_the_command_that_mends_it(inventory: Path) -> None:
    init(inventory)
    one_host(inventory)
    load(inventory).ca_certificate.unlink()
    assert f"Run: inhouse init {inventory}" in inventory_error(inventory)


def test_a_root_certificate_of_another_fleet_is_an_error(tmp_path: Path) -> None:
    for name in ("one", "two"):
        init(tmp_path / name)
        write(tmp_path / name, hosts_yml="all: {hosts: {a.internal: }}\n")
    load(tmp_path / "one").ca_certificate.write_text(load(tmp_path / "two").ca_certificate.read_text())
    assert "does not belong to fleet_ca_key" in inventory_error(tmp_path / "one")


@pytest.mark.parametrize(
    ("password", "said"), [(None, "no password is there. Put it into"), ("wrong\n", "does not open it")]
)
def test_secrets_that_cannot_be_decrypted_say_what_to_do(inventory: Path, password: str | None, said: str) -> None:
    init(inventory)
    one_host(inventory)
    (inventory / ".vault-password").unlink()
    if password:
        (inventory / ".vault-password").write_text(password)
    message = inventory_error(inventory)
    assert message.startswith("group_vars/all/secrets.yml: ")
    assert said in message


def test_a_vault_string_without_a_password_names_file_and_line(inventory: Path) -> None:
    init(inventory)
    hidden = textwrap.indent(vault.encrypt("x", inventory), "  ")
    write(
        inventory,
        hosts_yml="all: {hosts: {a.internal: }}\n",
        group_vars__all__mine_yml=f"---\nansible_become_password: !vault |\n{hidden}",
    )
    (inventory / "group_vars" / "all" / "secrets.yml").unlink()
    (inventory / ".vault-password").unlink()
    assert inventory_error(inventory).startswith("group_vars/all/mine.yml:2: encrypted with Ansible Vault, and no pass")


# What is wrong with the inventory


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"hosts_yml": "all:\n  hosts:\n    a.internal: {\n"}, "hosts.yml:4: this is no inventory."),
        ({"hosts_yml": "all:\n  hosts:\n    a: 1\n   b: 2\n"}, "hosts.yml:4: this is no inventory."),
        ({"hosts_yml": "all: {hosts: [a.internal]}\n"}, "hosts.yml"),
        ({"hosts_yml": "all: {hosts: {}}\n"}, "has no hosts. Add one under all: hosts:"),
        ({"hosts_yml": "# nothing yet\n"}, "hosts.yml"),
        ({"hosts_ini": "a.internal and something else\n"}, "hosts.ini"),
        (
            {"hosts_yml": "all: {hosts: {a.internal: }}\n", "group_vars__all_yml": "a: [\n"},
            "group_vars/all.yml:2: ",
        ),
        ({"hosts_yml": "all: {hosts: {a.internal: }}\n", "group_vars__all_yml": "- a\n"}, "group_vars/all.yml"),
        ({"hosts_yml": "all: {hosts: {a.internal: }}\n", "old.crt": "-----BEGIN CERTIFICATE-----\nMII\n"}, "old.crt"),
    ],
)
def test_what_ansible_would_skip_with_a_warning_is_an_error(
    inventory: Path, files: dict[str, str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    message = inventory_error(write(inventory, **files))
    assert said in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_any_file_is_an_error(inventory: Path) -> None:
    inventory.mkdir()
    assert "has no hosts" in inventory_error(inventory)


def test_a_path_that_is_not_there_suggests_the_nearest(tmp_path: Path) -> None:
    one_host(tmp_path / "home")
    one_host(tmp_path / "office")
    message = inventory_error(tmp_path / "hmoe")
    assert str(tmp_path / "home") in message
    assert "office" not in message
    assert f"To begin one: inhouse init {tmp_path / 'hmoe'}" in message


def test_the_shim_of_plain_pyinfra_is_no_inventory(inventory: Path) -> None:
    one_host(inventory)
    shim = inventory.with_name("home.py")
    shim.write_text("")
    assert inventory_error(shim).endswith(f"Name the folder: {inventory}")


# How hosts are reached


def test_connection_variables_are_understood(inventory: Path) -> None:
    one_host(
        inventory,
        """
        ansible_host: 192.0.2.7
        ansible_port: "2222"
        ansible_user: admin
        ansible_ssh_private_key_file: keys/id
        ansible_ssh_common_args: -F {{ inventory_dir }}/group_vars/ssh_config
        ansible_become: "yes"
        ansible_become_pass: 1234
        """,
    )
    write(inventory / "group_vars", ssh_config="Host *\n")
    found = load(inventory).hosts[0].connection
    assert (found.kind, found.address, found.port, found.user) == ("ssh", "192.0.2.7", 2222, "admin")
    assert found.private_key_file == str(inventory / "keys/id")
    assert found.ssh_config_file == str(inventory / "group_vars" / "ssh_config")
    assert found.become
    assert found.become_password is not None
    assert found.become_password.get_secret_value() == "1234"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ansible_connection: docker", 'ansible_connection: "docker" is not supported; ssh or local is needed.'),
        ("ansible_port: ssh", '"ssh" is no port'),
        ("ansible_port: 0", '"0" is no port'),
        ("ansible_password: x", "Use a key: ssh-copy-id USER@HOST"),
        ("ansible_ssh_pass: x", "Use a key: ssh-copy-id USER@HOST"),
        ("ansible_ssh_common_args: -o ProxyJump=gate", "only -F FILE is understood. Put it into an ssh config file"),
        ("ansible_ssh_common_args: -F 'unclosed", "only -F FILE is understood."),
        ("ansible_ssh_common_args: -F nowhere", "home/nowhere does not exist."),
        ("ansible_ssh_extra_args: -v", "Put it into an ssh config file"),
        ("ansible_become: perhaps", "true or false is needed."),
        ("ansible_become_user: admin", "root is needed (leave it out)."),
        ("ansible_become_method: su", "sudo is needed (leave it out)."),
        ("ansible_host: [a, b]", "ansible_host: text is needed."),
        ("ansible_user: '{{ x_nobody }}'", "its template cannot be worked out: 'x_nobody' is undefined"),
    ],
)
def test_a_connection_that_not_every_tool_understands_is_an_error(inventory: Path, line: str, said: str) -> None:
    message = inventory_error(one_host(inventory, f"---\n{line}\n"))
    assert "  group_vars/all.yml:2: " in message
    assert said in message


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("ansible_host: 192.0.2.1", "ansible_host: 192.0.2.1", True),
        ("ansible_host: b.internal", "", True),
        ("ansible_host: B.internal", "", True),
        ("ansible_connection: local", "ansible_connection: local", True),
        ("ansible_host: 192.0.2.1", "{ansible_host: 192.0.2.1, ansible_port: 2222}", False),
        ("", "", False),
    ],
)
def test_two_names_for_one_machine_are_an_error(inventory: Path, first: str, second: str, same: bool) -> None:
    hosts = ", ".join(f"{name}.internal: {{{text.strip('{}')}}}" for name, text in (("a", first), ("b", second)))
    write(inventory, hosts_yml=f"all: {{hosts: {{{hosts}}}}}\n")
    if same:
        assert "a.internal and b.internal are one machine" in inventory_error(inventory)
    else:
        assert len(load(inventory).hosts) == 2


# Only some hosts


@pytest.mark.parametrize(
    ("patterns", "count"),
    [(["gpu"], 36), (["ams", "nyc"], 39), (["chat0*.nyc*"], 8), (["all"], 39), (["code01.ams.example.internal "], 1)],
)
def test_an_inventory_is_limited_to_hosts_and_groups(patterns: list[str], count: int) -> None:
    assert len(load(SHIPPED / "fleet").limited_to(patterns).hosts) == count


def test_a_limit_that_matches_nothing_suggests_the_nearest() -> None:
    with pytest.raises(InventoryError, match=r'"chat_server" is no host or group.*chat_servers'):
        load(SHIPPED / "fleet").limited_to(["gpu", "chat_server"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nvidia_driver_branch: 595", 'is 595; text is needed. Put it in quotes: "595"'),
        ("nvidia_driver_reboot: always", 'is "always"; one of never, if_needed is needed.'),
        ("container_engine_log_max_files: '3'", 'is "3"; a whole number is needed. Leave out the quotes.'),
        ("container_engine_daemon: [debug]", "a mapping of names to values is needed."),
        ("nvidia_driver_branche: '580'", "nvidia_driver_branche is not a setting. Did you mean nvidia_driver_branch?"),
        ("nvidia_driver_drain: ollama.service", "Write it as a list: [ollama.service]"),
    ],
)
def test_variables_of_roles_are_checked_as_settings_are(inventory: Path, line: str, said: str) -> None:
    message = settings_error(one_host(inventory, f"---\n{line}\n"))
    assert "  group_vars/all.yml:2: " in message
    assert said in message


def test_variables_of_roles_are_kept_by_name(inventory: Path) -> None:
    one_host(inventory, "nvidia_driver_branch: '580'\ncontainer_engine_daemon: {debug: true}\n")
    stated = load(inventory).hosts[0].role_variables
    assert stated.get("nvidia_driver_branch") == "580"
    assert stated.get("container_engine_daemon") == {"debug": True}
    assert stated.get("nvidia_driver_hold") is None
    assert "nvidia_driver_hold" not in stated
