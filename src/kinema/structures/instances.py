"""Fields with one entry an instance."""

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinema.structures.base import BaseDataElement

IndexType = int | slice | list[int] | list[bool] | Tensor | np.ndarray


class InstanceData(BaseDataElement):
    """Fields that each hold one entry an instance (a person, a box, a proposal): all have the same length."""

    def set_field(
        self, value: Any, name: str, dtype: type | tuple[type, ...] | None = None, field_type: str = "data"
    ) -> None:
        """Write one field; see `BaseDataElement.set_field`.

        Raises:
            TypeError: a data field's value has no length.
            ValueError: its length differs from that of the other fields.
        """
        if field_type == "data":
            if not isinstance(value, Sized):
                raise TypeError(
                    f"{name} must have one entry an instance, got {type(value).__name__}, which has no length"
                )
            others = [field for field in self._data_fields if field != self._stored(name)]
            if others and len(value) != len(self):
                raise ValueError(
                    f"{name} has {len(value)} entries, but this {type(self).__name__} has {len(self)} instances"
                )
        super().set_field(value, name, dtype, field_type)

    def __len__(self) -> int:
        return next((len(value) for value in self.values()), 0)

    def __getitem__(self, index: IndexType | str) -> Any:
        """The chosen instances (one integer keeps the dimension); a name gives that field.

        Raises:
            IndexError: an index is out of range, or a mask is of another length.
            TypeError: the index is of another type.
        """
        if isinstance(index, str):
            return getattr(self, index)
        chosen = self._positions(index)
        return self.new(**{name: _take(value, chosen) for name, value in self.items()})

    def __setitem__(self, name: str, value: Any) -> None:
        """Write the field `name`."""
        setattr(self, name, value)

    def _positions(self, index: Any) -> np.ndarray:
        """Any kind of index -> (K,) int64 positions from the front."""
        size = len(self)
        if isinstance(index, slice):
            return np.ascontiguousarray(np.arange(size)[index])
        if isinstance(index, Tensor):
            index = index.detach().cpu().numpy()
        array = np.asarray(index) if not isinstance(index, list) or index else np.zeros(0, np.int64)
        if array.ndim > 1 or array.dtype.kind not in "biu" or isinstance(index, bool):
            raise TypeError(
                f"instances are chosen by an int, a slice, or one dimension of ints or bools, got {index!r}"
            )
        if array.dtype.kind == "b":
            if len(array) != size:
                raise IndexError(f"a mask of {len(array)} entries cannot choose from {size} instances")
            return np.flatnonzero(array)
        array = np.atleast_1d(array).astype(np.int64)
        outside = array[(array < -size) | (array >= size)]
        if outside.size:
            raise IndexError(f"instance {outside[0]} is out of range: there are {size}")
        return array % max(size, 1)

    @staticmethod
    def cat(instances_list: Sequence["InstanceData"]) -> "InstanceData":
        """Join the instances of several elements; metainfo is taken from the first.

        Raises:
            ValueError: the list is empty, or the elements have different fields.
            TypeError: a field is of a kind that cannot be joined.
        """
        if not instances_list:
            raise ValueError("cannot join an empty list of instances")
        first = instances_list[0]
        for number, element in enumerate(instances_list):
            if set(element.keys()) != set(first.keys()):
                raise ValueError(
                    f"all elements must have the fields {first.keys()}, number {number} has {element.keys()}"
                )
        joined = type(first)(metainfo=first.metainfo)
        joined.set_data({name: _join(name, [element.get(name) for element in instances_list]) for name in first.keys()})  # noqa: SIM118
        return joined


def _take(value: Any, positions: np.ndarray) -> Any:
    if isinstance(value, Tensor):
        return value[torch.from_numpy(positions).to(value.device)]
    if isinstance(value, np.ndarray):
        return value[positions]
    if isinstance(value, InstanceData):
        return value[positions]
    if _joins_itself(value):  # masks, boxes: `value[place]` has no entries of its own, `value[place : place + 1]` has
        return value.cat([value[place : place + 1] for place in positions.tolist()]) if len(positions) else value[:0]
    taken = [value[int(position)] for position in positions]
    return "".join(taken) if isinstance(value, str) else type(value)(taken)


def _joins_itself(value: Any) -> bool:
    """Is it of a class that joins its own objects, by a function `cat`?"""
    return callable(getattr(value, "cat", None))


def _join(name: str, values: list[Any]) -> Any:
    kind = type(values[0])
    if isinstance(values[0], Tensor):
        return torch.cat(values)
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    if isinstance(values[0], InstanceData):
        return InstanceData.cat(values)
    if isinstance(values[0], str):
        return "".join(values)
    if isinstance(values[0], list | tuple):
        return kind(entry for value in values for entry in value)
    if _joins_itself(values[0]):
        return values[0].cat(values)
    raise TypeError(f"the field {name} of type {kind.__name__} cannot be joined")
