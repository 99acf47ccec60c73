"""Arrays of numpy, rebuilt without its own unpickling: a forged type or length would make it read foreign memory."""

import re
from typing import Any

import numpy as np

from kinema.errors import CheckpointError

_PLAIN_TYPE = re.compile(r"[<>=|]?[biufcSUO?]\d{0,7}")
_PLAIN_ELEMENTS = (str, bytes, bool, int, float, complex, type(None))


class PickledDType:
    """Stand-in of a pickled dtype of numbers or texts."""

    def __init__(self, code: str, *_: Any) -> None:
        if type(code) is not str or not _PLAIN_TYPE.fullmatch(code):
            raise CheckpointError(f"holds an array of the unusual type {shown_type(code)}")
        self.code = code
        self.order = "="

    def set_order(self, state: Any) -> None:
        if type(state) is tuple and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]

    def real(self) -> np.dtype[Any]:
        try:
            return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]
        except TypeError:
            raise CheckpointError(f"holds an array of the unusual type {self.code!r}") from None


def shown_type(value: Any) -> str:
    """A type as messages show it, whatever the file gives in its place."""
    return repr(value)[:60] if type(value) in (str, bytes) else f"of a {type(value).__name__}"


def _as_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, PickledDType):
        raise CheckpointError(f"holds an array of the unusual type {shown_type(dtype)}")
    return dtype.real()


def _shape(shape: Any, dtype: np.dtype[Any], num_bytes: int | None, length: int | None) -> tuple[int, ...]:
    """`shape`, when an array of it has so many bytes, or so many elements.

    Raises:
        CheckpointError: it has not.
    """
    if type(shape) is not tuple or len(shape) > 32 or any(type(side) is not int or side < 0 for side in shape):
        raise CheckpointError("holds an array whose shape is no tuple of numbers")
    elements = 1
    for side in shape:
        elements *= side
    if (num_bytes is not None and elements * dtype.itemsize != num_bytes) or (
        length is not None and elements != length
    ):
        raise CheckpointError(f"holds an array whose content is not of its shape: {elements} elements")
    return shape


def empty_array(*_: Any) -> np.ndarray:
    """`numpy.core.multiarray._reconstruct`: what `fill_array` fills."""
    return np.ndarray((0,), np.int8)


def fill_array(array: np.ndarray, state: Any) -> None:
    """`ndarray.__setstate__`, with a type and a content of the size of its shape.

    Raises CheckpointError: it has not.
    """
    if array.shape != (0,) or array.dtype != np.int8 or type(state) is not tuple or len(state) != 5:
        raise CheckpointError("is damaged: it fills an array in an unknown way")
    _, shape, kind, order, data = state
    is_fortran: Any = order is True or order == 1
    dtype = _as_dtype(kind)
    if type(data) is str:  # bytes that Python 2 wrote
        data = data.encode("utf-8")
    if dtype.hasobject != (type(data) is list) or type(data) not in (list, bytes, bytearray):
        raise CheckpointError("holds an array whose content is not of its type")
    if dtype.hasobject:
        if any(type(element) not in _PLAIN_ELEMENTS for element in data):
            raise CheckpointError("holds an array of objects that are no plain values")
        _shape(shape, dtype, None, len(data))
        array.__setstate__((1, shape, dtype, is_fortran, list(data)))
        return
    _shape(shape, dtype, len(data), None)
    array.__setstate__((1, shape, dtype, is_fortran, bytes(data)))


def scalar(dtype: Any, data: Any = None) -> Any:
    """`numpy.core.multiarray.scalar`. Raises CheckpointError: the data is not of the type."""
    real = _as_dtype(dtype)
    if type(data) is str:
        data = data.encode("utf-8")
    if real.hasobject or type(data) is not bytes or len(data) != real.itemsize or not data:
        raise CheckpointError("holds a number whose content is not of its type")
    return np.frombuffer(data, real)[0]


def array_of_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """`numpy.core.numeric._frombuffer`.

    Raises CheckpointError: the data is not of the type or the shape.
    """
    real = _as_dtype(dtype)
    if real.hasobject or type(data) not in (bytes, bytearray) or not real.itemsize:
        raise CheckpointError("holds an array whose content is not of its type")
    return np.frombuffer(data, real).reshape(_shape(shape, real, len(data), None), order="F" if order == "F" else "C")
