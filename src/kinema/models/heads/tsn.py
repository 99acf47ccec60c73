"""Average over the frames of a clip, then classify.

Source: TSN, Wang et al. 2016, arXiv:1608.00859.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_single, check_single_source
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
class TSNHead(BaseHead):
    """(B * S, C, H, W) features of frames -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"` averages over height and width, None takes features (B * S, C) that
            are pooled already.
        consensus: joins the segments, (B, S, C) -> (B, 1, C); module or config.
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial class weights.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        spatial_type: Literal["avg"] | None = "avg",
        consensus: Consensus = AVERAGE,
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_spatial_type(spatial_type)
        self.spatial_type = spatial_type
        self.avg_pool = FrameMean((1, 1)) if spatial_type == "avg" else None
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.consensus = build_consensus(consensus)
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what, flat=self.spatial_type is None)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify clips of `num_segs` frames each, S."""
        check_single(self, x)
        x = pool_frames(x, self.avg_pool)
        self.check_channels(x)
        x = join_segments(self.consensus, by_segment(x, num_segs, type(self).__name__))  # (B, C)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc_cls(x)
