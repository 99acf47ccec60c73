"""`Config`: the whole description of a run."""

import argparse
import copy
import difflib
import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, KeysView, Mapping, MutableMapping
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from kinema.config.arguments import add_options
from kinema.config.dictionary import DELETE_KEY, ConfigDict, plain_dicts, raw_items
from kinema.config.origins import Places, override_places
from kinema.config.overrides import apply_override
from kinema.config.reading import RESERVED_KEYS, SUFFIXES, Reading, read_places
from kinema.config.reading_steps import ReadingSteps
from kinema.config.writing import python_text, text_of, write
from kinema.errors import ConfigError

logger = logging.getLogger("kinema")


class Config(ReadingSteps, MutableMapping[str, Any]):
    """A config: a mapping with attribute access that knows the file it came from.

    Args:
        cfg_dict: the entries; default: none.
        cfg_text: the text that they were read from; default: that of the file, if there is one.
        filename: the file they came from.
        env_variables: the variables of the environment that were filled in.
        format_python_code: break long lines in `pretty_text`.

    Raises:
        ConfigError: a key is one of the names that the object uses itself.
        TypeError: `cfg_dict` is no mapping.
    """

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | PathLike[str] | None = None,
        env_variables: Mapping[str, str] | None = None,
        format_python_code: bool = True,
    ) -> None:
        if not isinstance(cfg_dict, Mapping | None):
            raise TypeError(f"the entries of a config must be a dict, got {type(cfg_dict).__name__}: {cfg_dict!r}")
        values = cfg_dict._cfg_dict if isinstance(cfg_dict, Config) else cfg_dict or {}
        for key in RESERVED_KEYS:
            if key in values:
                raise ConfigError(f"the key {key!r} is reserved")
        # Rebuilt all through, so that a change here leaves what was given alone.
        self.__dict__["_cfg_dict"] = ConfigDict(plain_dicts(values))
        self.__dict__["_breaks_lines"] = format_python_code
        self.__dict__["_overrides"] = []
        if isinstance(cfg_dict, Config) and filename is None and cfg_text is None:  # it comes from where that came from
            kept = ("_filename", "_text", "_env_variables", "_overrides")
            self.__dict__.update({key: copy.copy(cfg_dict.__dict__[key]) for key in kept})
            return
        self.__dict__["_filename"] = None if filename is None else str(filename)
        self.__dict__["_text"] = _text_of(filename) if cfg_text is None else cfg_text
        self.__dict__["_env_variables"] = dict(env_variables or {})

    @classmethod
    def fromfile(
        cls,
        filename: str | PathLike[str],
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
    ) -> "Config":
        """Read a .py, .yaml, .yml or .json file.

        - `_base_ = "other.py"` (or a list, or `"package::other.py"`) inherits: dicts are merged,
          everything else replaced; `_delete_=True` in a dict replaces it as a whole.
        - `_base_.model.depth` in Python and `{{_base_.model.depth}}` everywhere is an inherited
          value.
        - `with read_base(): from .other import *` inherits, too: the names of the other file are
          there, dicts with `merge(...)` and `update(...)`. What such a file imports
          (`type=SGD`) is imported when the value is used.
        - `{{ fileDirname }}`, `{{ fileBasename }}`, `{{ fileBasenameNoExtension }}`,
          `{{ fileExtname }}` name the file.
        - `"{{$NAME:default}}"` is a variable of the environment, as text; `{{'$NAME:default'}}`
          reads it as a number, list or bool.
        - `custom_imports=dict(imports=["package.module"])` imports modules whose parts the config
          names.

        Args:
            filename: the file.
            use_predefined_variables: fill in the names of the file.
            import_custom_modules: import what the entry `custom_imports` lists.
            use_environment_variables: fill in variables of the environment.
            lazy_import: imports of Python files without `_base_` are resolved when a value is used;
                None: of those that use `read_base` or import OpenMMLab's packages.
            format_python_code: break long lines in `pretty_text`.

        Raises:
            ConfigError: names the file, and the line where there is one.
        """
        values, text, variables = cls._file2dict(
            filename, use_predefined_variables, use_environment_variables, lazy_import
        )
        config = cls(values, text, filename, variables, format_python_code)
        if import_custom_modules and config.get("custom_imports"):
            import_modules(config["custom_imports"], str(filename))
        return config

    @staticmethod
    def _file2dict(
        filename: str | PathLike[str],
        use_predefined_variables: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
    ) -> tuple[ConfigDict, str, dict[str, str]]:
        """The entries of a file, the text of all that was read, and the variables that were filled in."""
        reading = Reading(use_predefined_variables, use_environment_variables, lazy_import)
        values = reading.file(Path(filename).expanduser()).values
        return values, "\n".join(reading.texts), reading.used_variables

    @classmethod
    def fromstring(cls, cfg_str: str, file_format: str) -> "Config":
        """Read the text of a config file.

        Args:
            cfg_str: the text.
            file_format: suffix of such a file: .py, .yaml, .yml or .json.

        Raises:
            ConfigError: another suffix, or a text that is none of the language.
        """
        if file_format not in SUFFIXES:
            raise ConfigError(f"file_format must be one of {', '.join(SUFFIXES)}, got {file_format!r}")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"config{file_format}")
            file.write_text(cfg_str, encoding="utf-8")
            config = cls.fromfile(file)
        config.__dict__.update(_filename=None, _text=cfg_str)
        return config

    @staticmethod
    def diff(cfg1: "str | PathLike[str] | Config", cfg2: "str | PathLike[str] | Config") -> str:
        """The differences between two configs, or files of them, as a unified diff of their sorted text."""
        texts = []
        for given in (cfg1, cfg2):
            config = given if isinstance(given, Config) else Config.fromfile(given)
            texts.append(python_text(_sorted(config._cfg_dict)).split("\n"))
        return "".join(f"{line}\n" for line in [*difflib.unified_diff(texts[0], texts[1]), ""])

    @staticmethod
    def auto_argparser(description: str | None = None) -> "tuple[argparse.ArgumentParser, Config]":
        """A parser with an option for every value of the config that the command line names first.

        Args:
            description: of the program.

        Returns:
            The parser, and the config.
        """
        named = argparse.ArgumentParser(description=description, add_help=False)
        named.add_argument("config")
        config = Config.fromfile(named.parse_known_args()[0].config)
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("config", help="config file")
        add_options(parser, config)
        return parser, config

    @property
    def filename(self) -> str | None:
        """The file that it was read from; None: it was read from none."""
        return self._filename

    @property
    def text(self) -> str:
        """The text that it was read from, that of the files which it inherits from first."""
        return self._text

    @property
    def env_variables(self) -> dict[str, str]:
        """The variables of the environment that were filled in."""
        return self._env_variables

    # ---- a mapping whose keys are attributes

    def __getitem__(self, key: str) -> Any:
        return self._cfg_dict[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._cfg_dict[key] = value

    def __delitem__(self, key: str) -> None:
        del self._cfg_dict[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __contains__(self, key: object) -> bool:
        return key in self._cfg_dict

    def __getattr__(self, name: str) -> Any:
        if name == "_cfg_dict":  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._cfg_dict, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in RESERVED_KEYS:
            raise ConfigError(f"the key {name!r} is reserved")
        self._cfg_dict[name] = value

    def __delattr__(self, name: str) -> None:
        delattr(self._cfg_dict, name)

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._cfg_dict.keys()

    def values(self) -> list[Any]:  # type: ignore[override]
        """The values, as a list."""
        return self._cfg_dict.values()

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]
        """Pairs of key and value, as a list."""
        return self._cfg_dict.items()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As `dict.update`, but a dict is merged into one that is there, key by key."""
        self._cfg_dict.update(*args, **kwargs)

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove an entry and return its value; None where there is no such key."""
        return self._cfg_dict.pop(key, default)

    def copy(self) -> "Config":
        """A shallow copy."""
        other = type(self)()
        other.__dict__.update(self.__dict__, _cfg_dict=self._cfg_dict.copy(), _overrides=[*self._overrides])
        return other

    __copy__ = copy

    def __repr__(self) -> str:
        return f"Config (path: {self.filename}): {self._cfg_dict!r}"

    # ---- changing and writing

    def merge_from_dict(self, options: Mapping[str, Any], allow_list_keys: bool = True) -> None:
        """Apply changes given by dotted paths: `{"model.backbone.depth": 101, "train_pipeline.0.type": "OpenVideo"}`.

        A dict is merged into one that is there (`_delete_=True` replaces it), everything else
        replaces. The path of a `_delete_` in it, `model.backbone._delete_=True`, empties a dict
        before the other options, in whichever order they come.

        Args:
            options: value by dotted path.
            allow_list_keys: numbers in a path, or as the keys of a dict, are indices of a list.

        Raises:
            ConfigError: a path leads nowhere.
        """
        emptied_first = sorted(options.items(), key=lambda option: not option[0].endswith(f".{DELETE_KEY}"))
        for key, value in emptied_first:
            apply_override(self._cfg_dict, key, value, list_keys=allow_list_keys)
            self._overrides.append((key, value))

    def places(self) -> Places | None:
        """Where each value was written; None of a config that came from no file.

        The file is read again. What `merge_from_dict` changed is from the command line; what was
        changed in another way has the place of what it replaced, or of what holds it.

        Raises:
            ConfigError: the file cannot be read any more.
        """
        if self.filename is None:
            return None
        places = read_places(Path(self.filename).expanduser())
        for key, value in self._overrides:
            override_places(places, key, value)
        return places

    def to_dict(self) -> dict[str, Any]:
        """The entries as plain dicts; what a file imports lazily as its dotted name."""
        plain: dict[str, Any] = self._cfg_dict.to_dict()
        return plain

    def _to_lazy_dict(self) -> dict[str, Any]:
        """The entries as plain dicts; what a file imports lazily stays so."""
        plain: dict[str, Any] = self._cfg_dict._to_lazy_dict()
        return plain

    @property
    def pretty_text(self) -> str:
        """The entries as Python source.

        Raises:
            ConfigError: a value cannot be written as Python.
        """
        return python_text(self._cfg_dict, breaks_lines=self._breaks_lines)

    def dump(self, file: str | PathLike[str] | None = None) -> str | None:
        """Write the entries to a .py, .yaml, .yml or .json file that reads back equal.

        In JSON tuples become lists; in JSON and YAML the class of a part becomes its dotted name.

        Args:
            file: default: return the text instead, in the language of the file that the config was
                read from, else Python.

        Raises:
            ConfigError: another suffix, or a value that the language cannot hold.
        """
        if file is None:
            return text_of(self._cfg_dict, PurePath(self.filename or "config.py"))
        write(self._cfg_dict, Path(file))
        return None


def _text_of(filename: str | PathLike[str] | None) -> str:
    if filename is None or not Path(filename).is_file():
        return ""
    return Path(filename).read_text(encoding="utf-8")


def _sorted(value: Any) -> Any:
    """`value` with the keys of every dict in order."""
    if isinstance(value, Mapping):
        return {key: _sorted(entry) for key, entry in sorted(raw_items(value), key=lambda pair: str(pair[0]))}
    return type(value)(map(_sorted, value)) if type(value) in (list, tuple) else value


def import_modules(custom_imports: Any, where: str) -> None:
    """Import the modules of `dict(imports=[...], allow_failed_imports=False)`, so that their parts are registered.

    Args:
        custom_imports: the entry.
        where: the config file, for messages.

    Raises:
        ConfigError: the entry is of another form, or an import fails and `allow_failed_imports` is
            False.
    """
    names = custom_imports.get("imports") if isinstance(custom_imports, Mapping) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{where}: custom_imports must be dict(imports=['package.module', ...]), got {custom_imports!r}"
        )
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"{where}: custom_imports: {name} cannot be imported: {error}; is its folder on PYTHONPATH?"
            if not custom_imports.get("allow_failed_imports", False):
                raise ConfigError(message) from error
            logger.warning("%s", message)
            warnings.warn(message, UserWarning, stacklevel=2)
