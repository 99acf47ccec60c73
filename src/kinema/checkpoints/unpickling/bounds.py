"""How much a pickle may make: memory, keys that are hashed, depth."""

from collections.abc import Hashable, Iterable
from typing import Any

import torch

from kinema.checkpoints.unpickling.stand_ins import Inert, InertClass
from kinema.errors import CheckpointError

OVERHEAD_BYTES = 48 << 20  # what the objects of a pickle may take beyond this many times the size of the file:
TIMES_WEIGHTS = 2  # of a file of weights
TIMES_OBJECTS = 16  # of a list of small objects, such as predictions
KEY_PARTS = 64  # values in one key of a dict
TUPLE_KEYS = 1000  # keys that are tuples, whose hashes a file could make equal
DEPTH = 100  # of dicts, lists and tuples in one another
TREE_SIZE = 20_000_000  # values in the whole, when what is shared is counted each time

_PLAIN_KEYS = (str, bytes, bool, float, torch.dtype, type(None))


class Budget:
    """The memory that the objects of a file may take together, estimated.

    Args:
        file_bytes: size of the file.
        times: of it, beside `OVERHEAD_BYTES`.
    """

    def __init__(self, file_bytes: int, times: int = TIMES_WEIGHTS) -> None:
        self.left = OVERHEAD_BYTES + times * file_bytes

    def take(self, num_bytes: int) -> None:
        """Raises CheckpointError: there is not so much left."""
        self.left -= num_bytes
        if self.left < 0:
            raise CheckpointError("makes more objects than a file of its size should")


def check_key(key: Any) -> int:
    """Check a dict's key, or a set's element, before it is hashed.

    Returns:
        How many of its values are tuples.

    Raises:
        CheckpointError: it is no plain value, or a tuple of too many.
    """
    if type(key) in _PLAIN_KEYS or (type(key) is int and -(2**60) < key < 2**60):
        return 0
    if isinstance(key, InertClass | Inert):
        return 0
    todo, parts, tuples = [key], 0, 0
    while todo:
        part = todo.pop()
        parts += 1
        if type(part) is tuple:
            tuples += 1
            if parts + len(todo) + len(part) > KEY_PARTS:
                raise CheckpointError(f"has a dict whose key is a tuple of more than {KEY_PARTS} values")
            todo.extend(part)
        elif part is not key:
            check_key(part)
        else:
            raise CheckpointError(f"has a dict or set with a key that is no plain value: a {type(part).__name__}")
    return tuples


def add_pairs(target: dict[Any, Any], pairs: Iterable[tuple[Any, Any]], tuple_keys: int = 0) -> int:
    """Set items of a dict, each key checked before it is hashed; `tuple_keys` and how many of them are tuples."""
    for key, value in pairs:
        if type(key) is not str:
            tuple_keys += check_key(key)
            if tuple_keys > TUPLE_KEYS:
                raise CheckpointError(f"has more than {TUPLE_KEYS} keys that are tuples")
        target[key] = value
    return tuple_keys


def check_nesting(content: Any) -> None:
    """Walk dicts, lists, tuples and sets without recursion.

    Raises:
        CheckpointError: they are nested too deep, contain themselves, or share so much that walking
            them would not end.
    """
    sizes: dict[int, int] = {}  # of what was walked, all of it
    open_ids: set[int] = set()
    stack: list[tuple[Any, Any, int]] = []  # container, iterator over its values, size so far
    value = content
    while True:
        size = 1
        if isinstance(value, dict | list | tuple | set | frozenset):
            if id(value) in open_ids:
                raise CheckpointError("holds a list or dict that contains itself")
            if id(value) not in sizes:
                if len(stack) >= DEPTH:
                    raise CheckpointError(f"holds lists or dicts that are nested deeper than {DEPTH}")
                open_ids.add(id(value))
                inner = iter((*value, *value.values())) if isinstance(value, dict) else iter(value)
                stack.append((value, inner, 1))
                size = 0
            else:
                size = sizes[id(value)]
        while stack:
            container, inner, so_far = stack[-1]
            so_far += size
            if so_far > TREE_SIZE:
                raise CheckpointError("holds lists or dicts that are shared too often")
            stack[-1] = (container, inner, so_far)
            try:
                value = next(inner)
                break
            except StopIteration:
                stack.pop()
                open_ids.discard(id(container))
                sizes[id(container)] = size = so_far
        else:
            return


def hashable(values: Iterable[Any]) -> list[Hashable]:
    """`values`, each checked as a set's element.

    Raises:
        CheckpointError: one is no plain value.
    """
    listed = list(values)
    if sum(check_key(value) for value in listed) > TUPLE_KEYS:
        raise CheckpointError(f"has more than {TUPLE_KEYS} keys that are tuples")
    return listed
