"""Whose parts a name without a prefix means, and what a name may lead to."""

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from contextvars import ContextVar

_default_scope: str | None = None
_asked: set[str] = set()  # scopes whose `registry` module was looked for
_imports_names: ContextVar[bool] = ContextVar("imports_names", default=True)


def init_default_scope(scope: str | None) -> None:
    """Look names without a prefix up in the registries of `scope` first, then in Kinema's own.

    Raises:
        TypeError: `scope` is no text.
    """
    global _default_scope
    if not isinstance(scope, str | None):
        raise TypeError(f"a scope is the name of a package, got {type(scope).__name__}: {scope!r}")
    _default_scope = scope


def default_scope() -> str | None:
    """The scope that `init_default_scope` set, None before."""
    return _default_scope


@contextlib.contextmanager
def default_scope_of(scope: str | None) -> Iterator[None]:
    """Another default scope for a `with` block; None changes nothing."""
    if not scope:
        yield
        return
    before = _default_scope
    init_default_scope(scope)
    try:
        yield
    finally:
        init_default_scope(before)


@contextlib.contextmanager
def registered_names_only() -> Iterator[None]:
    """In a `with` block no name of a part imports anything: for configs that come with weights."""
    token = _imports_names.set(False)
    try:
        yield
    finally:
        _imports_names.reset(token)


def imports_names() -> bool:
    """Whether a dotted name that no registry has may be imported."""
    return _imports_names.get()


def import_registries_of(scope: str) -> None:
    """Import `scope.registry`, where OpenMMLab's projects keep the registries of their parts; once."""
    if scope in _asked or not imports_names():
        return
    _asked.add(scope)
    if not scope.isidentifier() or importlib.util.find_spec(scope) is None:
        return
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(f"{scope}.registry")
