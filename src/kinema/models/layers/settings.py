"""Numbers of networks: which ones a network cannot be built with, and widths that fit."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from kinema.errors import ConfigError


def check_sizes(network: str, *, lowest: int = 1, **sizes: int) -> None:
    """Check numbers of channels, frames, pixels, blocks and the like: whole, and not too small.

    Args:
        network: what messages call it.
        lowest: the least that they may be.
        **sizes: name -> a number.

    Raises:
        ConfigError: one is not.
    """
    for name, value in sizes.items():
        if not (_is_whole(value) and value >= lowest):
            raise ConfigError(f"{network}: {name} must be a whole number from {lowest}, got {value!r}")


def check_given(network: str, **sizes: int | None) -> None:
    """`check_sizes` of those that are not None."""
    check_sizes(network, **{name: value for name, value in sizes.items() if value is not None})


def check_several(network: str, *, lowest: int = 1, **sizes: Sequence[int]) -> None:
    """`check_sizes` of lists: name -> one number a stage, or the like."""
    for name, value in sizes.items():
        if not (_are_several(value) and value and all(_is_whole(number) and number >= lowest for number in value)):
            raise ConfigError(f"{network}: {name} must be whole numbers from {lowest}, got {value!r}")


def sides(network: str, name: str, size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a size in pixels that is given as one number for both, or two.

    Args:
        network: what messages call it.
        name: of the argument.
        size: its value.

    Raises:
        ConfigError: it is neither.
    """
    pair: Sequence[Any] = size if _are_several(size) else (size, size)  # type: ignore[assignment]
    if len(pair) != 2 or not all(_is_whole(side) and side >= 1 for side in pair):
        raise ConfigError(
            f"{network}: {name} must be a whole number from 1, or two of them (height, width), got {size!r}"
        )
    return pair[0], pair[1]


def check_rates(network: str, **rates: float | Sequence[float]) -> None:
    """Check probabilities of dropping something: from 0 to below 1, as at 1 nothing would be left.

    Args:
        network: what messages call it.
        **rates: name -> a probability, or several.

    Raises:
        ConfigError: one is not.
    """
    for name, value in rates.items():
        numbers: Sequence[Any] = value if _are_several(value) else [value]  # type: ignore[assignment]
        if not all(_is_real(number) and 0 <= number < 1 for number in numbers):
            raise ConfigError(f"{network}: {name} must be from 0 to below 1, got {value!r}")


def check_positive(network: str, **numbers: float | None) -> None:
    """Check ratios, scales and the like: above 0.

    Args:
        network: what messages call it.
        **numbers: name -> a number, or None, which is passed over.

    Raises:
        ConfigError: one is not.
    """
    for name, value in numbers.items():
        if value is not None and not (_is_real(value) and value > 0):
            raise ConfigError(f"{network}: {name} must be above 0, got {value!r}")


def check_triple(network: str, *, lowest: int = 1, **sizes: Sequence[int]) -> None:
    """Check sizes of frames, rows and columns: three whole numbers.

    Args:
        network: what messages call it.
        lowest: the least that they may be.
        **sizes: name -> the three numbers.

    Raises:
        ConfigError: one is not.
    """
    for name, value in sizes.items():
        if not _are_several(value) or len(value) != 3:
            raise ConfigError(f"{network}: {name} must be three numbers (frames, rows, columns), got {value!r}")
        check_several(network, lowest=lowest, **{name: value})


def divisible(width: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `width`, not below 90 % of it: channels of a network made wider or narrower.

    Source: MobileNetV2, Sandler et al. 2018, arXiv:1801.04381, in its authors' code.
    """
    near = max(by, math.floor(width + by / 2) // by * by)
    return near + by if near < 0.9 * width else near


def _are_several(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
