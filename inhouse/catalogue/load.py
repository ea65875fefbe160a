"""Reads a catalogue file and checks every row; an error names the file, the row and the field."""

from importlib import resources
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from inhouse.errors import PlanError


class Row(BaseModel):
    """A record of the catalogue: nothing unknown, nothing changed after loading.

    Only a file's own class is built: it holds those of its rows, and no row is read alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


File = TypeVar("File", bound=Row)


_TEXT = "tag:yaml.org,2002:str"


class _Loader(yaml.CSafeLoader):
    """Builds plain mappings and lists directly: the general way, made for anchors and tags, takes twice as long.

    What type a word has is found once for each word, not each time it stands in the file. A key that stands twice in a
    mapping is an error; PyYAML takes the last one.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._tags: dict[str, str] = {}

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or not implicit[0]:
            return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        tag = self._tags.get(value)
        if tag is None:
            tag = self._tags[value] = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        return tag

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag == _TEXT:
            return node.value
        if isinstance(node, yaml.MappingNode):
            mapping = {key.value: self.construct_object(value) for key, value in node.value}
            if len(mapping) < len(node.value):
                keys = [key.value for key, _ in node.value]
                twice = ", ".join(sorted({key for key in keys if keys.count(key) > 1}))
                raise yaml.constructor.ConstructorError(None, None, f"keys given twice: {twice}", node.start_mark)
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self.construct_object(child) for child in node.value]
        return self.yaml_constructors[node.tag](self, node)


def read(name: str, kind: type[File]) -> File:
    """Read a file that lies beside this module.

    Raises:
        PlanError: the file is not what the planner needs; every wrong field is named.
    """
    return check(name, resources.files(__package__).joinpath(name).read_text(encoding="utf-8"), kind)


def check(name: str, text: str, kind: type[File]) -> File:
    """Check the text of a catalogue file.

    Raises:
        PlanError: as `read`.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
        return kind.model_validate(content)
    except yaml.YAMLError as error:
        raise PlanError(f"{name} is not YAML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{_where(content, e['loc'])}: {e['msg']}, found {e['input']!r}" for e in error.errors())
        raise PlanError(f"{name} holds rows that cannot be right. {wrong}") from error


def _where(content: Any, location: tuple[int | str, ...]) -> str:
    """Name a place as a person would look for it: rows by their tag, id or version instead of by number."""
    names = []
    for step in location:
        content = _step(content, step)
        label = next((content[k] for k in ("tag", "id", "version") if isinstance(content, dict) and k in content), None)
        names.append(str(label) if isinstance(step, int) and label else str(step))
    return " → ".join(names)


def _step(content: Any, step: int | str) -> Any:
    if isinstance(content, list) and isinstance(step, int) and step < len(content):
        return content[step]
    return content.get(step) if isinstance(content, dict) else None
