"""Rotary positions in three axes: queries and keys turn by the frame, row and column of their token.

Each third of a head's channels belongs to an axis and turns in pairs of neighbouring channels, the
first pair by the place itself, the others ever more slowly.

Source: RoFormer, Su et al. 2021, arXiv:2104.09864; in three axes: V-JEPA 2, Assran et al. 2025,
arXiv:2506.09985.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from kinema.errors import ConfigError

Frequencies = Literal["tiled", "interleaved"]
AXES = 3
SLOWEST = 10000.0


class Rotation(NamedTuple):
    """What turns the channels of tokens, see `turn`.

    Attributes:
        cos: (..., N, 1, D): of all channels of a head; 1 for those that do not turn.
        sin: (..., N, 1, R): of those that do, which are the first ones; negative for even channels.
    """

    cos: Tensor
    sin: Tensor


def turning_channels(head_width: int) -> int:
    """Channels of a head that turn by one axis: an even number, of which three fit into the head.

    Raises:
        ConfigError: the head has too few channels.
    """
    channels = 2 * (head_width // AXES // 2)
    if not channels:
        raise ConfigError(
            f"a head of {head_width} channels is too narrow for rotary positions in {AXES} axes, which need 2 each:"
            " take fewer heads, or more embed_dims"
        )
    return channels


def check_frequencies(frequencies: str) -> None:
    """Raise `ConfigError` where `frequencies` is none of `Frequencies`."""
    if frequencies not in get_args(Frequencies):
        raise ConfigError(f"rotary must be one of {', '.join(get_args(Frequencies))}, got {frequencies!r}")


def grid_places(frames: int, rows: int, columns: int, *, rescaled_to: int | None = None) -> Tensor:
    """Frame, row and column of the tokens of a clip, frame by frame and row by row.

    Args:
        frames: of the grid, which counts tubelets.
        rows: of the grid.
        columns: of the grid.
        rescaled_to: rows and columns are stretched so that the last one is the last of so many.

    Returns:
        (`frames` * `rows` * `columns`, 3) float32.

    Raises:
        ConfigError: a grid of a single row or column cannot be stretched.
    """
    axes = [torch.arange(size, dtype=torch.float32) for size in (frames, rows, columns)]
    if rescaled_to is not None:
        if min(rows, columns) < 2:
            raise ConfigError(
                f"the clips are {rows} x {columns} patches (height x width), but positions are stretched between the"
                " first and the last one: give frames of at least 2 x 2 patches"
            )
        axes[1:] = [axis * (rescaled_to - 1) / (len(axis) - 1) for axis in axes[1:]]
    return torch.cartesian_prod(*axes)


def rotation(places: Tensor, head_width: int, frequencies: Frequencies = "interleaved") -> Rotation:
    """How the tokens at some places turn.

    Args:
        places: (..., N, 3), see `grid_places`.
        head_width: D.
        frequencies: of the channels of an axis: "interleaved": the two channels of a pair turn alike,
            a rotation; "tiled": all frequencies stand in a row and then once more, so that the two
            channels of a pair do not turn alike. V-JEPA 2 was trained so.
    """
    channels = turning_channels(head_width)
    exponents = torch.arange(channels // 2, dtype=torch.float32, device=places.device) / (channels / 2)
    angles = places[..., None] * (1.0 / SLOWEST**exponents)  # (..., N, 3, channels / 2)
    twice = angles.repeat_interleave(2, -1) if frequencies == "interleaved" else torch.cat([angles, angles], -1)
    twice = twice.flatten(-2)[..., None, :]  # (..., N, 1, 3 * channels)
    sin = twice.sin().unflatten(-1, (-1, 2)) * torch.tensor([-1.0, 1.0], device=places.device)
    still = head_width - AXES * channels
    return Rotation(torch.nn.functional.pad(twice.cos(), (0, still), value=1.0), sin.flatten(-2))


def turn(x: Tensor, by: Rotation) -> Tensor:
    """(B, N, H, D) queries or keys -> the same, turned by the places of their tokens."""
    cos, sin = by.cos.to(x.dtype), by.sin.to(x.dtype)
    even, odd = slice(0, sin.shape[-1], 2), slice(1, sin.shape[-1], 2)  # the two channels of the pairs
    turned = x * cos
    turned[..., even].addcmul_(x[..., odd], sin[..., even])
    turned[..., odd].addcmul_(x[..., even], sin[..., odd])
    return turned
