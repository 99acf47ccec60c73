"""Constructors and functions that share a list of arguments, which stands in one place."""

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

Call = TypeVar("Call", bound=Callable[..., Any])


def takes_arguments_of(*sources: Callable[..., Any], without: Collection[str] = ()) -> Callable[[Call], Call]:
    """Decorator for an `__init__`, or a function, that passes further arguments on.

    Its signature then lists them, so that help, editors and the registry's messages name the real
    keywords, and wrong ones are refused in its name. With `*args` the arguments of the first source
    may be given by position; all others are keywords.

    Args:
        *sources: what the arguments go to, such as a named tuple or a class.
        without: arguments of these that may not be given.
    """

    def decorate(call: Call) -> Call:
        own = inspect.signature(call)
        named = [item for item in own.parameters.values() if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
        has_args = any(item.kind is item.VAR_POSITIONAL for item in own.parameters.values())
        further: dict[str, inspect.Parameter] = {}
        for number, source in enumerate(sources):
            for name, item in inspect.signature(source).parameters.items():
                if name not in own.parameters and name not in further and name not in without:
                    further[name] = item if has_args and number == 0 else item.replace(kind=item.KEYWORD_ONLY)
        signature = own.replace(parameters=[*named, *further.values()])

        @functools.wraps(call)
        def checked(*args: Any, **settings: Any) -> Any:
            try:
                signature.bind(*args, **settings)
            except TypeError as error:
                raise TypeError(f"{call.__qualname__}() {error}") from None
            return call(*args, **settings)

        checked.__signature__ = signature  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate
