"""Reading a config and the files that it inherits from."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kinema.config.base_paths import path_of_module, path_of_name
from kinema.config.data_files import read_data, text_to_parse, with_inherited_values
from kinema.config.dictionary import ConfigDict, merged, raw_items
from kinema.config.origins import Places, merge_places, places_of_data
from kinema.config.python_files import Offer, PythonFile
from kinema.config.references import BASE_KEY
from kinema.config.variables import with_environment, with_file_variables
from kinema.errors import ConfigError
from kinema.files import read_bytes

logger = logging.getLogger("kinema")

RESERVED_KEYS = ("filename", "text", "pretty_text", "env_variables")
SUFFIXES = (".py", ".yaml", ".yml", ".json")
LARGEST_CONFIG = 1 << 22  # bytes; all published configs together are smaller


class ConfigFile(NamedTuple):
    """A file that was read.

    Attributes:
        values: its entries, merged over those that it inherits.
        imports: what it imports lazily, by name: those that inherit from it may use the names.
        style: how it inherits; None: it does not.
        places: where the entries were written; None: nobody asked.
    """

    values: ConfigDict
    imports: dict[str, Any]
    style: str | None
    places: Places | None = None


_BY_NAME, _BY_IMPORT = "'_base_ = ...'", "'with read_base():' or lazy imports"


@dataclass
class Reading:
    """One reading of a config and the files that it inherits from.

    Attributes:
        file_variables: fill in `{{ fileDirname }}` and its like.
        environment: fill in `{{$NAME:default}}`.
        lazily: imports of Python files without `_base_` are resolved when a value is used; None: of
            those that use `with read_base()` or import OpenMMLab's packages.
        is_traced: note where each value was written.
        texts: each file that was read, its path before its text; the config itself is the last.
        used_variables: of the environment, by name.
    """

    file_variables: bool = True
    environment: bool = True
    lazily: bool | None = None
    is_traced: bool = False
    texts: list[str] = field(default_factory=list)
    used_variables: dict[str, str] = field(default_factory=dict)

    def file(self, path: Path, chain: tuple[Path, ...] = (), *, is_imported: bool = False) -> ConfigFile:
        """Read a file, merged over those that it inherits from.

        Args:
            path: a .py, .yaml, .yml or .json file.
            chain: the files that inherit from this one.
            is_imported: it is inherited from by an import, and imports lazily itself.

        Raises:
            ConfigError: names the file, and the line where there is one.
        """
        try:
            path = path.resolve()
        except RuntimeError:
            raise ConfigError(f"{path}: is a link that leads back to itself") from None
        if path in chain:
            raise ConfigError(f"{path} inherits from itself: {' -> '.join(file.name for file in (*chain, path))}")
        text = filled = text_of_config(path)
        try:
            if self.file_variables:
                filled = with_file_variables(filled, path)
            if self.environment:
                filled = with_environment(filled, path, self.used_variables)
            if path.suffix == ".py":
                file = self._python(PythonFile(filled, path), (*chain, path), is_imported)
            else:
                file = self._data(filled, path, (*chain, path))
        except (RecursionError, MemoryError):
            raise ConfigError(f"{path}: lists, dicts or brackets are nested too deep") from None
        self.texts.append(f"{path}\n{text}")
        for key in RESERVED_KEYS:
            if key in file.values:
                raise ConfigError(f"{path}: the key {key!r} is reserved")
        notice = file.values.pop("_deprecation_")
        if file.places is not None:
            file.places.entries.pop("_deprecation_", None)
        elif notice is not None:
            _warn_of_deprecation(notice, path)
        return file

    def _data(self, text: str, path: Path, chain: tuple[Path, ...]) -> ConfigFile:
        data = read_data(text, path)
        base, base_places = self._bases(data.pop(BASE_KEY, []), path, chain)
        own = with_inherited_values(data, base, path)
        places = places_of_data(text_to_parse(text), str(path)) if self.is_traced else None
        if places is not None:
            places.entries.pop(BASE_KEY, None)
        return ConfigFile(_over(base, own, path), {}, None, _places_over(base_places, places))

    def _python(self, file: PythonFile, chain: tuple[Path, ...], is_imported: bool) -> ConfigFile:
        is_lazy = (file.imports_lazily or is_imported) if self.lazily is None else self.lazily
        if is_lazy and not file.names_bases:
            bases = [self._imported_base(file, statement, chain) for statement in file.base_imports]
            own = file.run_lazily(bases, is_traced=self.is_traced)
            return ConfigFile(_over({}, own.values, file.path), own.imports, _BY_IMPORT, own.places)
        base, base_places = self._bases(file.base_names(), file.path, chain)
        style = _BY_NAME if file.names_bases else None
        own = file.run(base, base_places)
        return ConfigFile(_over(base, own.values, file.path), {}, style, _places_over(base_places, own.places))

    def _imported_base(self, file: PythonFile, statement: Any, chain: tuple[Path, ...]) -> Offer:
        where = f"{file.path}:{statement.lineno}"
        path = path_of_module(statement.module, statement.level, where, file.path)
        base = self.file(path, chain, is_imported=True)
        if base.style == _BY_NAME:
            raise _mixed(file.path, _BY_IMPORT, path, _BY_NAME)
        return Offer(dict(raw_items(base.values)), base.imports, base.places)

    def _bases(self, names: Any, path: Path, chain: tuple[Path, ...]) -> tuple[ConfigDict, Places | None]:
        """The configs that `_base_` names, side by side; a key may be in one of them only."""
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{path}: {BASE_KEY} must be a file name or a list of them, got {names!r}")
        joined = ConfigDict()
        places = Places(str(path), is_dict=True) if self.is_traced else None
        origin: dict[Any, str] = {}
        for name in names:
            base = self.file(path_of_name(name, path), chain)
            if base.style == _BY_IMPORT:
                raise _mixed(path, _BY_NAME, Path(name), _BY_IMPORT)
            for key in base.values:
                if key in origin:
                    raise ConfigError(
                        f"{path}: {key!r} is in two of the configs it inherits from, {origin[key]} and {name}"
                    )
                origin[key] = name
            joined.update(base.values)
            if places is not None and base.places is not None:
                places.entries.update(base.places.entries)
        return joined, places


def read_places(path: Path) -> Places:
    """Where the values of a config file were written, in it or in those it inherits from.

    The files are executed once more.

    Args:
        path: a .py, .yaml, .yml or .json file.

    Raises:
        ConfigError: names the file, and the line where there is one.
    """
    places = Reading(is_traced=True).file(path).places
    assert places is not None  # it is traced
    return places


def text_of_config(path: Path) -> str:
    """The text of a config file.

    Raises:
        ConfigError: there is no such file, or it is no text of a config.
    """
    if path.is_dir():
        inside = path / "config.py"
        hint = f": name {inside}" if inside.is_file() else ""
        raise ConfigError(f"{path}: is a folder, expected a config{hint}")
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a config is a file of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such config file")
    try:
        content = read_bytes(path, LARGEST_CONFIG + 1)
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: a config must be UTF-8 text: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_CONFIG:
        raise ConfigError(f"{path}: expected a config of at most {LARGEST_CONFIG:,} bytes")
    return text


def _over(base: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> ConfigDict:
    try:
        return merged(base, own)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _places_over(base: Places | None, own: Places | None) -> Places | None:
    return None if base is None or own is None else merge_places(base, own)


def _mixed(path: Path, style: str, base: Path, style_of_base: str) -> ConfigError:
    return ConfigError(
        f"{path} uses {style}, but {base}, which it inherits from, uses {style_of_base}: write both in one style"
    )


def _warn_of_deprecation(notice: Any, path: Path) -> None:
    """Show the notice of a config that has a successor, and warn programs."""
    text = f"{path} is deprecated: {dict(notice) if isinstance(notice, Mapping) else notice}"
    logger.warning("%s", text)
    warnings.warn(text, DeprecationWarning, stacklevel=2)
