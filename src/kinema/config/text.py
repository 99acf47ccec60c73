"""The text of a config that was written out in full, read without running it."""

import ast
from typing import Any

from kinema.errors import ConfigError

_CALLS = {"dict": dict, "list": list, "tuple": tuple, "set": set}


def parse_config_text(text: str, where: str) -> dict[str, Any]:
    """Read `name = value` lines, as `Config.pretty_text` and MMEngine write them: values and calls of `dict` alone.

    Args:
        text: the lines.
        where: what messages call the text.

    Raises:
        ConfigError: it is no such text; names the line.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{where}:{getattr(error, 'lineno', 1)}: is no config: {error.args[0]}") from None
    found: dict[str, Any] = {}
    for statement in tree.body:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise ConfigError(
                f"{where}:{statement.lineno}: expected 'name = value', got {ast.unparse(statement)[:60]!r}"
            )
        found[statement.targets[0].id] = _value(statement.value, where)
    return found


def _value(node: ast.expr, where: str) -> Any:
    match node:
        case ast.Dict(keys=keys, values=values) if all(keys):
            return {_value(key, where): _value(one, where) for key, one in zip(keys, values, strict=True) if key}
        case ast.List(elts=parts):
            return [_value(one, where) for one in parts]
        case ast.Tuple(elts=parts):
            return tuple(_value(one, where) for one in parts)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _CALLS and all(
            keyword.arg for keyword in keywords
        ):
            named = {str(one.arg): _value(one.value, where) for one in keywords}
            return _CALLS[name](*(_value(one, where) for one in args), **named)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ConfigError(f"{where}:{node.lineno}: expected a plain value, got {ast.unparse(node)[:60]!r}") from None
