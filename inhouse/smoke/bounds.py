"""How long a host may take. Pure."""

from typing import Final

from inhouse.planner.plan import Plan, PlannedModel
from inhouse.smoke.ollama import FIRST_TOKEN_S, MOST_RUNS

LOAD_BASE_S: Final = 120.0
"""Starting an engine; on a device whose shaders are compiled at the first load, half a minute of it."""
SLOWEST_DISK_MIB_PER_S: Final = 50.0
BASE_S: Final = 300.0
"""All tests that load no model, on a host that answers slowly."""


def load_bound_s(model: PlannedModel) -> float:
    """Seconds within which a model must be in memory and answer its first request."""
    return LOAD_BASE_S + model.weights_mib / SLOWEST_DISK_MIB_PER_S


def host_bound_s(plan: Plan) -> float:
    """Seconds after which a host's tests are stopped: nothing that works, however slowly, takes that long."""
    return BASE_S + sum(load_bound_s(model) + FIRST_TOKEN_S * (MOST_RUNS + 1) for model in plan.models)
