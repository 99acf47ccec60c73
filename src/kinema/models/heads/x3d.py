"""X3DHead: pool, a wide hidden layer, classify.

Source: X3D, Feichtenhofer 2020, arXiv:2004.04730, table 1 (conv5 to fc2).
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_clip_features, check_single_source
from kinema.models.heads.pooling import ClipMaximum, ClipMean
from kinema.registry import MODELS


@MODELS.register_module()
class X3DHead(BaseHead):
    """(B, C, T, H, W) features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        spatial_type: `"avg"` or `"max"`: how time and space are pooled.
        dropout_ratio: probability that a hidden value is set to 0 in training.
        init_std: standard deviation of the initial weights.
        fc1_bias: the hidden layer has a bias.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        spatial_type: Literal["avg", "max"] = "avg",
        dropout_ratio: float = 0.5,
        init_std: float = 0.01,
        fc1_bias: bool = False,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        if spatial_type not in ("avg", "max"):
            raise ValueError(f"spatial_type must be 'avg' or 'max', got {spatial_type!r}")
        self.spatial_type = spatial_type
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc1_bias = fc1_bias
        self.mid_channels = 2048
        self.fc1 = nn.Linear(in_channels, self.mid_channels, bias=fc1_bias)
        self.fc2 = nn.Linear(self.mid_channels, num_classes)
        self.pool = ClipMean() if spatial_type == "avg" else ClipMaximum()

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        check_clip_features(self, x)
        self.check_channels(x)
        x = F.relu(self.fc1(self.pool(x).flatten(1)))
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc2(x)
