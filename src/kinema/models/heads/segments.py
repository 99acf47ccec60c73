"""Pooling of frames and consensus over the segments of a clip, which the heads of 2D networks share."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.registry import MODELS

Consensus = nn.Module | Mapping[str, Any]
AVERAGE: Mapping[str, Any] = {"type": "AvgConsensus", "dim": 1}


@MODELS.register_module()
class AvgConsensus(nn.Module):
    """Average over one dimension, which is kept with size 1.

    Args:
        dim: the dimension; 1 are the segments.

    Source: TSN, Wang et al. 2016, arXiv:1608.00859, section 3.1, the even average.
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=self.dim, keepdim=True)


def build_consensus(consensus: Consensus) -> nn.Module:
    """The module, or the one that a config describes; `ConfigError` where there is none."""
    if consensus is None:
        raise ConfigError(f"consensus joins the segments, so it cannot be None: leave it out for {dict(AVERAGE)}")
    return consensus if isinstance(consensus, nn.Module) else MODELS.build(consensus)


def join_segments(consensus: nn.Module, x: Tensor) -> Tensor:
    """(B, S, C) -> (B, C).

    Raises:
        ConfigError: the consensus does not give (B, 1, C).
    """
    joined = consensus(x)
    if joined.shape != (len(x), 1, x.shape[2]):
        raise ConfigError(
            f"consensus ({type(consensus).__name__}) must join (clips, segments, values) {tuple(x.shape)} to (clips, 1,"
            f" values), it gives {tuple(joined.shape)}: AvgConsensus does so with dim=1"
        )
    return joined.squeeze(1)


def pool_frames(x: Tensor, pool: nn.Module | None) -> Tensor:
    """(B, C, ...) -> (B, C) by `pool`; only flattened without it, and where it is (B, C) already."""
    return x.flatten(1) if pool is None or x.dim() == 2 else pool(x).flatten(1)


def by_segment(x: Tensor, num_segs: int | None, head: str) -> Tensor:
    """(B * S, C) -> (B, S, C).

    Raises:
        ConfigError: S is not given, or the rows are no multiple of it.
    """
    if num_segs is None:
        raise ConfigError(
            f"{head} joins the frames of a sample, whose number num_segs Recognizer2D gives: for a backbone of clips"
            " set cls_head to I3DHead"
        )
    if num_segs < 1 or len(x) % num_segs:
        raise ConfigError(
            f"{head} joins num_segments={num_segs} frames, which do not divide the {len(x)} frames of the batch: "
            "sample a multiple of them, or change num_segments"
        )
    return x.unflatten(0, (-1, num_segs))
