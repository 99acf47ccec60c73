"""Average a spectrogram's features over time and frequency, then classify.

Source: Audiovisual SlowFast, Xiao et al. 2020, arXiv:2001.08740, its path of sound alone.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_single, check_single_source
from kinema.models.heads.pooling import FrameMean
from kinema.registry import MODELS


@MODELS.register_module()
class TSNAudioHead(BaseHead):
    """(B, C, T, F) features of sound -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        spatial_type: only `"avg"`.
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial class weights.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.

    Raises:
        ConfigError: another `spatial_type`; (when called) features of another shape.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        spatial_type: Literal["avg"] = "avg",
        dropout_ratio: float = 0.4,
        init_std: float = 0.01,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        if spatial_type != "avg":
            raise ConfigError(f"TSNAudioHead: spatial_type must be 'avg', got {spatial_type!r}")
        self.spatial_type = spatial_type
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        self.avg_pool = FrameMean((1, 1))
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor) -> Tensor:
        """Classify."""
        check_single(self, x)
        if x.dim() != 4:
            raise ConfigError(
                f"TSNAudioHead takes features of sound, (batch, channels, time, frequency), got {tuple(x.shape)}"
            )
        self.check_channels(x)
        x = self.avg_pool(x).flatten(1)  # (B, C)
        return self.fc_cls(x if self.dropout is None else self.dropout(x))
