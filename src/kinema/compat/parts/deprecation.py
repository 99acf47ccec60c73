"""Decorators of `mmengine.utils` for what will go away: they warn, and translate old names of arguments."""

import functools
import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

logger = logging.getLogger("kinema")


def deprecated_api_warning(
    name_dict: Mapping[str, str], cls_name: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: arguments given by their old names arrive under the new ones, with a warning.

    Args:
        name_dict: new name by old name.
        cls_name: class of a method, for the warning.

    Raises:
        ValueError: at a call that gives an argument under both names.
    """

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        title = f"{cls_name}.{function.__name__}" if cls_name else function.__name__

        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            for old, new in name_dict.items():
                if old in kwargs:
                    if new in kwargs:
                        raise ValueError(f"{title} got {old} and {new}, which is its new name: give {new} only")
                    warnings.warn(f"{title}: {old} is deprecated, use {new} instead", DeprecationWarning, stacklevel=2)
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return renamed

    return decorator


def deprecated_function(
    since: str, removed_in: str, instructions: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: a call logs a warning, and the docstring says so, too.

    Args:
        since: version that the function is deprecated from.
        removed_in: version that will not have it.
        instructions: what to do instead.
    """

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def warned(*args: Any, **kwargs: Any) -> Any:
            logger.warning(
                "'%s.%s' is deprecated in version %s and will be removed in version %s. Please %s.",
                function.__module__,
                function.__name__,
                since,
                removed_in,
                instructions,
            )
            return function(*args, **kwargs)

        notice = (
            f".. deprecated:: {since}\n    Deprecated and will be removed in version {removed_in}.\n"
            f"    Please {instructions}.\n\n\n"
        )
        warned.__doc__ = notice + "    " + inspect.cleandoc(function.__doc__ or "").replace("\n", "\n    ")
        return warned

    return decorator
