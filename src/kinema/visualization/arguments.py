"""Arguments of drawing: positions as arrays, colours as matplotlib takes them, one value a shape."""

from typing import Any

import numpy as np
from torch import Tensor

Positions = Tensor | np.ndarray


def as_array(name: str, value: Any) -> np.ndarray:
    """A tensor or array -> an array.

    Raises:
        TypeError: it is neither, or does not hold numbers.
    """
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be a tensor or array of numbers, got {type(value).__name__}")
    return value


def as_rows(name: str, value: Any, width: int) -> np.ndarray:
    """(width,) or (K, width) -> (K, width).

    Raises:
        TypeError: it is no tensor or array.
        ValueError: it is of another shape.
    """
    array = as_array(name, value)
    rows = array[None] if array.ndim == 1 else array
    if rows.ndim != 2 or rows.shape[1] != width:
        raise ValueError(f"{name} must have the shape ({width},) or (K, {width}), got {tuple(array.shape)}")
    return rows


def per_shape(name: str, value: Any, count: int) -> list[Any]:
    """One value for all shapes -> a list; a list with one value a shape -> itself.

    Raises:
        ValueError: a list is too short.
    """
    if not isinstance(value, list):
        return [value] * count
    if len(value) < count:
        raise ValueError(f"{name} has {len(value)} values for {count} shapes")
    return value[:count]


def as_colors(value: Any) -> Any:
    """Names stay; (R, G, B) of 0 to 255 -> of 0 to 1; lists likewise.

    Raises:
        TypeError: it is neither a name nor three numbers.
    """
    if isinstance(value, list):
        return [as_colors(entry) for entry in value]
    if isinstance(value, str):
        return value
    if isinstance(value, tuple) and len(value) in (3, 4):
        return tuple(channel / 255 for channel in value)
    raise TypeError(f"a color is a name or a tuple (R, G, B) of 0 to 255, got {value!r}")


def as_rgb(value: Any) -> tuple[int, int, int]:
    """A name or (R, G, B) of 0 to 255 -> (R, G, B) of 0 to 255."""
    from matplotlib import colors

    red, green, blue = (round(255 * channel) for channel in colors.to_rgb(as_colors(value)))
    return red, green, blue


def as_masks(masks: Any, height: int, width: int) -> np.ndarray:
    """(H, W) or (K, H, W) of true and false -> (K, H, W) bool.

    Raises:
        TypeError: it is no tensor or array.
        ValueError: it holds other values, or is of another size than the image.
    """
    array = as_array("binary_masks", masks)
    array = array[None] if array.ndim == 2 else array
    if array.dtype != bool:
        raise ValueError(f"the dtype of binary_masks must be bool, got {array.dtype}")
    if array.shape[1:] != (height, width):
        raise ValueError(f"binary_masks must be of the image's size {(height, width)}, got {array.shape[1:]}")
    return array
