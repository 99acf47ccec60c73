"""The block of plain transformers: attention and two linear layers, each behind a norm.

The names of weights are those of timm and of most authors' code: `norm1`, `attn.qkv`, `attn.proj`,
`norm2`, `mlp.fc1`, `mlp.fc2`, and `ls1.gamma`, `ls2.gamma`.
"""

import torch
from torch import Tensor, nn

from kinema.models.layers.attention import attend
from kinema.models.layers.bricks.drop import DropPath
from kinema.models.layers.by_name import LayerCfg
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp


class FusedAttention(nn.Module):
    """(B, N, C) -> (B, N, C): every token looks at every other.

    Args:
        channels: C.
        num_heads: heads, which divide C.
        qkv_bias: queries, keys and values have a bias.
        qk_scale: see `attend`.
        attn_drop: dropout of the attention.
        drop: dropout of the result.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = qk_scale
        self.attn_drop_rate = attn_drop
        self.qkv = nn.Linear(channels, channels * 3, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        dropout = self.attn_drop_rate if self.training else 0.0
        mixed = attend(apply_linear(self.qkv, x), self.num_heads, scale=self.scale, dropout=dropout)
        out: Tensor = self.proj_drop(apply_linear(self.proj, mixed))
        return out


class ChannelScale(nn.Module):
    """(..., C) times a learned number a channel, named `gamma`."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), float(start)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class TransformerBlock(nn.Module):
    """(B, N, C) -> (B, N, C).

    Args:
        channels: C.
        num_heads: heads, which divide C.
        hidden: channels between the linear layers.
        act_cfg: activation between them; None: `GELU`.
        norm_eps: epsilon of both norms.
        qkv_bias: see `FusedAttention`.
        drop: dropout of both branches.
        attn_drop: dropout of the attention.
        drop_path: probability that a sample does without a branch.
        layer_scale: start of the scale of both branches' channels; None: they have none.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        hidden: int,
        *,
        act_cfg: LayerCfg | None = None,
        norm_eps: float = 1e-6,
        qkv_bias: bool = True,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attn = FusedAttention(channels, num_heads, qkv_bias, attn_drop=attn_drop, drop=drop)
        self.ls1 = nn.Identity() if layer_scale is None else ChannelScale(channels, layer_scale)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = Mlp(channels, hidden, act_cfg=act_cfg, drop=drop)
        self.ls2 = nn.Identity() if layer_scale is None else ChannelScale(channels, layer_scale)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))
