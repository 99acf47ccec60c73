"""TimeSformer's attention over time and over space as layers that take its tokens in OpenMMLab's order."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.tokens.timesformer_layers import NORM, SpatialAttention, TemporalAttention
from kinema.models.layers import LayerCfg
from kinema.models.layers.bricks.drop import build_dropout
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

_DROP_PATH: LayerCfg = {"type": "DropPath", "drop_prob": 0.1}


class _Divided(nn.Module):
    """Tokens (B, 1 + N T, E), the class token first and then all times of each place, with a residual connection.

    Args:
        embed_dims: E.
        num_heads: heads.
        num_frames: T.
        attn_drop: must be 0.
        proj_drop: must be 0.
        dropout_layer: what drops the attention's result.
        norm_cfg: of the norm in front.
        init_cfg: must be None: the temporal layer starts at 0, all else as torch draws it.

    Raises:
        ConfigError: a setting that no published network has, or tokens of another number of frames.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        num_frames: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] = _DROP_PATH,
        norm_cfg: LayerCfg = NORM,
        init_cfg: None = None,
    ) -> None:
        name = type(self).__name__
        for argument, value in (("attn_drop", attn_drop), ("proj_drop", proj_drop), ("init_cfg", init_cfg)):
            if value:
                raise ConfigError(f"{name}: {argument}={value!r} is not supported: leave it out")
        super().__init__(embed_dims, num_heads, 0.0, norm_cfg)
        self.embed_dims, self.num_heads, self.num_frames = embed_dims, num_heads, num_frames
        self.add_module("dropout_layer", build_dropout(dropout_layer))
        self.init_cfg = None

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        residual: Tensor | None = None,
        query_pos: None = None,
        key_pos: None = None,
        attn_mask: None = None,
        key_padding_mask: None = None,
    ) -> Tensor:
        """(B, 1 + N T, E) -> the same; keys and values are those of the queries, and there are no masks."""
        others = (key, value, residual, query_pos, key_pos, attn_mask, key_padding_mask)
        if any(tensor is not None and tensor is not query for tensor in others):
            raise ConfigError(f"{type(self).__name__} attends to its queries and adds them: give query alone")
        batch, tokens, channels = query.shape
        if (tokens - 1) % self.num_frames:
            raise ConfigError(
                f"{type(self).__name__}: {tokens} tokens are not one of the class and patches of num_frames="
                f"{self.num_frames} frames"
            )
        patches = query[:, 1:].reshape(batch, -1, self.num_frames, channels).transpose(1, 2)
        of_class = query[:, None, :1].expand(-1, self.num_frames, -1, -1)
        result: Tensor = super().forward(torch.cat([of_class, patches], 2))
        return torch.cat([result[:, 0, :1], result[:, :, 1:].transpose(1, 2).flatten(1, 2)], 1)


@MODELS.register_module()
@accepts_openmmlab_keywords
class DividedTemporalAttentionWithNorm(_Divided, TemporalAttention):
    """Each place looks at itself at all times."""

    def init_weights(self) -> None:
        """Set the last layer to 0, so that the attention changes nothing at first."""
        for parameter in self.temporal_fc.parameters():
            torch.nn.init.zeros_(parameter)


@MODELS.register_module()
@accepts_openmmlab_keywords
class DividedSpatialAttentionWithNorm(_Divided, SpatialAttention):
    """The places of a frame, and the class token, look at each other."""

    def init_weights(self) -> None:
        """Leave the weights as torch draws them."""
