"""Checks that the image functions share."""

from collections.abc import Iterable
from typing import Any


def check_choice(value: Any, choices: Iterable[str], what: str) -> None:
    """Raise a ValueError, with the choices, for a `value` that is none of them."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(choices)}, got {value!r}")


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def values_of_channels(value: Any, num_channels: int, what: str) -> tuple[float, ...]:
    """A number for every channel, of one number or of as many as there are channels.

    Raises:
        ValueError: another number of values.
        TypeError: neither a number nor a tuple.
    """
    if is_number(value):
        return (value,) * num_channels
    if not isinstance(value, tuple):
        raise TypeError(f"{what} must be a number or a tuple of numbers, got {value!r}")
    if len(value) != num_channels:
        raise ValueError(f"{what} must have a number for each of the {num_channels} channels, got {value!r}")
    return value
