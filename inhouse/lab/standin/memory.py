"""What a model occupies, added up from the lines `llama-server` writes while it loads: pure.

This is how the real server fills `size` and `size_vram`.
"""

import re
from dataclasses import dataclass, field

MIB = 1024 * 1024
_BUFFER = re.compile(r"([A-Za-z_]\w*):\s+(\S+)\s+(model|KV|compute|output|RS)\s+buffer size\s*=\s*([\d.]+)\s*MiB")
_LAYERS = re.compile(r"offloaded\s+(\d+)/(\d+)\s+layers to GPU")


def on_gpu(buffer: str) -> bool:
    """A buffer of that name lies in a GPU's own memory."""
    return not (buffer in ("CPU", "BLAS") or buffer.startswith("CPU_") or buffer.endswith("_Host"))


@dataclass
class Memory:
    """Sum of the buffers seen so far. A later line of the same kind replaces the earlier: a dry run comes first."""

    buffers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    layers_on_gpu: int = 0
    layers: int = 0

    def read(self, line: str) -> None:
        """Take in one line of the engine's output."""
        layers = _LAYERS.search(line)
        if layers:
            self.layers_on_gpu, self.layers = int(layers[1]), int(layers[2])
        buffer = _BUFFER.search(line)
        if buffer:
            self.buffers[buffer[1], buffer[2], buffer[3]] = int(float(buffer[4]) * MIB)

    def sizes(self, file_size: int) -> tuple[int, int]:
        """`size` and `size_vram` in bytes.

        Args:
            file_size: of the weights: the measure of last resort, and the limit of what is mapped from it.
        """
        if not self.buffers:
            return file_size, file_size
        total = sum(self.buffers.values())
        gpu = sum(size for (_, buffer, _), size in self.buffers.items() if on_gpu(buffer))
        model = {buffer: size for (_, buffer, kind), size in self.buffers.items() if kind == "model"}
        mapped = sum(size for buffer, size in model.items() if buffer.endswith("_Mapped") and not on_gpu(buffer))
        from_file = mapped + sum(size for buffer, size in model.items() if on_gpu(buffer))
        if mapped and from_file > file_size:
            # A mapping spans what lies between the first and the last tensor, even what a GPU holds already.
            total -= min(mapped, from_file - file_size)
        if self.layers and self.layers_on_gpu >= self.layers:
            total = gpu
        return total, gpu
