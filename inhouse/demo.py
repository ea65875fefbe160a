"""`inhouse demo`: three throw-away hosts, everything deployed on them, and a link to click."""

from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from rich.console import Console
from rich.text import Text

from inhouse.console import Progress, program
from inhouse.errors import LabError
from inhouse.inventory import Inventory, load
from inhouse.lab import controller
from inhouse.lab import lab as labs
from inhouse.planner.show import plan_view
from inhouse.settings import HostSettings
from inhouse.summary import print_outcome
from inhouse.survey import survey
from inhouse.up import Outcome, apply

LAB_NAME = "demo"
CHAT_HOST = "cpu-small"
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Cast:
    """Which hosts the demo makes, and what is real about them."""

    hosts: dict[str, str]
    upstream: bool
    """Whether Ollama and its models come from their makers."""

    @property
    def truth(self) -> str:
        """One sentence for the first and the last line."""
        if self.upstream:
            return (
                "Real Ollama and two tiny real models, from their makers; the hosts are containers with pretended "
                "hardware, and the GPU is Mesa's software Vulkan device."
            )
        return (
            "Ollama's release host does not answer here: a stand-in takes the place of Ollama's server, with the real "
            "llama.cpp engine and one real 270M model under every model's name. Answers are generated, not canned; "
            "hardware, model sizes and GPU shares are pretended."
        )


STAND_IN = Cast({"cpu-small": "cpu-small", "rtx-4090": "rtx-4090", "old-driver": "old-driver"}, upstream=False)
UPSTREAM = Cast({"cpu-small": "cpu-small", "rtx-4090": "software-gpu", "old-driver": "old-driver"}, upstream=True)


def demo(console: Console, *, keep: bool) -> int:
    """Make the hosts, deploy, test, and say where to click. Return the exit code.

    Where no container can be started, say why, and show what needs no hosts.
    """
    cast = UPSTREAM if release_host_answers() else STAND_IN
    console.print(cast.truth)
    progress = Progress(console)
    try:
        controller.client()
    except LabError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        show_this_machine(console, progress)
        return 1
    folder = labs.up(
        LAB_NAME, cast.hosts, Path("inventories") / LAB_NAME, on_step=progress.line, upstream=cast.upstream
    )
    chat_on_one_host(folder, cast)
    inventory = load(folder)
    found = survey(inventory, progress)
    for plan in found.plans.values():
        console.print(plan_view(plan), crop=False)
    outcome = apply(found, progress)
    print_outcome(console, outcome)
    if keep:
        console.print(how_to_go_on(inventory, outcome), soft_wrap=True)
    else:
        labs.down(LAB_NAME)
    console.print(cast.truth)
    return 0 if outcome.ok else 1


def chat_on_one_host(folder: Path, cast: Cast) -> None:
    """Have Open-WebUI on one host and not on the others: three installations would take this machine too long."""
    for host in cast.hosts:
        if host != CHAT_HOST:
            settings = folder / "host_vars" / host / "demo.yml"
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text("---\nopen_webui: false\n")


def release_host_answers() -> bool:
    """Whether Ollama's releases can be fetched from here."""
    settings = HostSettings()
    try:
        answer = httpx.get(
            f"{settings.ollama_mirror}/v{settings.ollama_version}/sha256sum.txt",
            timeout=_PROBE_SECONDS,
            follow_redirects=True,
        )
    except httpx.HTTPError:
        return False
    return answer.is_success


def show_this_machine(console: Console, progress: Progress) -> None:
    """Show this machine's hardware, what it could run and why: that needs no lab, and no root either."""
    from inhouse.facts.show import facts_view
    from inhouse.paths import default_inventory

    console.print("What needs no hosts: this machine, and what it could run.")
    inventory = load(default_inventory())
    hosts = tuple(replace(host, connection=replace(host.connection, become=False)) for host in inventory.hosts)
    found = survey(replace(inventory, hosts=hosts), progress)
    for error in found.errors.values():
        console.print(str(error), style="red", markup=False)
    for facts in found.facts.values():
        console.print(facts_view(facts))
    for plan in found.plans.values():
        console.print(plan_view(plan), crop=False)


def how_to_go_on(inventory: Inventory, outcome: Outcome) -> Text:
    """Return where to sign in, with the password (shown nowhere else), and how to trust the certificate."""
    chats = [plan for plan in outcome.survey.plans.values() if plan.open_webui and outcome.host_ok(plan.host)]
    if not chats or inventory.secrets is None:
        return Text("")
    plan = chats[0]
    password = inventory.secrets.open_webui_admin_password.get_secret_value()
    us = program()
    url = f"https://{plan.address}:{plan.https_port}/".replace(":443/", "/")  # the name is known to nobody's browser
    return Text.assemble(
        ("\nChat: ", "bold"),
        (url, f"link {url}"),
        ("\n  sign in as ", ""),
        (plan.open_webui_admin_email, "bold"),
        (" with ", ""),
        (password, "bold"),
        f"\n  trust its certificate: import {inventory.ca_certificate} into your browser as an authority\n"
        f"  or look from the shell: curl --cacert {inventory.ca_certificate} {url}\n"
        f"Look around: {us} plan {inventory.path} · {us} verify {inventory.path}\n"
        f"Remove every trace: {us} lab down --name {LAB_NAME}\n",
    )
