"""Where the values of a config come from: the file and line of each.

A config file is evaluated statement by statement, and each dict and list that it writes notes the
lines of its entries. `Places` mirrors the config: it inherits, is merged and overridden alike.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import yaml

from kinema.config.dictionary import DELETE_KEY

NOTE = "__kinema_note__"  # the name under which an instrumented file finds `Recorder.note`
COMMAND_LINE = "command line"


@dataclass
class Places:
    """Where a value was written, and where each of its entries was.

    Attributes:
        where: `file:line`, a file, or "command line".
        entries: by key of a dict, by number of a list or tuple; empty for other values.
        is_dict: the value is a dict.
        replaces: the value stands in the place of an inherited dict (`_delete_=True`).
    """

    where: str
    entries: dict[Any, "Places"] = field(default_factory=dict)
    is_dict: bool = False
    replaces: bool = False

    def of(self, path: str) -> str:
        """Where the value at a dotted path was written, or else what holds it.

        Args:
            path: such as `model.backbone.depth`, `train_pipeline.0.type`.
        """
        node = self
        for part in path.split("."):
            key = part if node.is_dict else int(part) if part.isdecimal() else part
            if key not in node.entries:
                break
            node = node.entries[key]
        return node.where

    def values(self, value: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
        """The values in `value`, whose places these are: dotted path, value and place of each.

        A list without dicts is one value where it was written in one line.
        """
        if isinstance(value, Mapping):
            entries = list(value.items())
        elif isinstance(value, list | tuple) and not (self._is_one_line() and _is_plain(value)):
            entries = list(enumerate(value))
        else:
            entries = []
        if not entries:
            yield path, value, self.where
        for key, entry in entries:
            yield from self.entries.get(key, Places(self.where)).values(entry, f"{path}.{key}" if path else str(key))

    def _is_one_line(self) -> bool:
        return all(entry.where == self.where and entry._is_one_line() for entry in self.entries.values())


def _is_plain(value: Any) -> bool:
    """No dict is in a value, nor in the lists of it."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return not isinstance(value, Mapping)


def merge_places(base: Places, own: Places) -> Places:
    """The places of `own` merged over those of `base`, as `kinema.config.dictionary.merged` merges values."""
    if not (own.is_dict and base.is_dict) or own.replaces:
        return own
    entries = dict(base.entries)
    for key, place in own.entries.items():
        entries[key] = merge_places(entries[key], place) if key in entries else place
    return Places(base.where if base.entries else own.where, entries, is_dict=True)


def override_places(places: Places, path: str, value: Any, where: str = COMMAND_LINE) -> None:
    """Note, in place, that the value at a dotted path was set elsewhere."""
    *way, last = path.split(".")
    node = places
    for part in way:
        node = node.entries.setdefault(_key_of(node, part), Places(where, is_dict=True))
    if last == DELETE_KEY and way:
        if value:
            node.entries.clear()
        return
    key = _key_of(node, last)
    new = uniform_places(value, where)
    node.entries[key] = merge_places(node.entries[key], new) if key in node.entries else new


def _key_of(node: Places, part: str) -> str | int:
    """The key of an entry that a part of a dotted path names; a list is counted from its end, too."""
    if node.is_dict or not part.lstrip("-").isdecimal():
        return part
    number = int(part)
    return number if number >= 0 else len(node.entries) + number


def uniform_places(value: Any, where: str) -> Places:
    """The places of a value that was written at one place."""
    if isinstance(value, Mapping):
        entries = {key: uniform_places(entry, where) for key, entry in value.items() if key != DELETE_KEY}
        return Places(where, entries, is_dict=True, replaces=bool(value.get(DELETE_KEY)))
    if isinstance(value, list | tuple):
        return Places(where, {number: uniform_places(entry, where) for number, entry in enumerate(value)})
    return Places(where)


# ---- YAML and JSON


def places_of_data(text: str, file: str) -> Places:
    """Where the values of a YAML or JSON text were written; the file alone where that cannot be seen."""
    try:
        # Tabs are no indentation in YAML; inside of JSON's strings there are none.
        node = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        try:
            return uniform_places(json.loads(text), file)
        except ValueError:
            return Places(file, is_dict=True)
    return Places(file, is_dict=True) if node is None else _places_of_node(node, file, node.start_mark.line)


