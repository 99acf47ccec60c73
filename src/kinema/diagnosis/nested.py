"""Values inside of batches: nested dicts, lists and tuples."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

Leaf = TypeVar("Leaf")


def leaves_of(value: Any, kind: type[Leaf]) -> Iterator[Leaf]:
    """All values of a kind inside of nested dicts, lists and tuples, in their order."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from leaves_of(entry, kind)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from leaves_of(entry, kind)
