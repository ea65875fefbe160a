"""New models out of uploaded GGUF files or of models that are there."""

from collections.abc import Generator, Iterator
from typing import Any

from . import ggufhead, golang, models, names
from .answers import Refused
from .names import Name
from .pull import Puller
from .store import CONFIG_TYPE, LAYER_TYPE, Store, entry, manifest_bytes

Progress = dict[str, Any]
Parts = tuple[list[dict[str, Any]], dict[str, Any]]
"""Layers and config of a model."""


def create(store: Store, puller: Puller, name: Name, body: dict[str, Any]) -> Iterator[Progress]:
    """The stream of /api/create.

    Raises:
        GoError: it failed; its text is the stream's last line.
    """
    if body.get("from"):
        base = names.parse(body["from"])
        if not base.valid:
            raise Refused(400, "invalid model name")
        layers, config = yield from _from_model(store, puller, store.existing(base))
    elif body.get("files"):
        layers, config = yield from _from_files(store, body["files"])
    else:
        raise Refused(400, "neither 'from' or 'files' was specified")
    statuses = [f"using existing layer {layer['digest']}" for layer in layers]
    for kind in ("template", "system", "license"):
        if body.get(kind):
            layers = [layer for layer in layers if layer["mediaType"] != LAYER_TYPE + kind]
            layers.append(_new_layer(store, kind, str(body[kind]), statuses))
    params = _existing_params(store, layers) | (body.get("parameters") or {})
    if params:
        layers = [layer for layer in layers if layer["mediaType"] != LAYER_TYPE + "params"]
        layers.append(_new_layer(store, "params", golang.dumps(dict(sorted(params.items()))) + "\n", statuses))
    kept = {layer["digest"] for layer in layers}
    for status in statuses:
        if status.rpartition(" ")[2] in kept:
            yield {"status": status}
    content = (golang.dumps({**config, "architecture": "amd64", "os": "linux"}) + "\n").encode()
    digest, _ = store.add_blob(content)
    yield {"status": "writing manifest"}
    store.write_manifest(name, manifest_bytes(entry(CONFIG_TYPE, digest, len(content)), layers))
    yield {"status": "success"}


def _from_model(store: Store, puller: Puller, base: Name) -> Generator[Progress, None, Parts]:
    """Layers and config of a model, pulled first where it is not there."""
    if not store.manifest_path(base).exists():
        yield from puller.pull(base, insecure=False)
    _, manifest = store.manifest(base)
    model = models.load(store, base)
    layers = [dict(layer) for layer in manifest["layers"]]
    for layer in layers:
        if layer["mediaType"] == LAYER_TYPE + "model":
            layer["from"] = base.short
    config = {key: value for key, value in model.config.items() if key not in ("architecture", "os")}
    return layers, config


def _from_files(store: Store, files: dict[str, str]) -> Generator[Progress, None, Parts]:
    """Layer and config of an uploaded GGUF file."""
    yield {"status": "parsing GGUF"}
    digest = next(iter(files.values()))
    path = store.blob(digest)
    try:
        head = ggufhead.read(path, path.stat().st_size)
    except FileNotFoundError as error:
        raise golang.GoError(f"open {path}: no such file or directory") from error
    except ggufhead.BadFile as error:
        raise Refused(400, f"unknown type: {error}") from error
    yield {"status": "verifying conversion"}
    config = {
        "model_format": "gguf",
        "model_family": head.architecture,
        "model_families": [head.architecture],
        "model_type": _human_number(head.parameters),
        "file_type": ggufhead.FILE_TYPES.get(head.keys.get("general.file_type", 0), "unknown"),
    }
    return [entry(LAYER_TYPE + "model", digest, path.stat().st_size)], config


def _new_layer(store: Store, kind: str, text: str, statuses: list[str]) -> dict[str, Any]:
    digest, new = store.add_blob(text.encode())
    statuses.append(f"{'creating new' if new else 'using existing'} layer {digest}")
    return entry(LAYER_TYPE + kind, digest, len(text.encode()))


def _existing_params(store: Store, layers: list[dict[str, Any]]) -> dict[str, Any]:
    for layer in layers:
        if layer["mediaType"] == LAYER_TYPE + "params":
            return dict(golang.loads(store.blob(layer["digest"]).read_text()))
    return {}


def _human_number(number: int) -> str:
    for unit, size in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}" if unit in "TB" else f"{number / size:.2f}{unit}"
    return str(number)
