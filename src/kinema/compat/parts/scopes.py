"""OpenMMLab's default scope, over the one that Kinema's registries have."""

import contextlib
from collections.abc import Iterator

from kinema.registry import default_scope, init_default_scope


class DefaultScope:
    """The scope whose parts are meant by names without a prefix.

    Args:
        name: of this object; only kept.
        scope_name: the scope.
    """

    def __init__(self, name: str, scope_name: str) -> None:
        self.instance_name = name
        self.scope_name = scope_name

    @classmethod
    def get_instance(cls, name: str, scope_name: str) -> "DefaultScope":
        """Make `scope_name` the default scope."""
        init_default_scope(scope_name)
        return cls(name, scope_name)

    @classmethod
    def get_current_instance(cls) -> "DefaultScope | None":
        """The scope that is set; None when there is none."""
        scope = default_scope()
        return None if scope is None else cls("current", scope)

    @classmethod
    @contextlib.contextmanager
    def overwrite_default_scope(cls, scope_name: str | None) -> Iterator[None]:
        """Another default scope for a `with` block; None changes nothing."""
        before = default_scope()
        init_default_scope(scope_name or before)
        try:
            yield
        finally:
            init_default_scope(before)


def register_all_modules(init_default_scope: bool = True) -> None:
    """Make all of Kinema's parts known, which look-ups in its registries do by themselves.

    Args:
        init_default_scope: make "mmaction" the default scope. Its parts are Kinema's.
    """
    if init_default_scope:
        DefaultScope.get_instance("mmaction", "mmaction")
