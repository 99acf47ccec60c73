"""Names that a config file imports: they are resolved when they are used, not when the file is read."""

import contextlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from kinema.errors import ConfigError
from kinema.real_modules import module_named, package_of


class Lazy:
    """A module, or something in one, that is imported when it is needed.

    An attribute of it is lazy, too; a call imports it and calls it. A `ConfigDict` gives what it
    stands for.
    """

    _location: str | None

    def build(self) -> Any:
        """Import it.

        Raises:
            ConfigError: there is no such module, or no such name in it.
        """
        raise NotImplementedError

    def __getattr__(self, name: str) -> "LazyAttr":
        if name.startswith("__") or name in ("_location", "_module", "_imported", "_name", "_source"):  # copy, pickle
            raise AttributeError(name)
        return LazyAttr(name, self, self._location)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.build()(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lazy) and dotted_name(self) == dotted_name(other)

    def __hash__(self) -> int:
        return hash(dotted_name(self))

    def __repr__(self) -> str:
        return f"<{dotted_name(self)}>"

    def __str__(self) -> str:
        return dotted_name(self)


class LazyObject(Lazy):
    """A module (`import a.b`), or a name of it (`from a.b import c`).

    Args:
        module: dotted name; several, as of `import a.b` and `import a.c`, stand for `a`.
        imported: name in the module; None: the module itself.
        location: file and line of the import, for messages.

    Raises:
        TypeError: a name is no text.
    """

    def __init__(self, module: str | Sequence[str], imported: str | None = None, location: str | None = None) -> None:
        names = [module] if isinstance(module, str) else module
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise TypeError(f"module must be the dotted name of a module, got {module!r}")
        if not isinstance(imported, str | None):
            raise TypeError(f"imported must be the name of something in {module}, got {imported!r}")
        self._module = names[0] if len(names) == 1 else package_of(names[0])
        self._modules = list(names)
        self._imported = imported
        self._location = location

    def build(self) -> Any:
        """Import it. See `Lazy.build`."""
        try:
            for name in self._modules:
                module = module_named(name)
            if self._module not in self._modules:
                module = module_named(self._module)
            return module if self._imported is None else _attribute(module, self._imported)
        except (ImportError, AttributeError) as error:
            raise _failure(self, error) from error


class LazyAttr(Lazy):
    """An attribute of something lazy.

    Args:
        name: of the attribute.
        source: what has it.
        location: file and line, for messages.
    """

    def __init__(self, name: str, source: Lazy, location: str | None = None) -> None:
        if not isinstance(name, str) or not isinstance(source, Lazy):
            raise TypeError(f"expected the name of an attribute and a LazyObject, got {name!r} and {source!r}")
        self._name = name
        self._source = source
        self._location = location

    def build(self) -> Any:
        """Import it. See `Lazy.build`."""
        source = self._source.build()
        try:
            return _attribute(source, self._name)
        except (ImportError, AttributeError) as error:
            raise _failure(self, error) from error


def dotted_name(lazy: Lazy) -> str:
    """Where it is: `package.module.name`."""
    if isinstance(lazy, LazyAttr):
        return f"{dotted_name(lazy._source)}.{lazy._name}"
    assert isinstance(lazy, LazyObject)
    return lazy._module if lazy._imported is None else f"{lazy._module}.{lazy._imported}"


def built(value: Any) -> Any:
    """What a lazy value stands for; any other value as it is."""
    return value.build() if isinstance(value, Lazy) else value


def _attribute(value: Any, name: str) -> Any:
    """An attribute, which may be a module that is not imported yet."""
    try:
        return getattr(value, name)
    except AttributeError:
        if not isinstance(value, ModuleType):
            raise
    try:
        return module_named(f"{value.__name__}.{name}")
    except ModuleNotFoundError:
        raise AttributeError(f"{value.__name__} has no {name!r}") from None


def _failure(lazy: Lazy, error: Exception) -> ConfigError:
    return ConfigError(f"{lazy._location or 'the config'}: {dotted_name(lazy)} cannot be imported: {error}")


@contextlib.contextmanager
def read_base() -> Iterator[None]:
    """Mark the imports by which a config file inherits.

    Use: `with read_base(): from .other import *`. `Config.fromfile` reads the block; run by Python
    itself, it does nothing but import.
    """
    yield
