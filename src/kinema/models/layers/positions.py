"""Tables of positions: where in the clip a token stands."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Resampling = Literal["bicubic", "linear", "nearest"]

# For `FileFormat`: what to do with a file whose table is of another grid.
POSITIONS_ADVICE = (
    r"^pos_embed",
    "set pos_grid=(frames, rows, columns) in backbone, in tokens of the clips that it was trained on, to stretch its"
    " positions",
)


def sinusoid_table(num_positions: int, channels: int) -> Tensor:
    """Sines and cosines of falling frequencies, (1, `num_positions`, `channels`) float32.

    Source: Attention Is All You Need, Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    places = torch.arange(num_positions, dtype=torch.float64)[:, None]
    exponents = torch.arange(channels, dtype=torch.float64).div(2, rounding_mode="floor") * 2 / channels
    angles = places / 10000**exponents
    angles[:, 0::2] = angles[:, 0::2].sin()
    angles[:, 1::2] = angles[:, 1::2].cos()
    return angles.float()[None]


def sincos_table(grid: Sequence[int], channels: int) -> Tensor:
    """Sines and cosines of each axis by itself, (1, T H W, `channels`) float32, frame by frame.

    The first quarter of the channels is of the frame, then come those of the column and of the row,
    three eighths each; of each axis the sines come first.

    Args:
        grid: (T, H, W), in tokens.
        channels: a multiple of 16.

    Source: Masked Autoencoders As Spatiotemporal Learners, Feichtenhofer et al. 2022, arXiv:2205.09113.
    """
    frames, rows, columns = (torch.arange(side, dtype=torch.float64) for side in grid)
    time, row, column = torch.meshgrid(frames, rows, columns, indexing="ij")
    parts = []
    for places, width in ((time, channels // 4), (column, channels // 8 * 3), (row, channels // 8 * 3)):
        angles = places.flatten()[:, None] / 10000 ** (torch.arange(width // 2, dtype=torch.float64) / (width // 2))
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, 1).float()[None]


def resize_positions(
    table: Tensor,
    grid: Sequence[int],
    new_grid: Sequence[int],
    *,
    space: Resampling = "bicubic",
    time: Resampling = "linear",
    antialias: bool = False,
    num_first: int = 0,
) -> Tensor:
    """Stretch or shrink a table of positions to another grid of tokens.

    Pixels are areas (half-pixel centres, `align_corners=False`). Space and time are resampled by
    themselves, which is the same in any order. Differentiable.

    Args:
        table: (..., `num_first` + positions, C); the positions lie frame by frame, then row by row.
        grid: of the positions: (T, H, W), (H, W) or (T,), in tokens.
        new_grid: to make of it, with as many sides.
        space: how rows and columns are resampled: `"bicubic"`, `"linear"` or `"nearest"`.
        time: how frames are: `"linear"` or `"nearest"`.
        antialias: where a side shrinks, average over what a new token covers. Cubics are then those of
            Pillow (a = -0.5) in place of torch's (a = -0.75), also where a side grows. `"nearest"` does
            without.
        num_first: rows in front that have no place, such as that of a class token: they stay as they are.

    Returns:
        (..., `num_first` + new positions, C); the table itself where the grid stays.

    Raises:
        ValueError: the grids have other numbers of sides, or sides below 1; the table has other rows
            than `grid`; or there is no such way of resampling.
    """
    old, new = tuple(grid), tuple(new_grid)
    _check_resizing(table, old, new, space, time, num_first)
    if old == new:
        return table
    first, places = table[..., :num_first, :], table[..., num_first:, :]
    ways = {1: (time,), 2: (space, space), 3: (time, space, space)}[len(old)]
    x = places.float().reshape(-1, *old, table.shape[-1])
    for axis, (side, new_side, how) in enumerate(zip(old, new, ways, strict=True), start=1):
        if side != new_side:
            weights = torch.from_numpy(resampling(side, new_side, how, antialias=antialias)).to(x.device)
            x = torch.tensordot(x, weights, ([axis], [1])).movedim(-1, axis)
    return torch.cat([first, x.reshape(*places.shape[:-2], -1, table.shape[-1]).to(table.dtype)], -2)


@dataclass(frozen=True)
class PositionTable:
    """A trained table of positions, and how one of another grid becomes it.

    Attributes:
        grid: see `resize_positions`, as the others.
        space: see there.
        time: see there.
        antialias: see there.
        num_first: see there.
    """

    grid: tuple[int, ...]
    space: Resampling = "bicubic"
    time: Resampling = "linear"
    antialias: bool = False
    num_first: int = 0

    def fitted(self, table: Tensor) -> Tensor | None:
        """A table of another grid, (..., positions, C), as one of this grid; None: its rows do not say which grid.

        A grid over space is a square. One over space and time has as many frames as this one, or else
        as many rows and columns.
        """
        grid = self._grid_of(table.shape[-2] - self.num_first)
        if grid is None:
            return None
        return resize_positions(
            table,
            grid,
            self.grid,
            space=self.space,
            time=self.time,
            antialias=self.antialias,
            num_first=self.num_first,
        )

    def _grid_of(self, positions: int) -> tuple[int, ...] | None:
        if positions < 1:
            return None
        if len(self.grid) == 1:
            return (positions,)
        frames = self.grid[0] if len(self.grid) == 3 else 1
        side = isqrt(positions // frames)
        if frames * side * side == positions:
            return (frames, side, side)[-len(self.grid) :]
        places = prod(self.grid[-2:])
        return (positions // places, *self.grid[1:]) if len(self.grid) == 3 and positions % places == 0 else None


@functools.cache
def resampling(size: int, new_size: int, how: Resampling, *, antialias: bool = False) -> np.ndarray:
    """What each of `new_size` places takes of `size` places: (`new_size`, `size`) float32, rows of sum 1.

    Arguments of `resize_positions`. Torch's own antialiased kernel is not used: it goes wrong where
    one side of the image is 1 (torch 2.13).
    """
    scale = size / new_size
    places = np.arange(new_size)
    weights = np.zeros((new_size, size))
    if how == "nearest":
        weights[places, (places * scale).astype(np.int64)] = 1
        return weights.astype(np.float32)
    centres = (places + 0.5) * scale - 0.5
    width = max(scale, 1.0) if antialias else 1.0
    reach = int(np.ceil(2 * width)) + 1
    for offset in range(-reach, reach + 1):
        taken = np.floor(centres).astype(np.int64) + offset
        amounts = _kernel((taken - centres) / width, how, -0.5 if antialias else -0.75)
        if antialias:  # an average leaves out what lies outside; otherwise the border is repeated
            amounts[(taken < 0) | (taken >= size)] = 0
        weights[places, taken.clip(0, size - 1)] += amounts
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _kernel(distances: np.ndarray, how: Resampling, a: float) -> np.ndarray:
    """Weights at distances from a centre: a triangle, or the cubics of Keys 1981 with parameter `a`."""
    x = np.abs(distances)
    if how == "linear":
        return np.maximum(1 - x, 0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _check_resizing(
    table: Tensor, old: tuple[int, ...], new: tuple[int, ...], space: str, time: str, num_first: int
) -> None:
    if not 1 <= len(old) == len(new) <= 3 or min(*old, *new) < 1:
        raise ValueError(
            f"grids of positions are (T, H, W), (H, W) or (T,), both alike, of sides of at least 1: got {old} and {new}"
        )
    if table.shape[-2] != num_first + prod(old):
        raise ValueError(
            f"the table has {table.shape[-2]} rows, but a grid of {' x '.join(map(str, old))} tokens has {prod(old)}"
            + (f", and {num_first} come before them" if num_first else "")
        )
    if space not in ("bicubic", "linear", "nearest"):
        raise ValueError(f"space must be 'bicubic', 'linear' or 'nearest', got {space!r}")
    if time not in ("linear", "nearest"):
        raise ValueError(f"time must be 'linear' or 'nearest', got {time!r}")
