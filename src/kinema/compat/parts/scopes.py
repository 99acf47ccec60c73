"""OpenMMLab's default scope, over the one that Kinema's registries have."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

from kinema.instances import ManagerMixin
from kinema.registry import scopes


class DefaultScope(ManagerMixin):
    """The scope whose parts are meant by names without a prefix.

    Args:
        name: of this object, by which `get_instance` knows it.
        scope_name: the scope.

    Raises:
        TypeError: `scope_name` is no text.
    """

    _last_set: ClassVar[str | None] = None  # by an instance; those may be forgotten since

    def __init__(self, name: str, scope_name: str) -> None:
        super().__init__(name)
        if not isinstance(scope_name, str):
            raise TypeError(f"scope_name must be a str, got {type(scope_name).__name__}: {scope_name!r}")
        self._scope_name = scope_name

    @property
    def scope_name(self) -> str:
        """The scope."""
        return self._scope_name

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> "DefaultScope":
        """Make `scope_name` the default scope, unless there is an object of that name already."""
        is_new = not cls.check_instance_created(name)
        instance = super().get_instance(name, **kwargs)
        if is_new:
            cls._last_set = instance.scope_name
            scopes.init_default_scope(instance.scope_name)
        return instance

    @classmethod
    def get_current_instance(cls) -> "DefaultScope | None":  # type: ignore[override]
        """The scope that is set; None when there is none."""
        scope = scopes.default_scope()
        newest = super().get_current_instance() if cls._instance_dict else None
        if newest is not None and newest.scope_name == scope:
            return newest
        if scope is None or (newest is None and scope == cls._last_set):
            return None
        return cls(name="current", scope_name=scope)  # set by Kinema's own `init_default_scope`

    @classmethod
    @contextlib.contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Another default scope for a `with` block; None changes nothing."""
        with scopes.default_scope_of(scope_name):
            yield


def init_default_scope(scope: str) -> None:
    """Make `scope` the default scope; one that is set already stays.

    Raises:
        TypeError: `scope` is no text.
    """
    current = DefaultScope.get_current_instance()
    if current is None or current.scope_name != scope:
        is_known = isinstance(scope, str) and DefaultScope.check_instance_created(scope)
        DefaultScope.get_instance(f"{scope}-{time.time_ns()}" if is_known else scope, scope_name=scope)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Make all of Kinema's parts known, which look-ups in its registries do by themselves.

    Args:
        init_default_scope: make "mmaction" the default scope. Its parts are Kinema's.
    """
    if init_default_scope:
        current = DefaultScope.get_current_instance()
        if current is not None and current.scope_name not in ("mmaction", "mmengine"):
            warnings.warn(
                f'The current default scope "{current.scope_name}" is not "mmaction": register_all_modules sets that',
                stacklevel=2,
            )
        DefaultScope.get_instance(f"mmaction-{time.time_ns()}", scope_name="mmaction")
