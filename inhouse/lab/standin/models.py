"""A model of the store, ready to be run, listed or shown."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import ggufhead, golang, log
from .names import Name
from .store import LAYER_TYPE, Store, digests


@dataclass(frozen=True)
class Model:
    """What the manifest and its small layers say."""

    name: Name
    digest: str
    """SHA-256 of the manifest's bytes, without a prefix."""
    size: int
    """Bytes of all layers and the config."""
    modified: float
    config: dict[str, Any]
    file: Path | None
    """The weights."""
    parent: str
    template: str
    system: str
    params: dict[str, Any]
    license: str

    def head(self, lists: bool = False) -> ggufhead.Head | None:
        """Head of the weights' file; None where that is missing or not whole."""
        if self.file is None:
            return None
        try:
            return ggufhead.read(self.file, self.file.stat().st_size, lists)
        except (OSError, ggufhead.BadFile) as error:
            log.line("couldn't open model file", level="ERROR", error=error)
            return None

    @property
    def capabilities(self) -> list[str]:
        """What the weights and the template can do."""
        head = self.head()
        if head is None:
            log.line("unknown capabilities for model", level="WARN", model=self.name)
            return []
        if is_encoder(head):
            return ["embedding"]
        found = ["completion"]
        found += ["tools"] if ".Tools" in self.template else []
        found += ["insert"] if ".Suffix" in self.template else []
        found += ["vision"] if head.of_architecture("vision.block_count") else []
        return found + (["thinking"] if ".Thinking" in self.template else [])

    def details(self) -> dict[str, Any]:
        """The part that tags, show and ps share."""
        return {
            "parent_model": self.parent,
            "format": self.config.get("model_format", ""),
            "family": self.config.get("model_family", ""),
            "families": self.config.get("model_families"),
            "parameter_size": self.config.get("model_type", ""),
            "quantization_level": self.config.get("file_type", ""),
        }


def is_encoder(head: ggufhead.Head) -> bool:
    """The model embeds and does not write."""
    return head.of_architecture("pooling_type") is not None


def load(store: Store, name: Name) -> Model:
    """Read the model called `name`.

    Raises:
        FileNotFoundError: no such model, or one of its small layers is gone.
        GoError: its manifest is damaged.
    """
    content, manifest = store.manifest(name)

    def text(kind: str) -> str:
        return next((store.blob(layer["digest"]).read_text() for layer in _layers(manifest, kind)), "")

    weights = _layers(manifest, "model")
    config = golang.loads(store.blob(manifest["config"]["digest"]).read_text()) if digests(manifest) else {}
    sizes = [layer["size"] for layer in [*manifest["layers"], manifest["config"]]]
    return Model(
        name=name,
        digest=hashlib.sha256(content).hexdigest(),
        size=sum(sizes),
        modified=store.manifest_path(name).stat().st_mtime,
        config=config,
        file=store.blob(weights[0]["digest"]) if weights else None,
        parent=weights[0].get("from", "") if weights else "",
        template=text("template") or "{{ .Prompt }}",
        system=text("system"),
        params=golang.loads(text("params") or "{}"),
        license=text("license"),
    )


def _layers(manifest: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [layer for layer in manifest["layers"] if layer["mediaType"] == LAYER_TYPE + kind]


def shown(model: Model, verbose: bool) -> dict[str, Any]:
    """The answer of /api/show.

    Raises:
        FileNotFoundError: the weights are missing.
    """
    head = model.head(lists=verbose)
    if head is None:
        raise FileNotFoundError(str(model.file))
    keys = {"general.parameter_count": head.parameters, **head.keys}
    for hidden in ("general.alignment", "general.name", "tokenizer.chat_template"):
        keys.pop(hidden, None)
    answer = {
        "license": model.license,
        "modelfile": _modelfile(model),
        "parameters": "\n".join(f"{key:<30} {value}" for key, value in _parameter_lines(model)),
        "template": model.template,
        "system": model.system,
    }
    return {
        **{key: value for key, value in answer.items() if value},
        "details": model.details(),
        "model_info": dict(sorted(keys.items())),
        "tensors": [
            {"name": tensor.name, "type": tensor.type, "shape": list(tensor.shape)}
            for tensor in sorted(head.tensors, key=_tensor_order)
        ],
        "capabilities": model.capabilities,
        "modified_at": golang.timestamp(model.modified),
    }


def _tensor_order(tensor: ggufhead.Tensor) -> tuple[int, str]:
    """Tensors outside the blocks first, then block after block."""
    block = re.match(r"blk\.(\d+)\.", tensor.name)
    return (int(block[1]) if block else -1, tensor.name)


def _parameter_lines(model: Model) -> list[tuple[str, str]]:
    lines = []
    for key, value in sorted(model.params.items()):
        for item in value if isinstance(value, list) else [value]:
            lines.append((key, golang.dumps(item)))
    return lines


def _modelfile(model: Model) -> str:
    parameters = "".join(f"PARAMETER {key} {value}\n" for key, value in _parameter_lines(model))
    system = f'SYSTEM "{model.system}"\n' if model.system else ""
    return (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        f"# FROM {model.name.short}\n\n"
        f"FROM {model.file}\nTEMPLATE {model.template}\n{system}{parameters}"
    )
