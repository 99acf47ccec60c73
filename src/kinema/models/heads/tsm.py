"""Classify each frame, then average over the frames of a clip.

Source: TSM, Lin et al. 2019, arXiv:1811.08383.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_frame_features, check_segments, check_single_source
from kinema.models.heads.pooling import FrameMean, check_spatial_type
from kinema.models.heads.segments import (
    AVERAGE,
    Consensus,
    build_consensus,
    by_segment,
    join_segments,
    pool_frames,
)
from kinema.registry import MODELS


@MODELS.register_module()
class TSMHead(BaseHead):
    """(B * S, C, H, W) features of frames -> (B * S / num_segments, N) scores, one row a view.

    Args:
        num_classes: N.
        in_channels: C.
        num_segments: frames of a view.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"` averages over height and width, None takes features (B * S, C) that
            are pooled already.
        consensus: joins the segments, (V, num_segments, N) -> (V, 1, N); module or config.
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial class weights.
        is_shift: the backbone shifts features between frames; without it nothing halves them.
        temporal_pool: the backbone halves the number of frames.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_segments: int = 8,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        spatial_type: Literal["avg"] | None = "avg",
        consensus: Consensus = AVERAGE,
        dropout_ratio: float = 0.8,
        init_std: float = 0.001,
        is_shift: bool = True,
        temporal_pool: bool = False,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_spatial_type(spatial_type)
        self.spatial_type = spatial_type
        self.avg_pool = FrameMean() if spatial_type == "avg" else None
        self.dropout_ratio = dropout_ratio
        self.num_segments = num_segments
        self.init_std = init_std
        self.is_shift = is_shift
        self.temporal_pool = temporal_pool
        self.consensus = build_consensus(consensus)
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what, flat=self.spatial_type is None)
        check_segments(self, source, self.num_segments)
        if features_of(source).halves_frames and not self.temporal_pool:
            raise ConfigError(
                f"the backbone ({type(source).__name__}) halves the frames of a clip, temporal_pool=True, but"
                f" {type(self).__name__} was not told: set temporal_pool=True in cls_head"
            )

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample in all its views, has no effect here."""
        check_frame_features(self, x)
        x = pool_frames(x, self.avg_pool)
        self.check_channels(x)
        if self.dropout is not None:
            x = self.dropout(x)
        frames = self.num_segments // 2 if self.is_shift and self.temporal_pool else self.num_segments
        return join_segments(self.consensus, by_segment(self.fc_cls(x), frames, type(self).__name__))
