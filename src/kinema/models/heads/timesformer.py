"""Drop out and classify: the head of transformers, which give one vector a clip.

Source: TimeSformer, Bertasius et al. 2021, arXiv:2102.05095.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_pooled, check_single_source
from kinema.models.layers.settings import check_rates
from kinema.registry import MODELS


@MODELS.register_module()
class TimeSformerHead(BaseHead):
    """(B, C) features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        init_std: standard deviation of the initial class weights.
        dropout_ratio: probability that a feature is set to 0 in training.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        init_std: float = 0.02,
        dropout_ratio: float = 0.0,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "TruncNormal", "layer": "Linear", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_rates(type(self).__name__, dropout_ratio=dropout_ratio)
        self.init_std = init_std
        self.dropout_ratio = dropout_ratio
        self.dropout = nn.Dropout(dropout_ratio) if dropout_ratio else None
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        check_pooled(self, x)
        self.check_channels(x)
        if self.dropout is not None:
            x = self.dropout(x)
        return self.fc_cls(x)
