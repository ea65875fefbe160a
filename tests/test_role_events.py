"""What ansible-runner tells becomes lines as it happens and one result per host, on recorded events."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from inhouse.results import RoleResult
from inhouse.role_events import AT_THE_CONSOLE, Story, differences, failure, unreachable
from tests.ansible_events.record import HOSTS, RECORDING

EVENTS = [json.loads(line) for line in RECORDING.read_text().splitlines()]


def told(events: Iterable[Mapping[str, Any]]) -> tuple[Story, list[str]]:
    story = Story()
    return story, [line for event in events for line in story.add(event)]


STORY, LINES = told(EVENTS)
RESULTS = STORY.results(HOSTS)


def event(kind: str, host: str = "gpu1", action: str = "ansible.builtin.command", **data: object) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": host, "task": "GPUs work", "task_action": action, **data}}


def test_a_host_where_nothing_had_to_be_done_is_unchanged() -> None:
    assert RESULTS["fine"] == RoleResult(host="fine", status="unchanged", changes=())
    assert [line for line in LINES if line.startswith("  fine:")] == []


def test_changes_are_named_and_shown_as_they_happen() -> None:
    assert RESULTS["changed"].status == "changed"
    assert RESULTS["changed"].changes == ("Configuration is in place", "Would be installed: docker.io")
    assert "  changed: Configuration is in place … changed" in LINES
    assert "  changed: Would be installed: docker.io" in LINES
    assert LINES.index("Configuration is in place") < LINES.index("  changed: Configuration is in place … changed")


def test_differences_of_files_are_kept_as_a_person_reads_them() -> None:
    (one,) = RESULTS["changed"].differences
    assert one.task == "Configuration is in place"
    assert one.difference.splitlines()[:2] == ["--- /etc/example/changed.conf", "+++ /etc/example/changed.conf"]
    assert one.difference.splitlines()[3:] == ["-old", "+new", " same"]


def test_what_a_role_says_of_a_failure_is_one_paragraph_without_the_hosts_name() -> None:
    assert RESULTS["refused"].status == "failed"
    assert RESULTS["refused"].error == "driver 535 found, 550 needed. Run: inhouse up"
    assert "  refused: What is wrong is told … failed" in LINES


def test_a_command_that_fails_is_named_by_its_task_with_what_it_said() -> None:
    assert RESULTS["broken"].error == "Module is built: non-zero return code: cc1 not found"


def test_of_a_loop_only_the_items_that_failed_are_told() -> None:
    assert RESULTS["looped"].error == "Packages are there: non-zero return code: bb is missing"


def test_what_may_be_secret_is_not_told() -> None:
    assert "the-secret" not in RECORDING.read_text()
    assert RESULTS["hidden"].error == "Key is known: failed. Its output is hidden, because it may hold secrets."


def test_failures_that_were_ignored_or_mended_are_none() -> None:
    assert RESULTS["mended"].error == ""
    assert RESULTS["mended"].changes == ("Mended",)
    assert "  mended: Failure that does not matter … failed" not in LINES


def test_a_host_that_does_not_come_back_is_sent_to_its_console() -> None:
    assert RESULTS["rebooted"].status == "failed"
    assert RESULTS["rebooted"].error.endswith(AT_THE_CONSOLE)
    lost = event("runner_on_unreachable", action="ansible.builtin.reboot", res={"msg": "No route to host"})
    assert unreachable(lost["event_data"]).startswith("It did not come back from a reboot (No route to host).")


def test_a_reboot_that_is_due_and_not_allowed_names_the_setting() -> None:
    assert RESULTS["waiting"].reboot_setting == "nvidia_driver_reboot"
    assert RESULTS["waiting"].told == ("reboot needed: module 570 is loaded, libraries are 580.",)
    assert {result.reboot_setting for result in RESULTS.values()} == {"", "nvidia_driver_reboot"}


def test_a_host_that_cannot_be_reached_says_so() -> None:
    assert RESULTS["gone"].status == "failed"
    assert RESULTS["gone"].error.startswith("Connection lost or refused at the task 'Nothing has to be done': ")
    assert RESULTS["gone"].error.endswith("Connection refused")


def test_steps_are_named_once_and_what_only_leads_to_them_is_not() -> None:
    assert LINES.count("Module is built") == 1
    assert "Reboot that is due is known" not in LINES


def test_a_role_is_named_with_its_tasks() -> None:
    _, lines = told([event("playbook_on_task_start", role="nvidia_driver")])
    assert lines == ["nvidia_driver: GPUs work"]


@pytest.mark.parametrize("until", [5, len(EVENTS) - 1])
def test_a_run_that_did_not_come_to_its_end_finished_no_host(until: int) -> None:
    story, _ = told(EVENTS[:until])
    story.said.append("ERROR! out of memory")
    assert story.results(["fine"])["fine"].error == "Not finished. Ansible ended with: ERROR! out of memory"
    assert story.results(["fine"], interrupted=True)["fine"].error.startswith("Interrupted.")


def test_a_host_that_ansible_left_out_is_not_taken_for_done() -> None:
    assert STORY.results(["other"])["other"].error.startswith("Ansible did not come to this host.")


def test_lists_of_packages_are_differences_too() -> None:
    prepared = {"diff": {"prepared": "The following NEW packages will be installed:\n  docker.io\n"}}
    assert list(differences(prepared)) == ["The following NEW packages will be installed:\n  docker.io"]
    assert list(differences({"diff": [{"before": "a\n", "after": "a\n"}]})) == []


def test_a_failure_without_words_is_still_a_failure() -> None:
    assert failure("gpu1", event("runner_on_failed", res={})["event_data"]) == "GPUs work: failed"
