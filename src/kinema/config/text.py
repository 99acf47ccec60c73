"""The text of a config that was written out in full, read without running it."""

import ast
import warnings
from typing import Any

from kinema.errors import ConfigError

MOST_CHARACTERS = 1 << 19  # a config is some ten thousand
_CALLS = {"dict": dict, "list": list, "tuple": tuple, "set": set}


def parse_config_text(text: str, where: str) -> dict[str, Any]:
    """Read `name = value` lines, as `Config.pretty_text` and MMEngine write them: values and calls of `dict` alone.

    Args:
        text: the lines.
        where: what messages call the text.

    Raises:
        ConfigError: it is no such text; names the line.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{where}: is no config: it has {len(text)} characters, {MOST_CHARACTERS} are the most")
    try:
        with warnings.catch_warnings():  # of odd escapes and the like, which say nothing about a config
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        return _assignments(tree, where)
    except UnicodeError:
        raise ConfigError(f"{where}: is no config: it holds characters that are no text") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{where}:{getattr(error, 'lineno', 1)}: is no config: {error.args[0]}") from None
    except (RecursionError, MemoryError):
        raise ConfigError(f"{where}: is no config: it is nested too deep") from None


def _assignments(tree: ast.Module, where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for statement in tree.body:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise ConfigError(
                f"{where}:{statement.lineno}: expected 'name = value', got {ast.unparse(statement)[:60]!r}"
            )
        values[statement.targets[0].id] = _value(statement.value, where)
    return values


def _value(node: ast.expr, where: str) -> Any:
    match node:
        case ast.Dict(keys=keys, values=values) if all(keys):
            pairs = [(_value(key, where), _value(entry, where)) for key, entry in zip(keys, values, strict=True) if key]
            try:
                return dict(pairs)
            except TypeError as error:  # a list as a key
                raise ConfigError(f"{where}:{node.lineno}: a dict cannot be made: {error}") from None
        case ast.List(elts=parts):
            return [_value(entry, where) for entry in parts]
        case ast.Tuple(elts=parts):
            return tuple(_value(entry, where) for entry in parts)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _CALLS and all(
            keyword.arg for keyword in keywords
        ):
            named = {str(keyword.arg): _value(keyword.value, where) for keyword in keywords}
            values = [_value(entry, where) for entry in args]
            try:
                return _CALLS[name](*values, **named)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{where}:{node.lineno}: {name}(...) cannot be made: {error}") from None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ConfigError(f"{where}:{node.lineno}: expected a plain value, got {ast.unparse(node)[:60]!r}") from None
