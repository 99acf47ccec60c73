"""`PixelData` of `mmengine.structures`: fields with one entry a pixel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from kinema.structures import BaseDataElement


class PixelData(BaseDataElement):
    """Fields that each hold (C, H, W) values, H and W being those of all; (H, W) becomes (1, H, W)."""

    def set_field(
        self, value: Any, name: str, dtype: type | tuple[type, ...] | None = None, field_type: str = "data"
    ) -> None:
        """Write one field; see `BaseDataElement.set_field`.

        Raises:
            TypeError: a data field's value is no tensor or array.
            ValueError: it has another number of dimensions, or another height or width than the others.
        """
        if field_type == "data" and name not in ("_metainfo_fields", "_data_fields"):
            if not isinstance(value, Tensor | np.ndarray):
                raise TypeError(f"{name} must be a tensor or array, got {type(value).__name__}")
            if value.ndim not in (2, 3):
                raise ValueError(f"{name} must have the shape (C, H, W) or (H, W), got {tuple(value.shape)}")
            value = value[None] if value.ndim == 2 else value
            others = [field for field in self._data_fields if field != self._stored(name)]
            if others and self.shape != tuple(value.shape[-2:]):
                raise ValueError(f"{name} has {tuple(value.shape[-2:])} pixels, the other fields have {self.shape}")
        super().set_field(value, name, dtype, field_type)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width; None without fields."""
        values = self.values()
        return tuple(values[0].shape[-2:]) if values else None

    def __getitem__(self, item: Sequence[int | slice]) -> "PixelData":
        """The pixels in rows and columns, each an int (which keeps the dimension) or a slice.

        Raises:
            TypeError: `item` is no pair of these.
        """
        if not (isinstance(item, tuple) and len(item) == 2):
            raise TypeError(f"pixels are chosen by rows and columns, data[rows, columns], got {item!r}")
        rows, columns = (_as_slice(part) for part in item)
        return self.new(**{name: value[:, rows, columns] for name, value in self.items()})


def _as_slice(part: Any) -> slice:
    if isinstance(part, slice):
        return part
    if type(part) is not int:
        raise TypeError(f"rows and columns are ints or slices, got {type(part).__name__}: {part!r}")
    return slice(part, None if part == -1 else part + 1)
