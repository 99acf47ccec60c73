"""Norm, drop out and classify what InternVideo2's pooling gives.

Source: InternVideo2, Wang et al. 2024, arXiv:2403.15377.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_single, check_single_source
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.settings import check_rates
from kinema.registry import MODELS


@MODELS.register_module()
class InternVideo2Head(BaseHead):
    """(B, C) features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        init_std: standard deviation of the initial class weights.
        dropout_ratio: probability that a feature is set to 0 in training.
        extra_mlp: add two linear layers with `4 C` channels between them, behind a norm, as the heads
            that were trained on the frozen network ("attentive probing") have them.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int = 768,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        *,
        init_std: float = 0.02,
        dropout_ratio: float = 0.0,
        extra_mlp: bool = False,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "TruncNormal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_rates("InternVideo2Head", dropout_ratio=dropout_ratio)
        self.extra_mlp = (
            nn.Sequential(nn.LayerNorm(in_channels), Mlp(in_channels, 4 * in_channels)) if extra_mlp else None
        )
        self.fc_norm = nn.LayerNorm(in_channels)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        check_single(self, x)
        self.check_channels(x)
        if self.extra_mlp is not None:
            x = x + self.extra_mlp(x)
        out: Tensor = self.fc_cls(self.dropout(self.fc_norm(x)))
        return out
