"""Configs as text: Python, YAML, JSON. What is written reads back equal."""

import json
import keyword
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType
from typing import Any

import yaml

from kinema.config.dictionary import raw_items
from kinema.config.lazy import Lazy
from kinema.config.yaml_dialect import Dumper
from kinema.errors import ConfigError
from kinema.files import write_text

LINE_LENGTH = 120


def python_text(config: Mapping[Any, Any], *, breaks_lines: bool = True) -> str:
    """A config as Python source; classes and functions are imported, what is lazy is named.

    Args:
        config: the entries.
        breaks_lines: write one entry a line where a line would be too long.

    Raises:
        ConfigError: a value cannot be written as Python.
    """
    modules: set[str] = set()
    plain = _plain(config, "", lambda value, path: _reference(value, path, modules))
    lines = [f"import {module}" for module in sorted(modules)]
    lines += [""] * bool(lines)
    for key, value in plain.items():
        name = key if _is_name(key) else f"globals()[{key!r}]"
        source = _python(value, 0, len(name) + 3) if breaks_lines else _python_line(value)
        lines.append(f"{name} = {source}")
    return "\n".join(lines) + "\n"


def yaml_text(config: Mapping[Any, Any]) -> str:
    """A config as YAML; tuples carry a tag.

    Raises:
        ConfigError: a value cannot be written as YAML.
    """
    text: str = yaml.dump(_plain(config, "", _no_objects("YAML")), Dumper=Dumper, sort_keys=False, allow_unicode=True)
    return text


def json_text(config: Mapping[Any, Any]) -> str:
    """A config as JSON; tuples become lists.

    Raises:
        ConfigError: a value or a key cannot be written as JSON.
    """
    plain = _plain(config, "", _no_objects("JSON"))
    _check_json_keys(plain, "")
    return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Mapping[Any, Any]], str]] = {
    ".py": python_text,
    ".yaml": yaml_text,
    ".yml": yaml_text,
    ".json": json_text,
}


def write(config: Mapping[Any, Any], path: Path) -> None:
    """Write a config in the language that the file's suffix names.

    Raises:
        ConfigError: another suffix, or a value that the language cannot hold.
    """
    write_text(path, text_of(config, path))


def text_of(config: Mapping[Any, Any], path: PurePath) -> str:
    """A config in the language that the suffix of `path` names.

    Raises:
        ConfigError: another suffix, or a value that the language cannot hold.
    """
    if path.suffix not in WRITERS:
        raise ConfigError(f"{path}: a config is written as {', '.join(WRITERS)}, not {path.suffix or 'without suffix'}")
    return WRITERS[path.suffix](config)


class _Source(str):
    """A piece of Python source, written as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _plain(value: Any, path: str, other: Callable[[Any, str], Any]) -> Any:
    """`value` of dicts, lists, tuples and scalars only; `other(value, path)` is asked about everything else."""
    if isinstance(value, Mapping):
        return {key: _plain(entry, f"{path}.{key}".lstrip("."), other) for key, entry in raw_items(value)}
    if isinstance(value, list | tuple):
        entries = [_plain(entry, f"{path}.{number}", other) for number, entry in enumerate(value)]
        return tuple(entries) if isinstance(value, tuple) else entries
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | PurePath | Lazy):
        return str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return other(value, path)


def _no_objects(language: str) -> Callable[[Any, str], Any]:
    """For languages without imports: the `type` of a part is written by name, other objects are refused."""

    def refuse(value: Any, path: str) -> Any:
        if path.rpartition(".")[2] == "type" and isinstance(value, type | FunctionType | BuiltinFunctionType):
            return str(_reference(value, path, set()))
        raise ConfigError(f"{path} is a {type(value).__name__}, which {language} cannot hold: {value!r}")

    return refuse


def _reference(value: Any, path: str, modules: set[str]) -> _Source:
    """The dotted name of a class or function; its module is added to `modules`."""
    if not isinstance(value, type | FunctionType | BuiltinFunctionType):
        raise ConfigError(f"{path} is a {type(value).__name__}, which a config file cannot hold: {value!r}")
    if "<" in value.__qualname__ or value.__module__ in ("__main__", None):  # None: a method of an object
        raise ConfigError(
            f"{path} is {value.__qualname__}, which no other program can import: register it and use its name"
        )
    modules.add(value.__module__)
    return _Source(f"{value.__module__}.{value.__qualname__}")


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def _python(value: Any, indent: int, column: int) -> str:
    """Source of one value, on one line where it fits behind `column` characters, else one entry a line."""
    line = _python_line(value)
    if column + len(line) <= LINE_LENGTH or not isinstance(value, dict | list | tuple) or not value:
        return line
    start, end, prefixes, entries = _layout(value)
    margin = " " * (indent + 4)
    lines = [start]
    for prefix, entry in zip(prefixes, entries, strict=True):
        lines.append(f"{margin}{prefix}{_python(entry, indent + 4, len(margin) + len(prefix) + 1)},")
    return "\n".join([*lines, " " * indent + end])


def _python_line(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if not isinstance(value, dict | list | tuple):
        return repr(value)
    start, end, prefixes, entries = _layout(value)
    parts = [prefix + _python_line(entry) for prefix, entry in zip(prefixes, entries, strict=True)]
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{start}{', '.join(parts)}{comma}{end}"


def _layout(value: Any) -> tuple[str, str, list[str], list[Any]]:
    """Opening and closing text of a container, and its entries with the text before each."""
    if isinstance(value, dict):
        if all(map(_is_name, value)):
            return "dict(", ")", [f"{key}=" for key in value], list(value.values())
        return "{", "}", [f"{key!r}: " for key in value], list(value.values())
    start, end = "[]" if isinstance(value, list) else "()"
    return start, end, [""] * len(value), list(value)


def _check_json_keys(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise ConfigError(
                    f"{path or 'the config'} has the key {key!r}, but keys of JSON are strings; .py and .yaml keep it"
                )
            _check_json_keys(entry, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            _check_json_keys(entry, f"{path}.{number}")
