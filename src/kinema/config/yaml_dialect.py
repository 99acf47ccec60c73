"""YAML as configs need it: plain data, tuples, and `1e-3` is a number; no small file becomes a large config."""

import re
from typing import Any

import yaml

_TUPLE = "tag:yaml.org,2002:python/tuple"
_FLOAT = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$")
LONGEST_NUMBER = 400  # characters
MOST_VALUES = (
    200_000  # of a config, with each alias counted as what it stands for; of one without aliases there may be more
)


class Loader(yaml.SafeLoader):
    """Reads what `Dumper` writes; constructs nothing but plain data.

    Aliases that would make more than `MOST_VALUES` of a few, or that lead back to themselves, are
    an error, and so is a number of more than `LONGEST_NUMBER` characters.
    """

    def get_single_node(self) -> yaml.Node | None:
        """The document as nodes, aliases being the nodes that they stand for."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check_aliases(node)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number, if it is not too long; PyYAML takes time that grows with the square of its length."""
        _check_length(node)
        number: int = super().construct_yaml_int(node)
        return number

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number, if it is not too long."""
        _check_length(node)
        number: float = super().construct_yaml_float(node)
        return number


def _check_length(node: yaml.ScalarNode) -> None:
    if len(node.value) > LONGEST_NUMBER:
        raise yaml.constructor.ConstructorError(
            None,
            None,
            f"a number of {len(node.value):,} characters, at most {LONGEST_NUMBER} are read",
            node.start_mark,
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_aliases(root: yaml.Node) -> None:
    """Count the values of a document as they will be when every alias is written out."""
    sizes: dict[int, int] = {}  # by id of the node; 0 while its children are being counted
    pending: list[tuple[yaml.Node, bool]] = [(root, False)]
    while pending:
        node, is_counted = pending.pop()
        children = _children(node)
        if is_counted:
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
        elif id(node) not in sizes:
            sizes[id(node)] = 0
            pending.append((node, True))
            pending.extend((child, False) for child in children)
        elif sizes[id(node)] == 0:
            raise yaml.constructor.ConstructorError(None, None, "an alias leads back to itself", node.start_mark)
    if sizes[id(root)] > max(MOST_VALUES, len(sizes)):
        raise yaml.constructor.ConstructorError(
            None,
            None,
            f"aliases make {sizes[id(root)]:,} values of {len(sizes):,}, at most {MOST_VALUES:,} are read",
            root.start_mark,
        )


class Dumper(yaml.SafeDumper):
    """Writes tuples with a tag, and every value in full where it is used."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _read_tuple(loader: Loader, node: yaml.SequenceNode) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


def _write_tuple(dumper: Dumper, value: tuple[Any, ...]) -> yaml.Node:
    return dumper.represent_sequence(_TUPLE, value, flow_style=True)


def _write_text(dumper: Dumper, value: str) -> yaml.Node:
    """A text; those of YAML's further line breaks are only kept between double quotes."""
    style = '"' if any(line_break in value for line_break in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Loader.add_constructor(_TUPLE, _read_tuple)
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_yaml_float)
Dumper.add_representer(tuple, _write_tuple)
Dumper.add_representer(str, _write_text)
for _dialect in (Loader, Dumper):
    # YAML 1.1 takes 1e-3, without a point, for a string; the dumper must know, to put quotes around
    # the string "1e-3".
    _dialect.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
