"""Pool the tokens of all clips of a view by attention and classify: the probe of V-JEPA 2.

Source: V-JEPA 2, Assran et al. 2025, arXiv:2506.09985; V-JEPA, Bardes et al. 2024, arXiv:2404.08471.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.heads.base import BaseHead
from kinema.models.init_report import InitReport
from kinema.models.layers.attentive_pooling import AttentivePooler
from kinema.models.layers.prenorm import scale_residuals
from kinema.models.layers.settings import check_positive, check_sizes
from kinema.registry import MODELS


@MODELS.register_module()
class AttentiveHead(BaseHead):
    """Maps (B * V, C, T, H, W), or several levels of them, -> (B * V / S, N) scores.

    The tokens of S clips of a sample that lie one after the other, which are those of one crop, are
    pooled together, as are those of all levels. A sample with a single clip is scored by this.

    Args:
        num_classes: N.
        in_channels: C.
        loss_cls: see `BaseHead`.
        num_clips: S.
        num_heads: heads of each attention, which divide C.
        depth: attention layers: `depth` - 1 blocks over the tokens, and the pooling.
        mlp_ratio: hidden channels of a layer, as a multiple of C.
        norm_eps: of all norms.
        qkv_bias: queries, keys and values have a bias.
        complete_block: see `AttentivePooler`, as `out_projection`.
        out_projection: see there.
        init_std: standard deviation of the initial weights.
        **settings: further arguments of `BaseHead`; `init_cfg` replaces the initialisation with
            `init_std`.

    Raises:
        ConfigError: heads do not divide the channels, or a number is below 1.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        *,
        num_clips: int = 1,
        num_heads: int = 16,
        depth: int = 4,
        mlp_ratio: float = 4.0,
        norm_eps: float = 1e-5,
        qkv_bias: bool = True,
        complete_block: bool = True,
        out_projection: bool = False,
        init_std: float = 0.02,
        **settings: Any,
    ) -> None:
        settings["init_cfg"] = settings.get("init_cfg") or [
            {"type": "TruncNormal", "layer": "Linear", "std": init_std, "bias": 0.0},
            {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
        ]
        super().__init__(num_classes, in_channels, loss_cls, **settings)
        check_sizes("AttentiveHead", num_heads=num_heads, depth=depth, num_clips=num_clips)
        check_positive("AttentiveHead", mlp_ratio=mlp_ratio, norm_eps=norm_eps)
        self.num_clips = num_clips
        self.num_heads = num_heads
        self.norm_eps = norm_eps
        self.init_std = init_std
        self.pooler = AttentivePooler(
            in_channels,
            num_heads,
            depth,
            mlp_ratio,
            qkv_bias=qkv_bias,
            norm_eps=norm_eps,
            complete_block=complete_block,
            out_projection=out_projection,
        )
        self.linear = nn.Linear(in_channels, num_classes)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        nn.init.trunc_normal_(self.pooler.query_tokens, std=self.init_std)
        scale_residuals(self.pooler.blocks)

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        for channels in features_of(source).channels:
            self.check_channels(channels, f"{what} ({type(source).__name__})")

    def forward(self, x: Tensor | tuple[Tensor, ...], joined: int = 1) -> Tensor:
        """Classify; the tokens of `joined` clips that lie one after the other are pooled together."""
        tokens = joined_tokens(x)
        self.check_channels(tokens.shape[-1])
        tokens = tokens.reshape(-1, joined * tokens.shape[1], tokens.shape[2])
        return self.linear(self.pooler(tokens)[:, 0])

    def loss(self, feats: Any, data_samples: Sequence[Any], **options: Any) -> dict[str, Tensor]:
        """See `BaseHead`; raises `ConfigError` too where a sample's clips cannot be pooled by `num_clips`."""
        return super().loss(feats, data_samples, joined=self._clips_to_join(feats, data_samples), **options)

    def predict(self, feats: Any, data_samples: Sequence[Any], **options: Any) -> list[Any]:
        """See `BaseHead`; raises `ConfigError` too where a sample's clips cannot be pooled by `num_clips`."""
        return super().predict(feats, data_samples, joined=self._clips_to_join(feats, data_samples), **options)

    def _clips_to_join(self, feats: Any, data_samples: Sequence[Any]) -> int:
        rows = len(feats[0] if isinstance(feats, tuple | list) else feats)
        views = rows // max(1, len(data_samples))
        if views <= 1:
            return 1
        if views % self.num_clips:
            raise ConfigError(
                f"AttentiveHead pools num_clips={self.num_clips} clips together, which do not divide the {views} views"
                f" of a sample: sample num_clips={self.num_clips} clips for each crop, or a single view"
            )
        return self.num_clips


def joined_tokens(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Maps (B, C, T, H, W) or tokens (B, N, C), or several such, -> the tokens of all, (B, N, C).

    Raises:
        ConfigError: they are neither.
    """
    levels = [x] if isinstance(x, Tensor) else list(x)
    if any(level.dim() not in (3, 5) for level in levels):
        raise ConfigError(
            "AttentiveHead takes features of shape (clips, channels, frames, height, width), or (clips, tokens,"
            f" channels), got {[tuple(level.shape) for level in levels]}"
        )
    tokens = [level.flatten(2).transpose(1, 2) if level.dim() == 5 else level for level in levels]
    return tokens[0] if len(tokens) == 1 else torch.cat(tokens, 1)
