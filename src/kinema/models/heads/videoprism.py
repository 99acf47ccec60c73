"""A learned query looks at all tokens; a norm and a linear layer classify what it sees.

Source: VideoPrism, Zhao et al. 2024, arXiv:2402.13217.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.heads.base import BaseHead
from kinema.models.heads.features import check_clip_features, check_single_source
from kinema.models.layers.offset_norm import OffsetLayerNorm
from kinema.models.layers.query_pooling import QueryPooling
from kinema.models.layers.settings import check_given, check_positive, check_rates, check_sizes
from kinema.registry import MODELS


@MODELS.register_module()
class VideoPrismHead(BaseHead):
    """(B, C, T, H, W) features -> (B, N) scores.

    Parts have the names that transformers gives them.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        num_heads: heads of the pooling, which divide `inner_channels`.
        inner_channels: channels of all its heads; None: C, as in Google's classifier. That of
            transformers and the pooling of the video-text model have 4 C.
        norm_eps: of the norm.
        qkv_bias: queries, keys and values of the pooling have a bias.
        dropout_ratio: probability that a pooled feature is set to 0 in training.
        **settings: further arguments of `BaseHead`.

    Raises:
        ConfigError: the heads do not divide the inner channels.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        num_heads: int = 12,
        inner_channels: int | None = None,
        norm_eps: float = 1e-6,
        qkv_bias: bool = True,
        dropout_ratio: float = 0.0,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or {"type": "TruncNormal", "layer": "Linear", "std": 0.02}
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_sizes("VideoPrismHead", num_heads=num_heads)
        check_given("VideoPrismHead", inner_channels=inner_channels)
        check_rates("VideoPrismHead", dropout_ratio=dropout_ratio)
        check_positive("VideoPrismHead", norm_eps=norm_eps)
        self.head = QueryPooling(in_channels, num_heads, inner_channels, qkv_bias)
        self.head_layernorm = OffsetLayerNorm(in_channels, norm_eps)
        self.dropout = nn.Dropout(dropout_ratio)
        self.classifier = nn.Linear(in_channels, num_classes)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        check_single_source(self, source, what)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C): what is classified."""
        check_clip_features(self, x)
        self.check_channels(x)
        return self.head_layernorm(self.head(x.flatten(2).transpose(1, 2)))

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify. `num_segs`, the frames of a sample, has no effect here."""
        return self.classifier(self.dropout(self.pooled(x)))
