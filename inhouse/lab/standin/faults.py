"""Misbehaviour on command: a file on the host says how, and is read again at every request.

    {"fault": "slow", "tokens_per_second": 1.0}

| fault | what the server then does |
|---|---|
| none, or no file | behaves |
| cpu-fallback | loads models on the processor, whatever GPU there is, without a word |
| slow | writes at most `tokens_per_second` tokens a second (1 when not given) |
| hang | takes the request for a model and answers nothing |
| queue-full | refuses requests for a model with 503 |
| dying-child | its `llama-server` is killed after the third token |
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE = Path("/etc/inhouse-lab/ollama.json")
FILE_VARIABLE = "INHOUSE_LAB_FAULTS"
"""Names another file than `FILE`: several servers on one machine."""


@dataclass(frozen=True)
class Fault:
    """What is asked for now."""

    name: str = "none"
    tokens_per_second: float = 1.0


def current() -> Fault:
    """The fault in force."""
    try:
        asked = json.loads(Path(os.environ.get(FILE_VARIABLE, FILE)).read_text())
    except (OSError, json.JSONDecodeError):
        return Fault()
    return Fault(str(asked.get("fault", "none")), float(asked.get("tokens_per_second", 1.0)))
