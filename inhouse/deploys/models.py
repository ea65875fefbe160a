"""The planned models, whole, in Ollama's store."""

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from inhouse import layout
from inhouse.deploys import session
from inhouse.deploys.operations import Folder, LiveCommand, failure, file, folders
from inhouse.planner.plan import Plan
from inhouse.templating import render

_MIB = 1024 * 1024


def models() -> None:
    """Have every planned model in Ollama's store."""
    plan = session.plan()
    folders(name="The folder of inhouse's own programs is there", wanted=(Folder(layout.LIBEXEC),))
    file(
        name="The program that pulls models is there",
        path=layout.OLLAMA_PULL,
        body=render("ollama/pull.sh.j2"),
        mode="755",
    )
    models_are_there(name="Ollama has the planned models", plan=plan)


@dataclass(frozen=True)
class Store:
    """Ollama's store of models on disk, and what the server lists."""

    listed: frozenset[str]
    """Full names the server lists; empty if it does not answer."""
    layers: Mapping[str, Mapping[str, int] | None]
    """Full name → file name of each blob of its manifest → size in bytes; None: a manifest that cannot be read."""
    blobs: Mapping[str, int]
    """File name → size in bytes."""
    partial_mib: int
    """On disk in unfinished downloads."""
    free_mib: int


@dataclass(frozen=True)
class Need:
    """What must be done so that the planned models are whole."""

    pull: tuple[str, ...]
    """Tags, as planned."""
    broken: tuple[str, ...]
    """File names of blobs of the wrong size: Ollama trusts a blob that is there and would not fetch it again."""
    download_mib: int

    def problem(self, plan: Plan, free_mib: int) -> str | None:
        """Return why the disk cannot take it; None if it can."""
        needed = self.download_mib + plan.disk_reserve_mib
        if not self.pull or needed <= free_mib:
            return None
        return (
            f"The disk of {plan.ollama_models_dir} is too small for {', '.join(self.pull)}: found {free_mib} MiB free; "
            f"needed {self.download_mib} MiB to download and {plan.disk_reserve_mib} MiB that must stay free "
            "(disk_reserve_mib). "
            "Nothing was downloaded. Free some space, or set models or ollama_models_dir for this host, and run again."
        )


def full_name(tag: str) -> str:
    """Return a model's name with every part Ollama fills in: "qwen3:8b" is "registry.ollama.ai/library/qwen3:8b"."""
    path, _, variant = tag.rpartition(":") if ":" in tag.rsplit("/", 1)[-1] else (tag, "", "latest")
    parts = path.split("/")
    defaults = ["registry.ollama.ai", "library"]
    return "/".join([*defaults[: 3 - len(parts)], *parts]) + f":{variant}"


def manifest_path(tag: str) -> str:
    """Return where a model's manifest is, below the folder `manifests` of the store."""
    path, _, variant = full_name(tag).rpartition(":")
    return f"{path}/{variant}"


class ModelStore(FactBase[Store]):
    """Store of a host, as far as the planned models concern it."""

    def command(self, port: int, folder: str, tags: Sequence[str]) -> StringCommand:
        """Print the list of models, manifests, blobs and free space."""
        manifests = {quote(full_name(tag)): quote(manifest_path(tag)) for tag in tags}
        body = render("ollama/store.sh.j2", port=port, folder=quote(folder), manifests=manifests)
        return StringCommand("sh", "-c", quote(body))

    def process(self, output: Iterable[str]) -> Store:
        """Parse it."""
        return parse_store(output)

    @staticmethod
    def default() -> Store:
        """A host without a store."""
        return parse_store(())


def parse_store(lines: Iterable[str]) -> Store:
    """Parse the output of `ollama/store.sh`."""
    listed: frozenset[str] = frozenset()
    layers: dict[str, Mapping[str, int] | None] = {}
    blobs: dict[str, int] = {}
    partial_kib = free_kib = 0
    for line in lines:
        key, _, value = line.partition(" ")
        if key == "tags":
            listed = _names(value)
        elif key == "manifest":
            name, _, text = value.partition(" ")
            layers[name] = _layers(text)
        elif key == "blob":
            name, size, kib = value.rsplit(" ", 2)
            if name.endswith("-partial"):
                partial_kib += int(kib)
            else:
                blobs[name] = int(size)
        elif key == "free":
            free_kib = int(value or 0)
    return Store(listed, layers, blobs, partial_kib // 1024, free_kib // 1024)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _names(text: str) -> frozenset[str]:
    answer = _json(text)
    if not isinstance(answer, dict):
        return frozenset()
    return frozenset(full_name(str(model["name"])) for model in answer.get("models") or ())


def _layers(text: str) -> Mapping[str, int] | None:
    manifest = _json(text)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("layers"), list):
        return None
    parts = [*manifest["layers"], *filter(None, [manifest.get("config")])]
    return {str(part["digest"]).replace(":", "-"): int(part["size"]) for part in parts}


def need(plan: Plan, store: Store) -> Need:
    """Compare the planned models with the store.

    Ollama lists a model whose manifest is there even if a blob is missing or cut; so sizes on disk are compared with
    the manifest's.
    """
    pull: list[str] = []
    broken: set[str] = set()
    download = 0
    for model in plan.models:
        name = full_name(model.tag)
        layers = store.layers.get(name)
        if layers is None:
            pull.append(model.tag)
            download += model.download_mib
            continue
        faulty = {blob: size for blob, size in layers.items() if store.blobs.get(blob) != size}
        if faulty or name not in store.listed:
            pull.append(model.tag)
            broken |= faulty.keys() & store.blobs.keys()
            download += -(-sum(faulty.values()) // _MIB)
    return Need(tuple(pull), tuple(sorted(broken)), max(download - store.partial_mib, 0))


@operation()
def models_are_there(plan: Plan) -> Generator[StringCommand]:
    """Have every planned model whole. One operation for the whole list, so that hosts may differ in theirs."""
    tags = tuple(model.tag for model in plan.models)
    store: Store = host.get_fact(ModelStore, port=plan.ollama_port, folder=plan.ollama_models_dir, tags=tags)
    wanted = need(plan, store)
    problem = wanted.problem(plan, store.free_mib)
    if problem is not None:
        yield failure(problem)
        return
    for blob in wanted.broken:
        yield StringCommand("rm", "-f", quote(f"{plan.ollama_models_dir}/blobs/{blob}"))
    for tag in wanted.pull:
        yield LiveCommand(layout.OLLAMA_PULL, str(plan.ollama_port), quote(tag))
