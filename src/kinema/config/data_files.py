"""Config files in YAML and JSON."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from kinema.config.references import BASE_REFERENCE, inherited_value
from kinema.config.yaml_dialect import Loader
from kinema.errors import ConfigError

# Unquoted in YAML and JSON, where braces would begin a mapping.
_BARE_REFERENCE = re.compile(r"(?<=[:,\[\-]\s)(\s*)(\{\{\s*_base_\.[\w.]+\s*\}\})(?=\s*(?:[,\]}]|$))", re.MULTILINE)


def read_data(text: str, path: Path) -> dict[str, Any]:
    """The entries of a file, `_base_` among them.

    Raises:
        ConfigError: the text is none of the language that the suffix of `path` names.
    """
    data = _PARSERS[path.suffix](text_to_parse(text), path)
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a config must be a mapping of keys to values, got a {type(data).__name__}")
    return data


def text_to_parse(text: str) -> str:
    """The text of a file with quotes around its bare `{{_base_.x.y}}`."""
    return _BARE_REFERENCE.sub(r'\1"\2"', text)


def with_inherited_values(value: Any, base: Mapping[str, Any], path: Path) -> Any:
    """`value` with every `{{_base_.x.y}}` filled in: the value itself, or its text inside a longer string.

    Raises:
        ConfigError: nothing of that name is inherited.
    """
    if isinstance(value, dict):
        return {key: with_inherited_values(entry, base, path) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_inherited_values(entry, base, path) for entry in value)
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path}: the value {value[:100]!r} holds half a character: expected text") from None
    whole = BASE_REFERENCE.fullmatch(value.strip())
    if whole:
        return inherited_value(base, whole[1], str(path))
    return BASE_REFERENCE.sub(lambda match: str(inherited_value(base, match[1], str(path))), value)


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: this is no valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: this is no valid YAML: it holds the character {chr(error.character)!r}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as a month of 13
        raise ConfigError(f"{path}: this is no valid YAML: {' '.join(str(error).split())}") from None


def _parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: this is no valid JSON: {error.msg}") from None
    except ValueError:  # Python reads 4300 digits
        raise ConfigError(f"{path}: this is no valid JSON: a number of too many digits") from None


_PARSERS: dict[str, Callable[[str, Path], Any]] = {".yaml": _parse_yaml, ".yml": _parse_yaml, ".json": _parse_json}
