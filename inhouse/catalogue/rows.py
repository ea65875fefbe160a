"""YAML of the catalogue as plain mappings and lists."""

from typing import Any

import yaml

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


def rows(text: str) -> Any:
    """What a text holds.

    Raises:
        yaml.YAMLError: it is not YAML, or gives a key twice.
    """
    return yaml.load(text, Loader=_Loader)
