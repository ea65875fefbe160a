"""Why a model is not on the GPU: Ollama falls back to the CPU without a word, the host knows more."""

from testinfra.host import Host

from inhouse.layout import OLLAMA_UNIT
from inhouse.planner.plan import Plan, PlannedModel
from inhouse.smoke.backend import NoAnswer
from inhouse.smoke.expect import shortened

QUERY = "nvidia-smi --query-gpu=name,driver_version,memory.used,memory.total --format=csv,noheader"
JOURNAL = f"journalctl --unit {OLLAMA_UNIT} --boot --no-pager --quiet --output cat --grep"


RENDER_NODES = "ls /dev/dri/renderD*"
VULKAN_DRIVERS = "ls /usr/share/vulkan/icd.d"


def causes_of_fallback(host: Host, model: PlannedModel, plan: Plan) -> str:
    """Return what the host itself says about its GPU, as one clause."""
    if model.gpu_share == 0:
        return "the plan is older than the host's driver or GPU"
    try:
        return _from_mesa(host) if plan.accelerator == "vulkan" else _from_driver(host)
    except NoAnswer as error:
        return f"unknown, the host did not say ({shortened(str(error))})"


def _from_driver(host: Host) -> str:
    too_old = host.run(f"{JOURNAL} 'driver too old' --lines 1")
    if too_old.rc == 0 and too_old.stdout.strip():
        return f"Ollama's journal says: {shortened(too_old.stdout)}"
    driver = host.run(QUERY)
    if driver.rc != 0:
        said = shortened(driver.stdout or driver.stderr)
        return f"the driver does not work; nvidia-smi says: {said}"
    return (
        f"the driver works ({shortened(driver.stdout)}; name, version, memory used, total), so other programs fill the "
        f"GPU's memory, or Ollama does not see the device"
    )


def _from_mesa(host: Host) -> str:
    if host.run(RENDER_NODES).rc != 0:
        return "there is no device below /dev/dri; the kernel says why: sudo dmesg | grep amdgpu"
    if "radeon" not in host.run(VULKAN_DRIVERS).stdout:
        return "Mesa's Vulkan driver for Radeon is missing (package mesa-vulkan-drivers)"
    return (
        "the device and Mesa's driver are there, so other programs fill the GPU's memory, or the user ollama may not "
        "open the device (groups render and video)"
    )
