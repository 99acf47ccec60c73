"""What a network over clips keeps of the frames so far, so that the next ones need no others.

A causal layer looks at frames before, never behind. Fed a video in pieces of any size, with the
state of the pieces before, a network of such layers gives what it gives for the whole.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CarriedState:
    """The state of a batch of streams, one a row; it belongs to them, and is no part of the network.

    A new one is the state before the first frame. Streams that share a network have states of their
    own, so they do not mix.

    Attributes:
        num_frames: frames so far, with those that a network is just looking at.
        kept: what each layer keeps of them.
    """

    def __init__(self) -> None:
        self.num_frames = 0
        self.kept: dict[nn.Module, Tensor] = {}
        self._shape: tuple[int, ...] = ()

    def advance(self, x: Tensor) -> None:
        """Count the frames of the next piece, (B, C, T, H, W): a network does, before its layers see it.

        Raises:
            ValueError: it is of another number of streams, or of frames of another size.
        """
        shape = (len(x), *x.shape[3:])
        if self._shape and shape != self._shape:
            (rows, *size), (own_rows, *own) = shape, self._shape
            raise ValueError(
                f"the state is of {own_rows} streams with frames of {own[0]} x {own[1]}, but {rows} with frames of"
                f" {size[0]} x {size[1]} came: begin a new CarriedState"
            )
        self._shape = shape
        self.num_frames += x.shape[2]


def with_past(x: Tensor, frames: int, layer: nn.Module, state: CarriedState | None) -> Tensor:
    """A piece with the frames before it in front: zeros before the first.

    Args:
        x: (B, C, T, H, W), T >= 1.
        frames: how many, at least 1.
        layer: whose input it is.
        state: of the pieces before, which becomes that of the next; None: the piece is the whole.

    Returns:
        (B, C, `frames` + T, H, W).
    """
    past = None if state is None else state.kept.get(layer)
    joined = F.pad(x, (0, 0, 0, 0, frames, 0)) if past is None else torch.cat([past, x], 2)
    if state is not None:
        state.kept[layer] = joined[:, :, -frames:].clone()  # a view would keep the whole piece
    return joined


def mean_so_far(x: Tensor, layer: nn.Module, state: CarriedState | None) -> Tensor:
    """For each frame the mean of all frames up to it.

    Args:
        x: (B, C, T, H, W), T >= 1.
        layer: whose input it is.
        state: see `with_past`.

    Returns:
        (B, C, T, H, W).
    """
    frames = x.shape[2]
    sums, before = x.float().cumsum(2), 0
    if state is not None:
        kept = state.kept.get(layer)
        sums = sums if kept is None else sums + kept
        state.kept[layer] = sums[:, :, -1:].clone()
        before = state.num_frames - frames
    counts = torch.arange(before + 1, before + frames + 1, device=x.device, dtype=sums.dtype)
    return (sums / counts[:, None, None]).to(x.dtype)
