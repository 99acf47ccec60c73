"""Numbers as whole levels and back: `mmcv.arraymisc`."""

from typing import Any

import numpy as np


def _check_range(min_val: Any, max_val: Any, levels: Any) -> None:
    if not (isinstance(levels, int) and levels > 1):
        raise ValueError(f"levels must be a whole number above 1, got {levels!r}")
    if min_val >= max_val:
        raise ValueError(f"min_val ({min_val}) must be below max_val ({max_val})")


def quantize(arr: np.ndarray, min_val: float, max_val: float, levels: int, dtype: Any = np.int64) -> np.ndarray:
    """Numbers to the levels 0 to `levels` - 1.

    Args:
        arr: the numbers; those outside the range are clipped.
        min_val: lowest number.
        max_val: highest number.
        levels: how many.
        dtype: type of the result.

    Raises:
        ValueError: fewer than two levels, or an empty range.
    """
    _check_range(min_val, max_val, levels)
    share = (np.clip(arr, min_val, max_val) - min_val) / (max_val - min_val)
    return np.minimum(np.floor(levels * share).astype(dtype), levels - 1)


def dequantize(arr: np.ndarray, min_val: float, max_val: float, levels: int, dtype: Any = np.float64) -> np.ndarray:
    """The numbers in the middle of levels; see `quantize`."""
    _check_range(min_val, max_val, levels)
    return (arr + 0.5).astype(dtype) * (max_val - min_val) / levels + min_val
