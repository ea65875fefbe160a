"""Records what ansible-runner tells of playbook.yml: python -m tests.ansible_events.record

One host for each way a task can end; each is this machine, but for `gone`, where nothing listens.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible_runner.interface import run

FOLDER = Path(__file__).parent
RECORDING = FOLDER / "events.jsonl"
HOSTS = ("fine", "changed", "refused", "broken", "looped", "hidden", "mended", "rebooted", "waiting", "gone")
KEPT = ("host", "task", "task_action", "role", "res", "ignore_errors", "failures", "dark")
"""What inhouse reads of an event; the rest holds times and paths of the machine it was recorded on."""
LEFT_OUT = ("runner_on_start", "runner_on_skipped", "runner_on_file_diff")
TIMES = ("start", "end", "delta", "invocation")


def record() -> None:
    """Run the playbook and write the events down."""
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> bool:
        if event["event"] in LEFT_OUT:
            return False
        data = {key: value for key, value in (event.get("event_data") or {}).items() if key in KEPT}
        data["res"] = {key: value for key, value in (data.get("res") or {}).items() if key not in TIMES}
        said = {"stdout": event["stdout"]} if event["event"] == "verbose" else {}
        events.append({"event": event["event"], **said, "event_data": data})
        return False

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "changed.conf").write_text("old\nsame\n")
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "x_folder": name}
        gone = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
        hosts = {host: here | (gone if host == "gone" else {}) for host in HOSTS}
        run(
            private_data_dir=name,
            playbook=str(FOLDER / "playbook.yml"),
            inventory={"all": {"hosts": hosts}},
            cmdline="--diff",
            envvars={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            event_handler=keep,
            quiet=True,
        )
        text = "".join(f"{json.dumps(event, sort_keys=True)}\n" for event in events).replace(name, "/etc/example")
    RECORDING.write_text(text)


if __name__ == "__main__":
    record()
