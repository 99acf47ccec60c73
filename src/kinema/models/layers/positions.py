"""Tables of positions: where in the clip a token stands."""

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Resampling = Literal["bicubic", "linear", "nearest"]


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
    frames, rows, columns = {1: (*old, 1, 1), 2: (1, *old), 3: old}[len(old)]
    new_frames, new_rows, new_columns = {1: (*new, 1, 1), 2: (1, *new), 3: new}[len(new)]
    x = places.float().reshape(-1, rows, columns, table.shape[-1]).permute(0, 3, 1, 2)  # (N T, C, H, W)
    x = _resample(x, (new_rows, new_columns), space, antialias)
    x = x.reshape(-1, 1, frames, x[0].numel())  # (N, 1, T, C H W)
    x = _resample(x.transpose(1, 3), (new_frames, 1), time, antialias)  # (N, C H W, T, 1)
    x = x[..., 0].transpose(1, 2).reshape(-1, new_frames, table.shape[-1], new_rows * new_columns)
    x = x.transpose(2, 3).reshape(*places.shape[:-2], -1, table.shape[-1])
    return torch.cat([first, x.to(table.dtype)], -2)


def _resample(x: Tensor, size: tuple[int, int], how: Resampling, antialias: bool) -> Tensor:
    """(N, C, H, W) -> (N, C, `size`)."""
    if x.shape[2:] == size:
        return x
    if how == "nearest":
        return F.interpolate(x, size, mode="nearest")
    mode = "bilinear" if how == "linear" else how
    # Torch's antialiased kernel goes wrong on strides of channels last where a side is 1.
    x = x.contiguous() if antialias else x
    return F.interpolate(x, size, mode=mode, align_corners=False, antialias=antialias)


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
