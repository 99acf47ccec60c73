"""What the parts of a recognizer say of the features that pass between them."""

from dataclasses import dataclass

from torch import nn


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
