"""What heads say about features that they cannot take.

They say it when a recognizer is built, as far as known, or when features come.
"""

from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.heads.base import BaseHead


def check_single_source(head: BaseHead, source: nn.Module, what: str, *, flat: bool = False) -> None:
    """Raise `ConfigError` where `source` is known to give one feature of other channels than the head takes.

    Where it gives several, the recognizer can still give these (`mode="tensor"`).

    Args:
        head: takes one feature, of `in_channels`.
        source: a backbone or neck, see `features_of`.
        what: what `source` is, such as `"backbone"`.
        flat: the head takes features as they are, flattened: a multiple of `out_channels`.
    """
    channels = features_of(source).channels
    if len(channels) == 1 and not (flat and head.in_channels % channels[0] == 0):
        head.check_channels(channels[0], f"{what} ({type(source).__name__})")


def check_segments(head: BaseHead, source: nn.Module, num_segments: int) -> None:
    """Raise `ConfigError` where neither the frames that `source` joins divide those of the head, nor these those."""
    joined = features_of(source).frames_per_row
    if joined and joined % num_segments and num_segments % joined:
        raise ConfigError(
            f"the backbone ({type(source).__name__}) joins num_segments={joined} frames, but {_name(head)} joins "
            f"num_segments={num_segments}: set num_segments={joined} in cls_head"
        )


def check_clip_features(head: BaseHead, x: Any) -> None:
    """Raise `ConfigError` unless `x` is one feature of clips, (B, C, T, H, W)."""
    check_single(head, x)
    if x.dim() == 5:
        return
    hints = {
        2: ": set spatial_type=None if they are pooled already",
        4: ": for features of frames set cls_head to TSNHead",
    }
    raise ConfigError(
        f"{_name(head)} takes features of shape (clips, channels, frames, height, width), got {tuple(x.shape)}"
        f"{hints.get(x.dim(), '')}"
    )


def check_frame_features(head: BaseHead, x: Any) -> None:
    """Raise `ConfigError` unless `x` is one feature of frames, (B * S, C, H, W), or (B * S, C) of pooled ones."""
    check_single(head, x)
    if x.dim() not in (2, 4):
        raise ConfigError(
            f"{_name(head)} takes features of frames, (frames, channels, height, width), got {tuple(x.shape)}: for"
            " features of clips set cls_head to I3DHead"
        )


def check_pooled(head: BaseHead, x: Any) -> None:
    """Raise `ConfigError` unless `x` is one feature of clips that is pooled, (B, C)."""
    check_single(head, x)
    if x.dim() != 2:
        raise ConfigError(
            f"{_name(head)} takes one vector a clip, (clips, channels), got {tuple(x.shape)}: for maps of features set"
            " cls_head to I3DHead"
        )


def check_single(head: BaseHead, x: Any) -> None:
    """Raise `ConfigError` unless `x` is one tensor."""
    if not isinstance(x, Tensor):
        raise ConfigError(
            f"the backbone gives {len(x)} features, but {_name(head)} takes one: set out_indices of the backbone to one"
            " stage, or cls_head to SlowFastHead for two pathways"
        )


def _name(head: BaseHead) -> str:
    return type(head).__name__
