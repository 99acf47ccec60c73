"""What a network says about numbers that it cannot be built with."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from kinema.errors import ConfigError


def check_sizes(network: str, *, lowest: int = 1, **sizes: int | Sequence[int] | None) -> None:
    """Check numbers of channels, frames, pixels, blocks and the like: whole, and not too small.

    Args:
        network: what messages call it.
        lowest: the least that they may be.
        **sizes: name -> a number, several, or None, which is passed over.

    Raises:
        ConfigError: one is not.
    """
    for name, value in sizes.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        numbers: Sequence[Any] = value if several else [value]  # type: ignore[assignment]
        if value is not None and not (numbers and all(_is_whole(number) and number >= lowest for number in numbers)):
            what = "whole numbers" if several else "a whole number"
            raise ConfigError(f"{network}: {name} must be {what} from {lowest}, got {value!r}")


def check_rates(network: str, **rates: float | Sequence[float]) -> None:
    """Check probabilities of dropping something: from 0 to below 1, as at 1 nothing would be left.

    Args:
        network: what messages call it.
        **rates: name -> a probability, or several.

    Raises:
        ConfigError: one is not.
    """
    for name, value in rates.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        numbers: Sequence[Any] = value if several else [value]  # type: ignore[assignment]
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
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
            raise ConfigError(f"{network}: {name} must be three numbers (frames, rows, columns), got {value!r}")
        check_sizes(network, lowest=lowest, **{name: value})


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
