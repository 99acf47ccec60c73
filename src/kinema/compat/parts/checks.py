"""Questions about values and small conversions: the plain functions of `mmengine.utils`."""

import importlib
import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any


def is_str(x: Any) -> bool:
    """Whether `x` is a string."""
    return isinstance(x, str)


def is_seq_of(seq: Any, expected_type: type | tuple[type, ...], seq_type: type | None = None) -> bool:
    """Whether `seq` is a sequence (of type `seq_type`, if given) whose items are all of `expected_type`."""
    wanted: Any = seq_type or Sequence
    return isinstance(seq, wanted) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a list whose items are all of `expected_type`."""
    return is_seq_of(seq, expected_type, list)


def is_tuple_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a tuple whose items are all of `expected_type`."""
    return is_seq_of(seq, expected_type, tuple)


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """A function that repeats a value `n` times; an iterable stays as it is."""

    def repeat(x: Any) -> Any:
        return x if isinstance(x, Iterable) else (x,) * n

    return repeat


to_1tuple = to_ntuple(1)
to_2tuple = to_ntuple(2)
to_3tuple = to_ntuple(3)
to_4tuple = to_ntuple(4)


def iter_cast(inputs: Iterable[Any], dst_type: Callable[[Any], Any], return_type: type | None = None) -> Any:
    """Every item converted by `dst_type`: an iterator, or an object of `return_type`.

    Raises:
        TypeError: `inputs` cannot be iterated over, or `dst_type` is no type.
    """
    if not isinstance(inputs, Iterable):
        raise TypeError(f"inputs must be iterable, got {type(inputs).__name__}")
    if not isinstance(dst_type, type):
        raise TypeError(f"dst_type must be a type, got {dst_type!r}")
    converted = map(dst_type, inputs)
    return converted if return_type is None else return_type(converted)


def list_cast(inputs: Iterable[Any], dst_type: Callable[[Any], Any]) -> list[Any]:
    """Every item converted by `dst_type`, as a list."""
    return [dst_type(item) for item in inputs]


def tuple_cast(inputs: Iterable[Any], dst_type: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Every item converted by `dst_type`, as a tuple."""
    return tuple(list_cast(inputs, dst_type))


def slice_list(in_list: list[Any], lens: int | list[int]) -> list[list[Any]]:
    """Cut a list into lists of the given lengths (one number: all of that length).

    Raises:
        ValueError: the lengths do not add up to the list's.
    """
    lengths = [lens] * (len(in_list) // lens) if isinstance(lens, int) else lens
    if sum(lengths) != len(in_list):
        raise ValueError(f"sum of lens and list length does not match: {sum(lengths)} != {len(in_list)}")
    ends = list(itertools.accumulate(lengths, initial=0))
    return [in_list[begin:end] for begin, end in itertools.pairwise(ends)]


def concat_list(in_list: Iterable[Iterable[Any]]) -> list[Any]:
    """One list of the items of several."""
    return list(itertools.chain.from_iterable(in_list))


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """A version as numbers that compare: `length` numbers of the release, then two of the kind of pre- or post-release.

    `"2.1.0rc1"` gives (2, 1, 0, 0, -1, 1) with length 4. What stands after `+` does not count.

    Raises:
        ValueError: `version_str` is no version.
    """
    match = re.fullmatch(
        r"v?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview|post|dev)[-_.]?(\d*))?(?:\.dev\d+)?(?:\+.*)?",
        version_str.strip().lower(),
    )
    if match is None:
        raise ValueError(f"failed to parse version {version_str!r}")
    numbers = [int(part) for part in match[1].split(".")][:length]
    release = (*numbers, *[0] * (length - len(numbers)))
    ranks = {
        "a": -3,
        "alpha": -3,
        "b": -2,
        "beta": -2,
        "c": -1,
        "rc": -1,
        "pre": -1,
        "preview": -1,
        "post": 1,
        "dev": -4,
    }
    return (*release, ranks.get(match[2] or "", 0), int(match[3] or 0))


def is_method_overridden(method: str, base_class: type, derived_class: type | object) -> bool:
    """Whether the class (or the class of the object) defines `method` anew.

    Raises:
        TypeError: `base_class` is no class.
    """
    if not isinstance(base_class, type):
        raise TypeError(f"base_class must be a class, got an object of {type(base_class).__name__}")
    derived = derived_class if isinstance(derived_class, type) else type(derived_class)
    return bool(getattr(derived, method) != getattr(base_class, method))


def import_modules_from_strings(
    imports: str | Sequence[str] | None, allow_failed_imports: bool = False
) -> ModuleType | list[ModuleType | None] | None:
    """Import modules by dotted names; of a failed one a warning, and None, when `allow_failed_imports`.

    Returns:
        The module of a name, a list of those of a list; None for nothing.

    Raises:
        ImportError: a module cannot be imported.
        TypeError: `imports` are no names.
    """
    if not imports:
        return None
    names = [imports] if isinstance(imports, str) else imports
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"imports must be a text or a list of texts, got {imports!r}")
    modules = [_import_one(name, allow_failed_imports) for name in names]
    return modules[0] if isinstance(imports, str) else modules


def _import_one(name: str, allow_failure: bool) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if not allow_failure:
            raise
        warnings.warn(f"{name} cannot be imported and is left out: {error}", UserWarning, stacklevel=3)
        return None


def has_method(obj: object, method: str) -> bool:
    """Whether the object has an attribute of that name which can be called."""
    return callable(getattr(obj, method, None))


def get_object_from_string(obj_name: str) -> Any:
    """What a dotted name stands for, a module or something in one; None where there is nothing.

    Raises:
        ValueError: the name is empty.
    """
    parts = obj_name.split(".")
    if not all(parts):
        raise ValueError(f"expected a dotted name such as 'os.path.join', got {obj_name!r}")
    for count in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            value = getattr(value, part, None)
        return value
    return None


def apply_to(data: Any, expr: Callable[[Any], bool], apply_func: Callable[[Any], Any]) -> Any:
    """`data` with `apply_func` applied to what `expr` is true for, in dicts, lists, tuples and named tuples."""
    if expr(data):
        return apply_func(data)
    if isinstance(data, Mapping):
        return type(data)((key, apply_to(value, expr, apply_func)) for key, value in data.items())  # type: ignore[call-arg]
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(apply_to(value, expr, apply_func) for value in data))
    if isinstance(data, list | tuple):
        return type(data)(apply_to(value, expr, apply_func) for value in data)
    return data
