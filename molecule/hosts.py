"""Makes and removes the lab hosts of a scenario; called by create.yml and destroy.yml.

hosts.py up SCENARIO FOLDER INSTANCE_CONFIG MOLECULE_FILE
hosts.py down SCENARIO
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from inhouse.errors import LabError
from inhouse.lab import lab as labs
from inhouse.lab import vm_lab
from inhouse.lab.network import SSH_PORT
from inhouse.lab.paths import private_dir
from inhouse.lab.ssh import USER, ClientFiles


def lab_name(scenario: str) -> str:
    """Name of the scenario's lab; two checkouts on one machine each have their own. Names are at most 30 long."""
    checkout = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:4]
    return f"molecule-{scenario.replace('_', '-')[:16]}-{checkout}"


def up(scenario: str, folder: str, instance_config: str, molecule_file: str) -> None:
    """Makes one lab host per platform of the scenario and tells Molecule how to reach them.

    Args:
        scenario: its name.
        folder: where the lab's inventory is written.
        instance_config: file that Molecule's default driver reads.
        molecule_file: the scenario's configuration; each of its `platforms` has a `name` and a lab `profile`. One may
            have `settings` of inhouse as well, and `mirror: true` where inhouse itself runs: the lab then stands in
            for the makers of Ollama and of its models. Those of virtual machines have a `machine` with the fields of
            `vm_lab.Wanted`.

    Raises:
        LabError: the hosts cannot be made here.
    """
    platforms = yaml.safe_load(Path(molecule_file).read_text())["platforms"]
    if any("machine" in platform for platform in platforms):
        inventory = vm_lab.up(lab_name(scenario), _machines(platforms), Path(folder), on_step=print)
    else:
        # Mostly without a mirror: what a role installs comes from Debian, or from what the scenario itself serves.
        upstream = not any(p.get("mirror") for p in platforms)
        profiles = {p["name"]: p["profile"] for p in platforms}
        inventory = labs.up(lab_name(scenario), profiles, Path(folder), on_step=print, upstream=upstream)
    for platform in platforms:
        write_settings(inventory, platform["name"], platform.get("settings", {}))
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["hosts"]
    instances = [
        {
            "instance": name,
            "address": host["ansible_host"],
            "port": host.get("ansible_port", SSH_PORT),
            "user": USER,
            "identity_file": str(ClientFiles(private_dir(inventory)).key),
        }
        for name, host in hosts.items()
    ]
    Path(instance_config).write_text(yaml.safe_dump(instances))


def write_settings(inventory: Path, host: str, settings: Mapping[str, Any]) -> None:
    """Adds what inhouse is to do on this host to the lab's inventory."""
    if settings:
        file = inventory / "host_vars" / host / "scenario.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(dict(settings)))


def _machines(platforms: Sequence[Mapping[str, Any]]) -> dict[str, vm_lab.Wanted]:
    """Virtual machines as the platforms describe them; Molecule's one ssh configuration has no room for both kinds."""
    if containers := [platform["name"] for platform in platforms if "machine" not in platform]:
        raise LabError(
            f"hosts of a scenario are all virtual machines or none: {', '.join(containers)} has no `machine`"
        )
    return {p["name"]: vm_lab.Wanted(p["profile"], **p["machine"]) for p in platforms}


def down(scenario: str) -> None:
    """Removes the scenario's lab hosts; none is fine.

    Raises:
        LabError: the engine refuses.
    """
    vm_lab.down(lab_name(scenario))
    if lab_name(scenario) in {lab.name for lab in labs.labs()}:
        labs.down(lab_name(scenario))


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["up", scenario, folder, instance_config, molecule_file]:
                up(scenario, folder, instance_config, molecule_file)
            case ["down", scenario]:
                down(scenario)
            case _:
                sys.exit(__doc__)
    except LabError as error:
        sys.exit(str(error))
