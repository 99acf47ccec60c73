"""Config files in Python, YAML and JSON.

They may inherit, refer to inherited values and use variables of the environment.
"""

import ast
import importlib.util
import json
import logging
import os
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import yaml

from kinema.config.dictionary import ConfigDict, attribute_dicts, merged, without_delete
from kinema.config.yaml_dialect import Loader
from kinema.errors import ConfigError
from kinema.files import read_bytes

logger = logging.getLogger("kinema")

BASE_KEY = "_base_"
RESERVED_KEYS = ("filename", "text", "pretty_text", "env_variables")

_BASE_REFERENCE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")
_ENVIRONMENT = re.compile(r"\{\{\s*\$(\w+)\s*(?::((?:(?!\{\{|\}\}).){0,2000}))?\}\}")
LARGEST_CONFIG = 1 << 22  # bytes; all published configs together are smaller
# Unquoted in YAML and JSON, where braces would begin a mapping.
_BARE_REFERENCE = re.compile(r"(?<=[:,\[\-]\s)(\s*)(\{\{\s*_base_\.[\w.]+\s*\}\})(?=\s*(?:[,\]}]|$))", re.MULTILINE)


def read_config(path: Path, chain: tuple[Path, ...] = ()) -> ConfigDict:
    """The config in a file, merged over those it names in `_base_`.

    Args:
        path: a .py, .yaml, .yml or .json file.
        chain: the files that inherit from this one.

    Raises:
        ConfigError: names the file, and the line where there is one.
    """
    path = path.resolve()
    if path in chain:
        raise ConfigError(f"{path} inherits from itself: {' -> '.join(file.name for file in (*chain, path))}")
    if path.suffix not in _READERS:
        raise ConfigError(f"{path}: a config is a file of {', '.join(_READERS)}")
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such config file")
    try:
        content = read_bytes(path, LARGEST_CONFIG + 1)
        text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: a config must be UTF-8 text: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_CONFIG:
        raise ConfigError(f"{path}: expected a config of at most {LARGEST_CONFIG:,} bytes")
    try:
        text = _substitute(text, path)
        base, own = _READERS[path.suffix](text, path, (*chain, path))
    except (RecursionError, MemoryError):
        raise ConfigError(f"{path}: lists, dicts or brackets are nested too deep") from None
    for key in RESERVED_KEYS:
        if key in own:
            raise ConfigError(f"{path}: the key {key!r} is reserved")
    try:
        config = merged(base, own)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    notice = config.pop("_deprecation_", None)
    if notice is not None:
        logger.warning("%s is deprecated: %s", path, dict(notice) if isinstance(notice, Mapping) else notice)
    return config


def _substitute(text: str, path: Path) -> str:
    """Fill in the variables that name the file, and those of the environment."""
    variables = {
        "fileDirname": path.parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    names = "|".join(variables)
    text = re.sub(rf"\{{\{{\s*({names})\s*\}}\}}", lambda match: variables[match[1]], text)

    def from_environment(match: re.Match[str]) -> str:
        default = None if match[2] is None else match[2].strip()
        value = os.environ.get(match[1], default)
        if value is None:
            line = text.count("\n", 0, match.start()) + 1
            raise ConfigError(
                f"{path}:{line}: the environment has no variable {match[1]}: set it, or give a default by "
                f"{{{{${match[1]}:default}}}}"
            )
        return value

    return _ENVIRONMENT.sub(from_environment, text)


# ---- inheritance


def _read_bases(names: Any, path: Path, chain: tuple[Path, ...]) -> ConfigDict:
    """The configs that `_base_` names, side by side; a key may be in one of them only."""
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: {BASE_KEY} must be a file name or a list of them, got {names!r}")
    joined = ConfigDict()
    origin: dict[Any, str] = {}
    for name in names:
        base = read_config(_base_path(name, path), chain)
        for key in base:
            if key in origin:
                raise ConfigError(
                    f"{path}: {key!r} is in two of the configs it inherits from, {origin[key]} and {name}"
                )
            origin[key] = name
        joined.update(base)
    return joined


def _base_path(name: str, path: Path) -> Path:
    package, colons, inside = name.partition("::")
    if not colons:
        return path.parent / Path(name).expanduser()
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # no package on the way to it, or no name of one
        spec = None
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places:
        raise ConfigError(f"{path}: {BASE_KEY} names {name!r}, but there is no package {package!r}")
    # OpenMMLab's packages keep their configs in `.mim`.
    candidates = [Path(places[0], folder, inside) for folder in (".mim/configs", "configs", "")]
    return next((file for file in candidates if file.is_file()), candidates[-1])


def _look_up(base: ConfigDict, dotted: str, where: str) -> Any:
    """An inherited value by its dotted path."""
    value: Any = base
    for part in dotted.split("."):
        try:
            value = value[int(part)] if isinstance(value, list | tuple) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ConfigError(f"{where}: there is no inherited value {BASE_KEY}.{dotted}") from None
    return value


# ---- data files


def _read_data(
    text: str, path: Path, chain: tuple[Path, ...], parse: Callable[[str], Any]
) -> tuple[ConfigDict, ConfigDict]:
    data = parse(_BARE_REFERENCE.sub(r'\1"\2"', text))
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a config must be a mapping of keys to values, got a {type(data).__name__}")
    base = _read_bases(data.pop(BASE_KEY, []), path, chain)
    return base, ConfigDict(_resolved(data, base, path))


def _resolved(value: Any, base: ConfigDict, path: Path) -> Any:
    """`value` with every `{{_base_.x.y}}` filled in: the value itself, or its text inside a longer string."""
    if isinstance(value, dict):
        return {key: _resolved(entry, base, path) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolved(entry, base, path) for entry in value)
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path}: the value {value[:100]!r} holds half a character: expected text") from None
    whole = _BASE_REFERENCE.fullmatch(value.strip())
    if whole:
        return _look_up(base, whole[1], str(path))
    return _BASE_REFERENCE.sub(lambda match: str(_look_up(base, match[1], str(path))), value)


