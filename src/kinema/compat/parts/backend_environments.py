"""`force_init_env` of `mmengine.visualization`, for backends that begin when they are first used."""

import functools
from collections.abc import Callable
from typing import Any


def force_init_env(old_func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a backend's method: before the first one runs, `_init_env` of the backend does.

    Raises:
        AttributeError: the backend has no `_init_env`.
    """

    @functools.wraps(old_func)
    def with_environment(backend: Any, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(backend, "_init_env"):
            raise AttributeError(f"{type(backend).__name__} needs a method _init_env, which its methods ask for")
        if not getattr(backend, "_env_initialized", False):
            backend._env_initialized = True
            backend._init_env()
        return old_func(backend, *args, **kwargs)

    return with_environment
