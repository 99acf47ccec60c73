"""MoViNetHead: average over the clip, or over a stream so far, a wide hidden layer, classify.

Source: MoViNets, Kondratyuk et al. 2021, arXiv:2103.11511.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_clip_features, check_single_source
from kinema.models.layers.carried_state import CarriedState, mean_so_far
from kinema.models.layers.movinet_blocks import HARD_SIGMOID, SWISH, ConvBlock, Style
from kinema.models.layers.settings import check_rates, check_sizes
from kinema.registry import MODELS


@MODELS.register_module()
class MoViNetHead(BaseHead):
    """(B, C, T, H, W) features -> (B, N) scores.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        hidden_channels: of the hidden layer.
        dropout_ratio: probability that a hidden value is set to 0 in training.
        planar: weights are those of 2D convolutions, as in the files of streaming networks.
        init_std: standard deviation of the initial weights.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.

    Attributes:
        carries_state: it takes a `CarriedState`.
    """

    carries_state = True

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        *,
        hidden_channels: int = 2048,
        dropout_ratio: float = 0.2,
        planar: bool = False,
        init_std: float = 0.01,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "Normal", "layer": "Conv3d", "std": init_std}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_sizes("MoViNetHead", hidden_channels=hidden_channels)
        check_rates("MoViNetHead", dropout_ratio=dropout_ratio)
        self.dropout_ratio = dropout_ratio
        self.init_std = init_std
        style = Style(False, planar, 1e-3, SWISH, HARD_SIGMOID)
        self.classifier = nn.Sequential(
            ConvBlock(in_channels, hidden_channels, (1, 1, 1), style, has_norm=False, has_act=False),
            nn.SiLU(),
            nn.Dropout(dropout_ratio),
            ConvBlock(hidden_channels, num_classes, (1, 1, 1), style, has_norm=False, has_act=False),
        )

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def forward(self, x: Tensor, num_segs: int | None = None, state: CarriedState | None = None) -> Tensor:
        """Classify.

        Args:
            x: features.
            num_segs: frames of a sample; has no effect here.
            state: with which the backbone computed them; the scores are then of all frames so far.
        """
        check_clip_features(self, x)
        self.check_channels(x)
        if state is None:
            x = x.mean((2, 3, 4), keepdim=True)
        else:
            x = mean_so_far(x.mean((3, 4), keepdim=True), self, state)[:, :, -1:]
        return self.classifier(x).flatten(1)