def _read_yaml(text: str, path: Path, chain: tuple[Path, ...]) -> tuple[ConfigDict, ConfigDict]:
    try:
        return _read_data(text, path, chain, lambda source: yaml.load(source, Loader=Loader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: this is no valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: this is no valid YAML: it holds the character {chr(error.character)!r}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as a month of 13
        raise ConfigError(f"{path}: this is no valid YAML: {' '.join(str(error).split())}") from None


def _read_json(text: str, path: Path, chain: tuple[Path, ...]) -> tuple[ConfigDict, ConfigDict]:
    try:
        return _read_data(text, path, chain, json.loads)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: this is no valid JSON: {error.msg}") from None
    except ValueError:  # Python reads 4300 digits
        raise ConfigError(f"{path}: this is no valid JSON: a number of too many digits") from None


# ---- Python files


class _References(ast.NodeTransformer):
    """Turns `{{_base_.x.y}}`, which Python reads as a set in a set, and strings that hold it, into plain look-ups."""

    def __init__(self, base: ConfigDict, path: Path) -> None:
        self.base = base
        self.path = path

    def visit_Set(self, node: ast.Set) -> ast.AST:
        inner = node.elts[0]
        if isinstance(inner, ast.Set) and _BASE_REFERENCE.fullmatch(f"{{{{{ast.unparse(inner.elts[0])}}}}}"):
            return inner.elts[0]
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str) or not _BASE_REFERENCE.search(node.value):
            return node
        where = f"{self.path}:{node.lineno}"
        whole = _BASE_REFERENCE.fullmatch(node.value.strip())
        if whole is None:
            text = _BASE_REFERENCE.sub(lambda match: str(_look_up(self.base, match[1], where)), node.value)
            return ast.copy_location(ast.Constant(text), node)
        _look_up(self.base, whole[1], where)
        steps = "".join(f"[{part}]" if part.isdecimal() else f"[{part!r}]" for part in whole[1].split("."))
        return ast.copy_location(ast.parse(BASE_KEY + steps, mode="eval").body, node)


def _read_python(text: str, path: Path, chain: tuple[Path, ...]) -> tuple[ConfigDict, ConfigDict]:
    try:
        tree = ast.parse(text, str(path))
        compile(tree, str(path), "exec")  # finds what the grammar allows: a return outside a function
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}: {(error.text or '').strip()[:200]}") from None
    except ValueError as error:  # a zero byte
        raise ConfigError(f"{path}: this is no valid Python: {error}") from None
    names: Any = []
    for statement in list(tree.body):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == BASE_KEY:
            names = _literal(statement.value, f"{path}:{statement.lineno}")
            tree.body.remove(statement)
    base = _read_bases(names, path, chain)
    tree = ast.fix_missing_locations(_References(base, path).visit(tree))
    # A copy: what the file does to `_base_` must not change what it inherits.
    namespace: dict[str, Any] = {"__name__": "__config__", "__file__": str(path), BASE_KEY: without_delete(base)}
    try:
        exec(compile(tree, str(path), "exec"), namespace)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        raise ConfigError(f"{path}:{lines[-1] if lines else 1}: {type(error).__name__}: {error}") from error
    own = {key: value for key, value in namespace.items() if _is_entry(key, value)}
    return base, attribute_dicts(own)


def _literal(node: ast.expr, where: str) -> Any:
    try:
        return eval(compile(ast.Expression(node), where, "eval"), {"__builtins__": {}})
    except Exception as error:
        raise ConfigError(f"{where}: {BASE_KEY} must be a file name or a list of them: {error}") from None


def _is_entry(key: str, value: Any) -> bool:
    """False for what a Python file needs to compute its entries: modules, functions, classes."""
    if key.startswith("__") or key == BASE_KEY or isinstance(value, ModuleType | FunctionType | BuiltinFunctionType):
        return False
    return not (isinstance(value, type) and value.__name__ == key)


_READERS = {".py": _read_python, ".yaml": _read_yaml, ".yml": _read_yaml, ".json": _read_json}
