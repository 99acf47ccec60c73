"""The same random numbers for several samples: what `TransformBroadcaster` shares."""

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kinema.transforms import BaseTransform

_DRAWN = "_drawn"


class _Drawn:
    """What the random methods of a transform have drawn, while it is shared."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.calls: Counter[str] | None = None  # inside `transform`

    def value(self, name: str, draw: Callable[[], Any]) -> Any:
        if self.calls is not None:
            self.calls[name] += 1
            if self.calls[name] > 1:
                raise RuntimeError(
                    f"a method with cache_randomness must be called at most once a sample, and {name} was called twice:"
                    " its value would be the same"
                )
        if name not in self.values:
            self.values[name] = draw()
        return self.values[name]


class _RandomMethod:
    """A method whose result is kept while `cache_random_params` lasts."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        inherited = getattr(owner, "_methods_with_randomness", [])
        owner._methods_with_randomness = [*inherited, name]  # type: ignore[attr-defined]

    def __get__(self, instance: Any, owner: type | None = None) -> Callable[..., Any]:
        if instance is None:
            return self.function

        @functools.wraps(self.function)
        def draw(*args: Any, **kwargs: Any) -> Any:
            drawn: _Drawn | None = vars(instance).get(_DRAWN)
            if drawn is None:
                return self.function(instance, *args, **kwargs)
            return drawn.value(self.function.__name__, lambda: self.function(instance, *args, **kwargs))

        return draw


def cache_randomness(func: Callable[..., Any]) -> Any:
    """Decorate a method of a transform that draws random numbers, so that samples can share them.

    Raises:
        TypeError: it is no function whose first argument is `self`.
    """
    if not inspect.isfunction(func) or next(iter(inspect.signature(func).parameters), None) != "self":
        raise TypeError(f"cache_randomness is for methods, whose first argument is self, got {func!r}")
    return _RandomMethod(func)


def avoid_cache_randomness(cls: type[BaseTransform]) -> type[BaseTransform]:
    """Decorate a transform whose random numbers must not be shared; subclasses may be.

    Raises:
        TypeError: it is no transform.
        RuntimeError: it has methods with `cache_randomness`.
    """
    if not (isinstance(cls, type) and issubclass(cls, BaseTransform)):
        raise TypeError(f"avoid_cache_randomness is for subclasses of BaseTransform, got {cls!r}")
    if methods := getattr(cls, "_methods_with_randomness", []):
        raise RuntimeError(f"{cls.__name__} must not share random numbers, and has cache_randomness on {methods}")
    cls._avoid_cache_randomness = True  # type: ignore[attr-defined]
    return cls


@contextmanager
def cache_random_params(transforms: BaseTransform | Iterable[Any]) -> Iterator[None]:
    """Inside the `with` block, transforms draw their random numbers once for all samples.

    Args:
        transforms: a transform, or several; what they hold as iterables takes part.

    Raises:
        RuntimeError: a transform refuses, by `avoid_cache_randomness`; or calls a method with
            `cache_randomness` twice for a sample.
    """
    with ExitStack() as stack:
        for transform in _transforms_in(transforms):
            stack.enter_context(_shared(transform))
        yield


def _transforms_in(transforms: Any) -> Iterator[BaseTransform]:
    if isinstance(transforms, BaseTransform):
        yield transforms
    if isinstance(transforms, Iterable) and not isinstance(transforms, str):
        for transform in transforms:
            yield from _transforms_in(transform)


@contextmanager
def _shared(transform: BaseTransform) -> Iterator[None]:
    part = type(transform)
    if vars(part).get("_avoid_cache_randomness", False):
        raise RuntimeError(f"{part.__name__} must not share random numbers (avoid_cache_randomness)")
    if not hasattr(part, "_methods_with_randomness") or _DRAWN in vars(transform):
        yield
        return
    drawn = _Drawn()

    @functools.wraps(transform.transform)
    def transform_counting(results: Any) -> Any:
        drawn.calls = Counter()
        try:
            return part.transform(transform, results)
        finally:
            drawn.calls = None

    vars(transform).update({_DRAWN: drawn, "transform": transform_counting})
    try:
        yield
    finally:
        for name in (_DRAWN, "transform"):
            del vars(transform)[name]
