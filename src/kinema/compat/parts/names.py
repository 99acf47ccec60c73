"""Names of configured types, for `mmaction.utils`."""

import inspect
from typing import Any


def get_str_type(module: Any) -> str | None:
    """The name that a config's `type` gives: a string as it is, a class or function by its name; None without one.

    Raises:
        TypeError: it is neither.
    """
    if module is None or isinstance(module, str):
        return module
    if inspect.isclass(module) or inspect.isfunction(module):
        return module.__name__
    raise TypeError(f"'type' must be a name, class or function, got {type(module).__name__}: {module!r}")
