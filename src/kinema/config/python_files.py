"""Config files in Python: with `_base_ = "file.py"`, or with `with read_base(): from .file import *`."""

import ast
import copy
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeGuard

from kinema.config.dictionary import attribute_dicts, unknown_key
from kinema.config.lazy import LazyObject
from kinema.config.origins import Places, Recorder
from kinema.config.references import BASE_KEY, BASE_REFERENCE, inherited_value
from kinema.errors import ConfigError
from kinema.real_modules import SHIMMED_PACKAGES, package_of

_INHERITED = "__inherited__"  # in the namespace of a file: what it inherits, an entry for each import


class PythonFile:
    """A config file in Python, parsed and not run yet.

    Args:
        text: of the file.
        path: the file.

    Raises:
        ConfigError: the text is no Python.
    """

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        try:
            self.tree = ast.parse(text, str(path))
            compile(self.tree, str(path), "exec")  # finds what the grammar allows: a return outside a function
        except SyntaxError as error:
            if error.lineno is None:  # a zero byte
                raise ConfigError(f"{path}: this is no valid Python: {error.msg}") from None
            raise ConfigError(f"{path}:{error.lineno}: {error.msg}: {(error.text or '').strip()[:200]}") from None
        except ValueError as error:  # a zero byte, in earlier versions of Python
            raise ConfigError(f"{path}: this is no valid Python: {error}") from None

    # ---- how it inherits

    @property
    def names_bases(self) -> bool:
        """Whether it inherits by `_base_ = ...`."""
        return any(map(_is_base_names, self.tree.body))

    @property
    def uses_read_base(self) -> bool:
        """Whether it inherits by `with read_base(): from .file import *`."""
        return any(map(_is_read_base, self.tree.body))

    @property
    def imports_lazily(self) -> bool:
        """Whether its imports are resolved when they are used: it uses `read_base`, or OpenMMLab's packages."""
        if self.names_bases:
            return False
        imported = (name for statement in self.tree.body for name in _imported_modules(statement))
        return self.uses_read_base or any(package_of(name) in SHIMMED_PACKAGES for name in imported)

    def base_names(self) -> Any:
        """What `_base_` names; nothing: an empty list.

        Raises:
            ConfigError: it is no literal.
        """
        names: Any = []
        for statement in self.tree.body:
            if _is_base_names(statement):
                names = self._literal(statement)
        return names

    def _literal(self, statement: ast.stmt) -> Any:
        assert isinstance(statement, ast.Assign)
        where = f"{self.path}:{statement.lineno}"
        try:
            return eval(compile(ast.Expression(statement.value), where, "eval"), {"__builtins__": {}})
        except Exception as error:
            raise ConfigError(f"{where}: {BASE_KEY} must be a file name or a list of them: {error}") from None

    @cached_property
    def base_imports(self) -> list[ast.ImportFrom]:
        """The imports that stand in `with read_base():`, in order.

        Raises:
            ConfigError: something else stands there, or the block stands inside another.
        """
        imports: list[ast.ImportFrom] = []
        blocks = [node for node in ast.walk(self.tree) if _is_read_base(node)]
        for block in blocks:
            if block not in self.tree.body:
                raise ConfigError(f"{self.path}:{block.lineno}: 'with read_base():' must not stand inside a block")
            for statement in block.body:
                if not isinstance(statement, ast.ImportFrom):
                    raise ConfigError(
                        f"{self.path}:{statement.lineno}: expected 'from .file import ...' in 'with read_base():', "
                        f"got {ast.unparse(statement)[:60]!r}"
                    )
                imports.append(statement)
        return imports

    # ---- running it

    def run(self, base: Mapping[str, Any], places: Places | None = None) -> "Offer":
        """The entries of a file that inherits `base` by `_base_`, or nothing.

        Args:
            base: what it inherits.
            places: where that was written; None: nobody asks.

        Raises:
            ConfigError: an error in the file; names its line.
        """
        if self.uses_read_base:
            raise ConfigError(f"{self.path}: 'with read_base():' needs lazy imports, which lazy_import=False forbids")
        tree = copy.deepcopy(self.tree)
        tree.body = [statement for statement in tree.body if not _is_base_names(statement)]
        tree = ast.fix_missing_locations(_References(base, self.path).visit(tree))
        # A copy: what the file does to `_base_` must not change what it inherits.
        inherited = copy.deepcopy(base)
        recorder = None
        if places is not None:
            recorder = Recorder(str(self.path))
            recorder.adopt(inherited, places)
        namespace = self._executed(tree, {BASE_KEY: inherited}, recorder)
        own = {key: value for key, value in namespace.items() if _is_entry(key, value)}
        return _offer(own, {}, recorder, namespace)

    def run_lazily(self, bases: Sequence["Offer"], *, is_traced: bool = False) -> "Offer":
        """The entries of a file whose imports are lazy, and what it imports.

        Args:
            bases: what the file of each of `base_imports` offers.
            is_traced: note where the entries are written.

        Raises:
            ConfigError: an error in the file, or a base lacks a name; names its line.
        """
        chosen = [self._chosen(*pair) for pair in zip(self.base_imports, bases, strict=True)]
        inherited = [{**copy.deepcopy(offer.values), **offer.imports} for offer in chosen]
        recorder = Recorder(str(self.path)) if is_traced else None
        for values, offer in zip(inherited, chosen, strict=True):
            if recorder is not None and offer.places is not None:
                recorder.offer(values, offer.places)
        tree = ast.fix_missing_locations(_LazyImports(self.path).visit(copy.deepcopy(self.tree)))
        namespace = self._executed(tree, {_INHERITED: iter(inherited), LazyObject.__name__: LazyObject}, recorder)
        assigned = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name) and _is_stored(node)}
        imported = {alias.asname or package_of(alias.name) for alias in self._aliases()}
        imported.update(*(offer.imports for offer in chosen))
        imported = (imported - assigned - set().union(*(offer.values for offer in chosen))) | {LazyObject.__name__}
        own = {key: value for key, value in namespace.items() if key not in imported and _is_entry(key, value)}
        return _offer(own, {key: namespace[key] for key in imported if key in namespace}, recorder, namespace)

    def _aliases(self) -> Iterator[ast.alias]:
        """The names that its own import statements give, those of `with read_base()` aside."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and node not in self.base_imports:
                yield from node.names

    def _chosen(self, statement: ast.ImportFrom, offer: "Offer") -> "Offer":
        """What `statement` takes of what a file offers, by the names that it gives."""
        if statement.names[0].name == "*":
            return offer
        chosen = Offer({}, {}, None if offer.places is None else Places(offer.places.where, is_dict=True))
        for alias in statement.names:
            source, target = next(
                (
                    pair
                    for pair in ((offer.values, chosen.values), (offer.imports, chosen.imports))
                    if alias.name in pair[0]
                ),
                (None, None),
            )
            if source is None or target is None:
                raise ConfigError(
                    f"{self.path}:{statement.lineno}: {'.' * statement.level}{statement.module} has "
                    f"{unknown_key(alias.name, offer.values)}"
                )
            name = alias.asname or alias.name
            target[name] = source[alias.name]
            if chosen.places is not None and offer.places is not None and alias.name in offer.places.entries:
                chosen.places.entries[name] = offer.places.entries[alias.name]
        return chosen

    def _executed(
        self, tree: ast.Module, namespace: dict[str, Any], recorder: Recorder | None = None
    ) -> dict[str, Any]:
        """The names that the file gives, in order, `namespace` first."""
        namespace |= {"__name__": "__config__", "__file__": str(self.path)}
        try:
            if recorder is None:
                exec(compile(tree, str(self.path), "exec"), namespace)
            else:
                recorder.run(tree, namespace)
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            raise ConfigError(f"{self.path}:{lines[-1] if lines else 1}: {kind}{error}") from error
        return namespace


class Offer(NamedTuple):
    """What a config file gives those that inherit from it.

    Attributes:
        values: its entries.
        imports: what it imports, by name.
        places: where the entries were written; None: nobody asked.
    """

    values: dict[str, Any]
    imports: dict[str, Any]
    places: Places | None = None


def _offer(own: dict[str, Any], imports: dict[str, Any], recorder: Recorder | None, namespace: dict[str, Any]) -> Offer:
    """What a file that was run gives."""
    places = None if recorder is None else recorder.places(own, namespace)
    return Offer({key: attribute_dicts(value) for key, value in own.items()}, imports, places)


class _References(ast.NodeTransformer):
    """Turns `{{_base_.x.y}}`, which Python reads as a set in a set, and strings that hold it, into plain look-ups."""

    def __init__(self, base: Mapping[str, Any], path: Path) -> None:
        self.base = base
        self.path = path

    def visit_Set(self, node: ast.Set) -> ast.AST:
        inner = node.elts[0]
        if isinstance(inner, ast.Set) and BASE_REFERENCE.fullmatch(f"{{{{{ast.unparse(inner.elts[0])}}}}}"):
            return inner.elts[0]
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str) or not BASE_REFERENCE.search(node.value):
            return node
        where = f"{self.path}:{node.lineno}"
        whole = BASE_REFERENCE.fullmatch(node.value.strip())
        if whole is None:
            text = BASE_REFERENCE.sub(lambda match: str(inherited_value(self.base, match[1], where)), node.value)
            return ast.copy_location(ast.Constant(text), node)
        inherited_value(self.base, whole[1], where)
        steps = "".join(f"[{part}]" if part.isdecimal() else f"[{part!r}]" for part in whole[1].split("."))
        return ast.copy_location(ast.parse(BASE_KEY + steps, mode="eval").body, node)


class _LazyImports(ast.NodeTransformer):
    """Turns imports outside of functions into `name = LazyObject(...)`, and those of `with read_base()` into values."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_With(self, node: ast.With) -> Any:
        if not _is_read_base(node):
            return self.generic_visit(node)
        return [_statement(f"globals().update(next({_INHERITED}))", statement) for statement in node.body]

    def visit_Import(self, node: ast.Import) -> Any:
        lazy = [alias for alias in node.names if not _is_standard(alias.name)]
        node.names = [alias for alias in node.names if alias not in lazy]
        assignments = [
            self._assignment(
                node, alias.asname or package_of(alias.name), alias.name if alias.asname else package_of(alias.name)
            )
            for alias in lazy
        ]
        return [*([node] if node.names else []), *assignments]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.level or not node.module or _is_standard(node.module):
            return node
        if node.names[0].name == "*":
            raise ConfigError(f"{self.path}:{node.lineno}: name what you import from {node.module}, instead of *")
        return [self._assignment(node, alias.asname or alias.name, node.module, alias.name) for alias in node.names]

    def _assignment(self, node: ast.stmt, name: str, module: str, imported: str | None = None) -> ast.stmt:
        location = f"{self.path}:{node.lineno}"
        return _statement(f"{name} = {LazyObject.__name__}({module!r}, {imported!r}, {location!r})", node)


def _statement(source: str, place: ast.stmt) -> ast.stmt:
    """A statement that stands where `place` does."""
    statement = ast.parse(source).body[0]
    for node in ast.walk(statement):
        ast.copy_location(node, place)
    return statement


def _is_base_names(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == BASE_KEY


def _is_read_base(node: ast.AST) -> TypeGuard[ast.With]:
    if not isinstance(node, ast.With):
        return False
    call = node.items[0].context_expr
    return isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == "read_base"


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _is_standard(module: str) -> bool:
    return package_of(module) in sys.stdlib_module_names


def _imported_modules(statement: ast.stmt) -> list[str]:
    """The modules that a statement imports, relative ones aside."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        return [statement.module]
    return []


def _is_entry(key: str, value: Any) -> bool:
    """False for what a Python file needs to compute its entries: modules, functions, classes."""
    if key.startswith("__") or key == BASE_KEY or isinstance(value, ModuleType | FunctionType | BuiltinFunctionType):
        return False
    return not (isinstance(value, type) and value.__name__ == key)
