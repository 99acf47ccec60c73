"""Which tokens of a clip are hidden from an encoder, and which of them a decoder is asked for.

A mask is (B, N) bool, True where a token is left out, over the N = T' H' W' tokens of a grid of
(T', H', W'), frame by frame, row by row. All rows of a mask leave out equally many, so that what
is kept of a batch is one tensor.
"""

import torch
from torch import Tensor

from kinema.errors import ConfigError

Grid = tuple[int, int, int]

_CELL = 4  # patches of a cell of two by two


def tube_mask(batch: int, grid: Grid, ratio: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Hide the same patches, drawn at random, in all frames.

    A patch that moves little cannot be copied from the frame before.

    Args:
        batch: B.
        grid: (T', H', W') of the tokens.
        ratio: share of the patches that is hidden, rounded down to whole patches.
        generator: to draw from; None: torch's own, of the CPU.

    Returns:
        (B, N) bool.

    Raises:
        ConfigError: the ratio hides no patch, or all.

    Source: VideoMAE, Tong et al. 2022, arXiv:2203.12602, section 3.2.
    """
    frames, rows, columns = grid
    patches = rows * columns
    hidden = int(ratio * patches)
    if not 0 < hidden < patches:
        raise ConfigError(
            f"mask_ratio={ratio:g} hides {max(0, hidden)} of the {patches} patches of a frame ({rows} x {columns}):"
            " expected some, but not all"
        )
    order = torch.rand(batch, patches, generator=generator).argsort(dim=1)
    mask = torch.zeros(batch, patches, dtype=torch.bool).scatter_(1, order[:, :hidden], True)
    return mask[:, None].expand(batch, frames, patches).reshape(batch, -1)


def running_cell_mask(batch: int, grid: Grid, ratio: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Leave out the same share of every cell of two by two patches; which ones, moves on from frame to frame.

    So what is left is spread evenly over space and time.

    Args:
        batch: B.
        grid: see `tube_mask`.
        ratio: share that is left out, in quarters: 0.25, 0.5 or 0.75.
        generator: see `tube_mask`; each clip begins at a patch of its own.

    Returns:
        (B, N) bool.

    Raises:
        ConfigError: another ratio, or a grid whose frames cannot leave out equally many.

    Source: VideoMAE V2, Wang et al. 2023, arXiv:2303.16727, section 3.2.
    """
    frames, rows, columns = grid
    left_out = round(ratio * _CELL)
    if left_out != ratio * _CELL or not 0 < left_out < _CELL:
        raise ConfigError(
            f"decoder_mask_ratio must be 0.25, 0.5 or 0.75, as cells have four patches, or None, got {ratio!r}"
        )
    if frames % _CELL and (rows % 2 or columns % 2):
        raise ConfigError(
            f"decoder_mask_ratio leaves out the same share of every cell of 2 x 2 patches, but there are {rows} x"
            f" {columns} patches and {frames} frames of tokens: take even rows and columns, a multiple of {_CELL}"
            " frames of tokens, or decoder_mask_ratio=None"
        )
    start = torch.randint(_CELL, (batch, 1, 1, 1), generator=generator)
    time = torch.arange(frames)[:, None, None]
    place = 2 * (torch.arange(rows) % 2)[:, None] + torch.arange(columns) % 2
    return ((start + time + place) % _CELL < left_out).flatten(1)


def places_of(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the tokens that a mask keeps, and of those that it leaves out; (B, N) int64 in all, ascending."""
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    kept = mask.shape[1] - int(mask[0].sum())
    return order[:, :kept], order[:, kept:]
