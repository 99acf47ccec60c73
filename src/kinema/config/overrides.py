"""Changes to a config from a command line: `model.backbone.depth=101`."""

import ast
import re
from collections.abc import Callable
from typing import Any

from kinema.config.dictionary import DELETE_KEY, ConfigDict, list_index, merged_value, unknown_key
from kinema.errors import ConfigError
from kinema.openmmlab.configs import TOP_LEVEL_KEYS
from kinema.spelling import nearest

_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = {"true": True, "false": False, "none": None}


def read_scalar(text: str) -> Any:
    """The int, float, bool or None that a text stands for, in any case; the text itself where it is none."""
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if "_" not in text:  # float() reads 1_000
        try:
            return float(text)
        except ValueError:
            pass
    return text


def parse_override(text: str, *, scalar: Callable[[str], Any] = read_scalar) -> tuple[str, Any]:
    """`"a.b.c=value"` -> `("a.b.c", value)`.

    A value is an int, a float, a bool, `None`, a list `[a,b]` or `a,b`, a tuple `(a,b)`, a dict
    `dict(a=1)` or `{'a': 1}`, any of these nested, or else a string. Quotes make a string of anything.

    Args:
        text: the override.
        scalar: reads a value without brackets and quotes.

    Raises:
        ConfigError: there is no `=`, no key, or a bracket or quote is not closed.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"an override must be KEY=VALUE, for instance model.backbone.depth=101, got {text!r}")
    try:
        if len(_split(value)) == 1:
            return key, _parse(value, scalar)
        return key, _elements(value, scalar)
    except ValueError as error:
        raise ConfigError(f"the value of {key} cannot be read: {error} in {value!r}") from None


def parse_value(text: str) -> Any:
    """The value that a text stands for; the text itself where it is none."""
    try:
        return _parse(text, read_scalar)
    except ValueError:
        return text


def _split(text: str, *, named: bool = False) -> list[str]:
    """Text at its commas outside of brackets and quotes; always at least one part. `named`: NAME=VALUE parts."""
    parts: list[str] = []
    closing: list[str] = []
    quote, start = "", 0
    at_start = True  # of an element, where a quote opens a string; inside a word it is an apostrophe
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and at_start:
            quote = character
        elif character in _BRACKETS:
            closing.append(_BRACKETS[character])
        elif character in ")]}" and (not closing or closing.pop() != character):
            raise ValueError(f"{character!r} closes nothing")
        elif character == "," and not closing:
            parts.append(text[start:place])
            start = place + 1
        at_start = (
            character in "([{,:" or (character == "=" and (named or bool(closing))) or (at_start and character == " ")
        )
    if quote or closing:
        raise ValueError(f"{quote or closing[-1]!r} is missing")
    return [*parts, text[start:]]


def _elements(text: str, scalar: Callable[[str], Any]) -> list[Any]:
    parts = _split(text)
    if not parts[-1].strip():  # nothing in the brackets, or the comma of "(1,)"
        parts.pop()
    return [_parse(part, scalar) for part in parts]


def _entries(text: str, scalar: Callable[[str], Any]) -> dict[str, Any]:
    """`"a=1, b=x"` -> `{"a": 1, "b": "x"}`."""
    parts = _split(text, named=True)
    if not parts[-1].strip():
        parts.pop()
    entries: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not (equals and name.isidentifier() and name not in entries):
            raise ValueError(f"dict(...) holds NAME=VALUE, each name once, not {part.strip()!r},")
        entries[name] = _parse(value, scalar)
    return entries


def _parse(text: str, scalar: Callable[[str], Any]) -> Any:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.startswith("{") and text.endswith("}"):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise ValueError("a dict must be written as in Python, {'a': 1},") from None
    if text.startswith("dict(") and text.endswith(")"):
        return _entries(text[5:-1], scalar)
    if text.startswith("[") and text.endswith("]"):
        return _elements(text[1:-1], scalar)
    if text.startswith("(") and text.endswith(")"):
        return tuple(_elements(text[1:-1], scalar))
    return scalar(text)


def apply_override(config: ConfigDict, key: str, value: Any, *, list_keys: bool = True) -> None:
    """Set the entry at a dotted path, in place; a number is an index of a list or tuple.

    A dict is merged into one that is there. A true `_delete_` at the end of the path empties one.

    A key that does not exist yet is added, unless one on the way to the last looks like a
    misspelling.

    Args:
        config: what is changed.
        key: the dotted path.
        value: what is set.
        list_keys: numbers are indices; False refuses paths into lists.

    Raises:
        ConfigError: the path leads through something that holds no keys, past the end of a list, or
            is misspelled.
    """
    _changed(config, key.split("."), value, key, 0, list_keys)


def _changed(place: Any, parts: list[str], value: Any, key: str, depth: int, list_keys: bool) -> Any:
    """`place` with the entry at the rest of the path, `parts[depth:]`, set: dicts and lists themselves, tuples anew."""
    if depth == len(parts):
        return merged_value(place, value, key, list_keys=list_keys)
    part, way = parts[depth], parts[:depth]
    if isinstance(place, list | tuple) and list_keys:
        entries = place if isinstance(place, list) else list(place)
        index = list_index(entries, part, key)
        entries[index] = _changed(entries[index], parts, value, key, depth + 1, list_keys)
        return place if isinstance(place, list) else tuple(entries)
    if not isinstance(place, dict):
        raise _no_keys(key, way, place)
    if part == DELETE_KEY and way and depth + 1 == len(parts):
        if value:
            place.clear()
        return place
    if depth + 1 < len(parts):
        _check_spelling(place, part, key, way)
    inherited = dict.get(place, part)
    if inherited is None and depth + 1 < len(parts):
        inherited = ConfigDict()
    place[part] = _changed(inherited, parts, value, key, depth + 1, list_keys)
    return place


def _check_spelling(place: dict[Any, Any], part: str, key: str, way: list[str]) -> None:
    is_known = not way and part in TOP_LEVEL_KEYS
    if part not in place and not is_known and nearest(part, map(str, place)):
        under = f" under {'.'.join(way)}" if way else ""
        raise ConfigError(f"cannot set {key}: the config has {unknown_key(part, place)}{under}")


def _no_keys(key: str, way: list[str], place: Any) -> ConfigError:
    return ConfigError(f"cannot set {key}: {'.'.join(way)} is a {type(place).__name__}, which holds no keys: {place!r}")
