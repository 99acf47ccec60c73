"""YAML as configs need it: plain data, tuples, and `1e-3` is a number."""

import re
from typing import Any

import yaml

_TUPLE = "tag:yaml.org,2002:python/tuple"
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class Loader(yaml.SafeLoader):
    """Reads what `Dumper` writes; constructs nothing but plain data."""


class Dumper(yaml.SafeDumper):
    """Writes tuples with a tag, and every value in full where it is used."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _read_tuple(loader: Loader, node: yaml.SequenceNode) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


def _write_tuple(dumper: Dumper, value: tuple[Any, ...]) -> yaml.Node:
    return dumper.represent_sequence(_TUPLE, value, flow_style=True)


Loader.add_constructor(_TUPLE, _read_tuple)
Dumper.add_representer(tuple, _write_tuple)
for _dialect in (Loader, Dumper):
    # YAML 1.1 takes 1e-3, without a point, for a string; the dumper must know, to put quotes around the string "1e-3".
    _dialect.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
