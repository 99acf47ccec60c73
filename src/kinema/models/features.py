"""What the parts of a recognizer say of the features that pass between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Features:
    """What a backbone or neck gives, or what a head takes, as far as it says so.

    Attributes:
        channels: channels of each level or pathway; empty: not stated.
        frames_per_row: frames of a clip that it joins, which lie one after the other among single
            frames; None: it joins none, or sees clips.
        halves_frames: it gives half as many frames as it gets.
        carries_state: it takes streams piece by piece, with a `CarriedState` of the pieces before.
    """

    channels: tuple[int, ...] = ()
    frames_per_row: int | None = None
    halves_frames: bool = False
    carries_state: bool = False


def features_of(part: nn.Module | None) -> Features:
    """The features of a backbone, neck or head, from the attributes by which any module may state them.

    These are `out_channels` (a number, or a tuple of them for several outputs), `num_segments`,
    `temporal_pool` and `carries_state`.
    """
    channels = getattr(part, "out_channels", ())
    frames = getattr(part, "num_segments", None)
    return Features(
        (channels,) if isinstance(channels, int) else channels if isinstance(channels, tuple) else (),
        frames if isinstance(frames, int) else None,
        bool(getattr(part, "temporal_pool", False)),
        bool(getattr(part, "carries_state", False)),
    )


def joined_frames(model: nn.Module) -> int | None:
    """Frames that a recognizer of single frames joins to one row of scores; None: any number, or it sees clips."""
    parts = [getattr(model, name, None) for name in ("backbone", "cls_head")]
    counts = [features_of(part).frames_per_row for part in parts]
    return max(filter(None, [*counts, getattr(model, "num_segs", None)]), default=None)


@dataclass(frozen=True)
class TokenMaps:
    """Where the tokens of a transformer lie in its clips, for what looks into it.

    Attributes:
        blocks: name of the backbone's list of blocks, which run one after the other; empty: it gives
            maps itself, whose places a head weighs each in its own way.
        lay_out: what a block gives -> (R, C, T', H', W') of the tokens that lie somewhere; the rows of
            a clip follow one another in time. In a tuple of tensors and others the tokens come first.
    """

    blocks: str
    lay_out: Callable[[Any], Tensor]


def lay_out_tokens(tokens: Tensor, grid: Sequence[int]) -> Tensor:
    """(R, N, C) tokens, frame by frame and row by row behind those of no place -> (R, C, T', H', W') = (..., *grid).

    A view in which rows keep their distance in memory. By `transpose(1, 2).unflatten(2, grid)` a
    single row would lose it, and torch's batch norms give wrong gradients of such a map on a CPU.
    """
    return tokens[:, -prod(grid) :].unflatten(1, tuple(grid)).movedim(-1, 1)