def _places_of_node(node: yaml.Node, file: str, line: int) -> Places:
    where = f"{file}:{line + 1}"
    if isinstance(node, yaml.MappingNode):
        entries: dict[Any, Places] = {}
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):
                    entries = _places_of_node(source, file, source.start_mark.line).entries | entries
            else:
                entries[
                    yaml.safe_load(key.value) if isinstance(key, yaml.ScalarNode) and not key.style else key.value
                ] = _places_of_node(value, file, key.start_mark.line)
        replaces = DELETE_KEY in entries
        entries.pop(DELETE_KEY, None)
        return Places(where, entries, is_dict=True, replaces=replaces)
    if isinstance(node, yaml.SequenceNode):
        parts = enumerate(node.value)
        return Places(where, {number: _places_of_node(part, file, part.start_mark.line) for number, part in parts})
    return Places(where)


# ---- Python


class _Instrumented(ast.NodeTransformer):
    """Hands each dict, list and tuple that is written to `Recorder.note`, with the lines of its entries."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        lines = {keyword.arg: keyword.lineno for keyword in node.keywords if keyword.arg is not None}
        spread = [keyword.value for keyword in node.keywords if keyword.arg is None]
        self.generic_visit(node)
        return self._noted(node, lines, spread) if node.keywords else node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        lines = {key.value: key.lineno for key in node.keys if isinstance(key, ast.Constant)}
        spread = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        self.generic_visit(node)
        return self._noted(node, lines, spread)

    def visit_List(self, node: ast.List) -> ast.AST:
        return self._visit_sequence(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        return self._visit_sequence(node)

    def _visit_sequence(self, node: ast.List | ast.Tuple) -> ast.AST:
        is_plain = not any(isinstance(part, ast.Starred) for part in node.elts)
        lines = {number: part.lineno for number, part in enumerate(node.elts)} if is_plain else {}
        self.generic_visit(node)
        return self._noted(node, lines) if isinstance(node.ctx, ast.Load) else node

    def _noted(self, node: ast.expr, lines: Mapping[Any, int], spread: Sequence[ast.expr] = ()) -> ast.AST:
        line = ast.Constant(node.lineno)
        table = ast.Dict([ast.Constant(key) for key in lines], [ast.Constant(number) for number in lines.values()])
        names = [value for value in spread if isinstance(value, ast.Name)]  # which can be read twice
        call = ast.Call(ast.Name(NOTE, ast.Load()), [node, line, table, *names], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


@dataclass
class _Note:
    """What is known of a container: itself, so that its id stays its own, where it was written, and its entries."""

    value: Any
    where: str
    places: dict[Any, str | Places]
    seen: dict[Any, int]  # ids of the entries after the last statement


class Recorder:
    """Runs a Python config file and notes where its values are written.

    Args:
        file: its name in `Places`.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._notes: dict[int, _Note] = {}
        self._offers: dict[str, tuple[Any, Places]] = {}
        self._written: list[tuple[Any, dict[Any, str]]] = []  # by the present statement: values, places of their keys

    def run(self, tree: ast.Module, namespace: dict[str, Any]) -> None:
        """Execute a module's statements in `namespace`, which is the first container that is watched."""
        namespace[NOTE] = self._note
        self._watch(namespace, 1)
        flags = _future_flags(tree)
        for statement in tree.body:
            line = statement.lineno
            self._written.clear()
            module = ast.Module([_Instrumented().visit(statement)], [])
            exec(compile(ast.fix_missing_locations(module), self.file, "exec", flags, dont_inherit=True), namespace)
            for note in self._reachable(namespace, line):
                self._update(note, line)
            for name in _assigned_names(statement):
                self._notes[id(namespace)].places[name] = f"{self.file}:{line}"
        del namespace[NOTE]

    def adopt(self, value: Any, places: Places) -> None:
        """Note where the entries of an inherited value were written."""
        note = self._watch(value, 1)
        note.where = places.where
        for key, entry in _entries(value):
            place = places.entries.get(key)
            if place is not None:
                note.places[key] = place
                if isinstance(entry, dict | list | tuple):
                    self.adopt(entry, place)

    def offer(self, values: dict[str, Any], places: Places) -> None:
        """Note where values were written that an import in the file will give their names."""
        self.adopt(values, places)
        for name, value in _entries(values):
            if name in places.entries:
                self._offers[name] = (value, places.entries[name])

    def places(self, values: Mapping[str, Any], namespace: Mapping[str, Any]) -> Places:
        """Where the entries of a file were written.

        Args:
            values: the entries.
            namespace: of which they are a part.
        """
        known = self._notes[id(namespace)].places
        entries = {key: self._tree(value, known.get(key, self.file)) for key, value in values.items()}
        return Places(self.file, entries, is_dict=True)

    # ---- inside

    def _note(self, value: Any, line: int, lines: Mapping[Any, int], *spread: Any) -> Any:
        """Note a container that was just written, over those whose entries it took by `**`; and keywords of a call."""
        self._written.append((value, {key: f"{self.file}:{number}" for key, number in lines.items()}))
        if isinstance(value, dict | list | tuple) and id(value) not in self._notes:
            note = self._watch(value, line)
            for source in spread:
                known = self._notes.get(id(source))
                note.places |= {} if known is None else {key: known.places.get(key, known.where) for key in source}
            note.places |= self._written[-1][1]
        return value

    def _watch(self, value: Any, line: int) -> _Note:
        if id(value) not in self._notes:
            entries = _entries(value)
            seen = {key: id(entry) for key, entry in entries}
            note = self._notes[id(value)] = _Note(value, f"{self.file}:{line}", {}, seen)
            note.places |= {key: self._place_in_statement(key, entry, line) for key, entry in entries}
        return self._notes[id(value)]

    def _place_in_statement(self, key: Any, entry: Any, line: int) -> str:
        """Where the present statement wrote an entry of a dict, which may have been merged into another one since."""
        places = [(value, known[key]) for value, known in self._written if isinstance(key, str) and key in known]
        same = [place for value, place in places if isinstance(value, dict) and dict.get(value, key) is entry]
        return next(reversed(same or [place for _, place in places]), f"{self.file}:{line}")

    def _reachable(self, namespace: dict[str, Any], line: int) -> Iterator[_Note]:
        queue: list[Any] = [namespace]
        done: set[int] = set()
        while queue:
            value = queue.pop()
            if id(value) in done:
                continue
            done.add(id(value))
            yield self._watch(value, line)
            entries = _entries(value)
            queue += [entry for key, entry in entries if isinstance(entry, dict | list | tuple) and not _is_dunder(key)]

    def _update(self, note: _Note, line: int) -> None:
        """What a statement put into a container was written on the statement's line."""
        entries = _entries(note.value)
        if [(key, id(entry)) for key, entry in entries] == list(note.seen.items()):
            return
        moved: dict[int, str | Places] = {}
        if isinstance(note.value, list):  # an entry that was put in moves those behind it
            moved = {number: note.places.get(key, note.where) for key, number in note.seen.items()}
        for key, entry in entries:
            if note.seen.get(key) == id(entry):
                continue
            offered = self._offers.get(key) if isinstance(key, str) else None
            if offered is not None and offered[0] is entry:
                note.places[key] = offered[1]
            else:
                note.places[key] = moved.get(id(entry)) or self._place_in_statement(key, entry, line)
        note.seen = {key: id(entry) for key, entry in entries}

    def _tree(self, value: Any, place: str | Places) -> Places:
        where = place.where if isinstance(place, Places) else place
        if not isinstance(value, dict | list | tuple):
            return Places(where)
        note = self._notes.get(id(value))
        known = {} if note is None else note.places
        entries = {
            key: self._tree(entry, known.get(key, where if note is None else note.where))
            for key, entry in _entries(value)
            if key != DELETE_KEY
        }
        replaces = isinstance(value, dict) and bool(value.get(DELETE_KEY))
        return Places(where, entries, is_dict=isinstance(value, dict), replaces=replaces)


def _entries(value: Any) -> list[tuple[Any, Any]]:
    # Without asking a dict of the config, which would import what it names lazily.
    return list(dict.items(value)) if isinstance(value, dict) else list(enumerate(value))


def _assigned_names(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns to: also when the value is the one that they had."""
    if isinstance(statement, ast.Assign):
        targets: Sequence[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return set()
    return {node.id for target in targets for node in ast.walk(target) if _is_target(node)}


def _is_target(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_dunder(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("__")


def _future_flags(tree: ast.Module) -> int:
    import __future__

    names = [
        alias.name
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        for alias in statement.names
    ]
    flags = 0
    for name in names:
        flags |= getattr(__future__, name).compiler_flag
    return flags
