"""SlowFastHead: pool both pathways, put them side by side, classify.

Source: SlowFast Networks, Feichtenhofer et al. 2019, arXiv:1812.03982, section 3.4.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.pooling import ClipMean, check_spatial_type
from kinema.registry import MODELS

_TWO = (
    "SlowFastHead takes the features of two pathways, such as those of ResNet3dSlowFast; for a backbone with one set"
    " cls_head to I3DHead"
)


@MODELS.register_module()
class SlowFastHead(BaseHead):
    """Slow (B, C, T, H, W) and fast (B, C', T', H', W') features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C + C'.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"`: average over time and space.
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
        dropout_ratio: float = 0.8,
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
        channels = features_of(source).channels
        if channels and len(channels) != 2:
            raise ConfigError(_TWO)
        if channels and self.spatial_type == "avg":
            self.check_channels(sum(channels), f"{what} ({type(source).__name__})")

    def forward(self, x: tuple[Tensor, Tensor], num_segs: int | None = None) -> Tensor:  # type: ignore[override]
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        if not (isinstance(x, tuple | list) and len(x) == 2):
            raise ConfigError(_TWO)
        slow, fast = x
        if self.avg_pool is not None:
            slow, fast = self.avg_pool(slow), self.avg_pool(fast)
        pooled = torch.cat(
            [fast.flatten(1), slow.flatten(1)], dim=1
        )  # (B, C' + C): published weights have the fast first
        self.check_channels(pooled)
        if self.dropout is not None:
            pooled = self.dropout(pooled)
        return self.fc_cls(pooled)
