"""`Config`: the whole description of a run."""

import importlib
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from kinema.config.dictionary import ConfigDict, plain_dicts
from kinema.config.overrides import apply_override
from kinema.config.reading import RESERVED_KEYS, read_config
from kinema.config.writing import python_text, text_of, write
from kinema.errors import ConfigError

logger = logging.getLogger("kinema")


class Config(MutableMapping[str, Any]):
    """A config: a mapping with attribute access that knows the file it came from.

    Args:
        values: the entries; default: none.
        filename: the file they came from.

    Raises:
        ConfigError: a key is one of the names that the object uses itself.
    """

    filename: str | None

    def __init__(self, values: Mapping[str, Any] | None = None, *, filename: str | PathLike[str] | None = None) -> None:
        values = dict(values or {})
        for key in RESERVED_KEYS:
            if key in values:
                raise ConfigError(f"the key {key!r} is reserved")
        # Rebuilt all through, so that a change here leaves what was given alone.
        self.__dict__["_values"] = ConfigDict(plain_dicts(values))
        self.__dict__["filename"] = None if filename is None else str(filename)

    @classmethod
    def fromfile(cls, filename: str | PathLike[str], *, import_custom_modules: bool = True) -> "Config":
        """Read a .py, .yaml, .yml or .json file.

        - `_base_ = "other.py"` (or a list, or `"package::other.py"`) inherits: dicts are merged,
          everything else replaced; `_delete_=True` in a dict replaces it as a whole.
        - `_base_.model.depth` in Python and `{{_base_.model.depth}}` everywhere is an inherited
          value.
        - `{{ fileDirname }}`, `{{ fileBasename }}`, `{{ fileBasenameNoExtension }}`,
          `{{ fileExtname }}` name the file.
        - `{{$NAME:default}}` is a variable of the environment.
        - `custom_imports=dict(imports=["package.module"])` imports modules whose parts the config
          names.

        Args:
            filename: the file.
            import_custom_modules: import what the entry `custom_imports` lists.

        Raises:
            ConfigError: names the file, and the line where there is one.
        """
        config = cls(read_config(Path(filename).expanduser()), filename=filename)
        if import_custom_modules and config.get("custom_imports"):
            import_modules(config["custom_imports"], str(filename))
        return config

    # ---- a mapping whose keys are attributes

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getattr__(self, name: str) -> Any:
        if name == "_values":  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self._values, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in RESERVED_KEYS:
            raise ConfigError(f"the key {name!r} is reserved")
        self._values[name] = value

    def __delattr__(self, name: str) -> None:
        delattr(self._values, name)

    def __repr__(self) -> str:
        source = "" if self.filename is None else f", filename={self.filename!r}"
        return f"Config({self.to_dict()!r}{source})"

    # ---- changing and writing

    def merge_from_dict(self, options: Mapping[str, Any]) -> None:
        """Apply changes given by dotted paths: `{"model.backbone.depth": 101, "train_pipeline.0.type": "OpenVideo"}`.

        A dict is merged into one that is there (`_delete_=True` replaces it), everything else
        replaces.

        Raises:
            ConfigError: a path leads nowhere.
        """
        for key, value in options.items():
            apply_override(self._values, key, value)

    def to_dict(self) -> dict[str, Any]:
        """The entries as plain dicts."""
        plain: dict[str, Any] = self._values.to_dict()
        return plain

    @property
    def pretty_text(self) -> str:
        """The entries as Python source.

        Raises:
            ConfigError: a value cannot be written as Python.
        """
        return python_text(self._values)

    def dump(self, path: str | PathLike[str] | None = None) -> str | None:
        """Write the entries to a .py, .yaml, .yml or .json file that reads back equal (in JSON tuples become lists).

        Args:
            path: the file; default: return the text instead, in the language of the file that the
                config was read from, else Python.

        Raises:
            ConfigError: another suffix, or a value that the language cannot hold.
        """
        if path is None:
            return text_of(self._values, PurePath(self.filename or "config.py"))
        write(self._values, Path(path))
        return None


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
