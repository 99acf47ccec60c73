"""The class token, or the mean of the tokens, dropped out and classified.

Source: MViTv2, Li et al. 2022, arXiv:2112.01526.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_single_source
from kinema.models.init_report import InitReport
from kinema.models.layers.settings import check_rates
from kinema.registry import MODELS


@MODELS.register_module()
class MViTHead(BaseHead):
    """What `MViT` gives -> (B, N) scores, by its last scale.

    Args:
        num_classes: N.
        in_channels: channels of that scale.
        loss_cls: see `BaseHead`.
        dropout_ratio: probability that a feature is set to 0 in training.
        init_std: standard deviation of the initial class weights.
        init_scale: by which they are multiplied behind the initialisation.
        with_cls_token: take the class token; else the mean of the map.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        dropout_ratio: float = 0.5,
        init_std: float = 0.02,
        init_scale: float = 1.0,
        with_cls_token: bool = True,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "TruncNormal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_rates("MViTHead", dropout_ratio=dropout_ratio)
        self.init_std = init_std
        self.init_scale = init_scale
        self.dropout_ratio = dropout_ratio
        self.with_cls_token = with_cls_token
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        self.fc_cls.weight.data.mul_(self.init_scale)
        self.fc_cls.bias.data.mul_(self.init_scale)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def pre_logits(self, feats: Any) -> Tensor:
        """(B, C): the class token of the last scale, or the mean of its map.

        Raises:
            ConfigError: the backbone gives no class token.
        """
        is_of_scales = isinstance(feats, tuple) or (isinstance(feats, list) and isinstance(feats[-1], list | tuple))
        last = feats[-1] if is_of_scales else feats
        if self.with_cls_token:
            if not isinstance(last, list | tuple):
                raise ConfigError("MViTHead with with_cls_token=True needs a backbone with output_cls_token=True")
            token: Tensor = last[1]
            return token
        feature_map = last[0] if isinstance(last, list | tuple) else last
        return feature_map.mean((2, 3, 4))

    def forward(self, x: Any, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        features = self.pre_logits(x)
        self.check_channels(features)
        if self.dropout is not None:
            features = self.dropout(features)
        return self.fc_cls(features)
