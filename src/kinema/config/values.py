"""Values of a config that do not suit their part: the error names the config's key."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kinema.errors import ConfigError, ConfigValueError, KinemaError, PartArgumentError

# By the type of a parameter's default: what the value must not be, and what to say. Only texts,
# dicts and lists are refused: a tensor may stand for a number, None for a default.
_REFUSED: dict[type, tuple[Any, str]] = {
    bool: (str | Mapping | list | tuple | float, "True or False"),
    int: (str | Mapping | list | tuple, "a number"),
    float: (str | Mapping | list | tuple, "a number"),
    tuple: (str | Mapping | int | float, "a list of numbers"),
}

_BY_ANNOTATION: dict[str, type] = {
    **{"bool": bool, "int": int, "float": float, "Sequence[int]": tuple, "Sequence[float]": tuple},
    **{"bool | None": bool, "int | None": int, "float | None": float, "Optional[int]": int, "Optional[float]": float},
}


def check_types(part: Any, values: Any, where: str) -> None:
    """Refuse texts where a part takes numbers and the like, as a misspelled `--set lr=abc` gives.

    Args:
        part: class or function that `values` are keywords of.
        values: the config; anything but a dict passes.
        where: dotted path of `values` in the whole config.

    Raises:
        PartArgumentError: names the key, the value and what is expected.
    """
    if not isinstance(values, Mapping):
        return
    try:
        parameters = inspect.signature(part).parameters
    except (TypeError, ValueError):  # built-in types may have no signature
        return
    for name, value in values.items():
        parameter = parameters.get(str(name))
        kind = None if parameter is None else _kind(parameter)
        if kind is not None and isinstance(value, _REFUSED[kind][0]):
            expected = "a list" if parameter is not None and parameter.default == () else _REFUSED[kind][1]
            raise PartArgumentError(f"{where}.{name} must be {expected}, got {value!r}")


def _kind(parameter: inspect.Parameter) -> type | None:
    """Type of a parameter, by its default or, where that says nothing, its annotation."""
    if type(parameter.default) in _REFUSED:
        return type(parameter.default)
    text = (
        parameter.annotation
        if isinstance(parameter.annotation, str)
        else inspect.formatannotation(parameter.annotation)
    )
    return _BY_ANNOTATION.get(text.replace("typing.", "").replace("collections.abc.", ""))


@contextmanager
def naming(where: str) -> Iterator[None]:
    """An error about a value that was given at `where` in a config names that place."""
    try:
        yield
    except KinemaError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        text = " ".join(str(error).split()) or "cannot be used"
        kinds = {TypeError: PartArgumentError, ValueError: ConfigValueError}  # which are these errors, too
        error_class = next((kinds[kind] for kind in kinds if isinstance(error, kind)), ConfigError)
        kind = "" if isinstance(error, ValueError) else f" ({type(error).__name__})"  # those are written for users
        raise error_class(f"{where}: {text}{kind}") from error
