"""What `verify` measured, kept beside the inventory: a measured speed replaces a predicted one."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Speeds:
    """Measured tokens/s by device and model."""

    by_device: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, device: str, tag: str) -> float | None:
        """Tokens/s of a model on a device (`device_name`); None if it was never measured there."""
        return self.by_device.get((device, tag))


NONE = Speeds()
