"""The host itself: we get in, it is ours, its clock is right, its disk has room."""

import time

from testinfra.host import Host

from inhouse.layout import FLEET_MARKER
from inhouse.planner.plan import Plan
from inhouse.smoke.backend import NoAnswer, output
from inhouse.smoke.expect import Broken, expect, paragraph, shortened
from inhouse.smoke.marks import inside, provides
from inhouse.smoke.subject import Subject

CLOCK_TOLERANCE_S = 300
"""Beyond it certificates and session tokens begin to look as if they were of another time."""


@provides("login")
def test_login(host: Host, subject: Subject) -> None:
    """The host lets the controller in"""
    wanted = "0" if subject.connection.become else None
    try:
        answer = host.run("id -u")
    except NoAnswer as error:
        raise Broken(
            paragraph(
                found=shortened(str(error)),
                expected=f"a login at {subject.connection.address}",
                cause="the host is off, or its address, user, key or host key in the inventory is not right",
                run=subject.on_host("true"),
            )
        ) from error
    expect(
        answer.rc == 0 and wanted in (None, answer.stdout.strip()),
        found=shortened(answer.stderr) or f"user id {answer.stdout.strip()}",
        expected="commands run as root",
        cause="sudo wants a password that the inventory does not hold (ansible_become_password), or refuses this user",
        run=subject.on_host("id -u"),
    )


@inside
def test_fleet_marker(host: Host, subject: Subject) -> None:
    """The host belongs to this fleet"""
    answer = host.run("cat %s", FLEET_MARKER)
    expect(
        answer.stdout.strip() == subject.fleet,
        found=f"{FLEET_MARKER} holds {answer.stdout.strip()[:23]}…" if answer.rc == 0 else f"no {FLEET_MARKER}",
        expected=f"{subject.fleet[:23]}…, the fingerprint of this inventory's CA",
        cause="another inventory manages this host, or it was never deployed",
        run=subject.here("up"),
    )


@inside
def test_clock(host: Host, subject: Subject) -> None:
    """The host's clock is right to within 5 minutes"""
    before = time.time()
    offset = float(output(host, "date +%s")) - before
    expect(
        abs(offset) <= CLOCK_TOLERANCE_S,
        found=f"the host's clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the controller's",
        expected=f"at most {CLOCK_TOLERANCE_S} s",
        cause="no time synchronisation on one of the two",
        run=subject.on_host("timedatectl"),
    )


@inside
def test_disk_headroom(host: Host, plan: Plan, subject: Subject) -> None:
    """The models' disk keeps its reserve free"""
    answer = host.run("df -Pk -- %s", plan.ollama_models_dir)
    expect(
        answer.rc == 0,
        found=shortened(answer.stderr),
        expected=f"a file system at {plan.ollama_models_dir}",
        cause="the models' folder is gone, or its disk is not mounted",
        run=subject.on_host("findmnt"),
    )
    free_mib = int(answer.stdout.splitlines()[-1].split()[3]) // 1024
    expect(
        free_mib >= plan.disk_reserve_mib,
        found=f"{free_mib} MiB free at {plan.ollama_models_dir}",
        expected=f"{plan.disk_reserve_mib} MiB (disk_reserve_mib)",
        cause="models that are no longer in the plan, logs, or something else on the same disk",
        run=subject.on_host(f"du -xh --max-depth=2 {plan.ollama_models_dir}"),
    )
