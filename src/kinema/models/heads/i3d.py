"""Pool, drop out, classify: the head of most 3D networks.

Source: I3D, Carreira and Zisserman 2017, arXiv:1705.07750.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_clip_features, check_single, check_single_source
from kinema.models.heads.pooling import ClipMean, check_spatial_type
from kinema.registry import MODELS


@MODELS.register_module()
class I3DHead(BaseHead):
    """(B, C, T, H, W) features, or (B, C) with `spatial_type=None` -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"` averages over time and space, None takes features that are pooled
            already.
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
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_spatial_type(spatial_type)
        self.spatial_type = spatial_type
        self.avg_pool = ClipMean() if spatial_type == "avg" else None
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what, flat=self.spatial_type is None)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        if self.avg_pool is not None:
            check_clip_features(self, x)
            x = self.avg_pool(x)
        check_single(self, x)
        x = x.flatten(1)
        self.check_channels(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc_cls(x)
