"""The block of most of today's transformers: norm, attention, norm, two linear layers, each half with a residual."""

import math
from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.attention import attend, check_heads, in_rows
from kinema.models.layers.bricks.drop import DropPath
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.rotary import Rotation, turn


class QkvAttention(nn.Module):
    """(B, N, C) -> (B, N, C): attention of tokens to each other; queries, keys and values of one linear layer.

    Args:
        channels: C.
        num_heads: heads, which divide C.
        qkv_bias: of that layer.

    Raises:
        ConfigError: the heads do not divide C.
    """

    def __init__(self, channels: int, num_heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        check_heads(channels, num_heads, "attention")
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=qkv_bias)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, by: Rotation | None = None) -> Tensor:
        """Attend; `by` turns queries and keys by the places of their tokens."""
        qkv = apply_linear(self.qkv, x)
        if by is None:
            return apply_linear(self.proj, attend(qkv, self.num_heads))
        heads = qkv.unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, H, D)
        turned = turn(heads[:, :, :2].flatten(2, 3), by)  # (B, N, 2 H, D): queries, then keys
        query, key = in_rows(turned.transpose(1, 2)).chunk(2, 1)
        out = F.scaled_dot_product_attention(query, key, in_rows(heads[:, :, 2].transpose(1, 2)))
        return apply_linear(self.proj, out.transpose(1, 2).flatten(2))


class PreNormBlock(nn.Module):
    """(B, N, C) -> (B, N, C).

    Args:
        channels: C.
        num_heads: of the attention.
        mlp_ratio: hidden channels of the linear layers, as a multiple of C, rounded down.
        qkv_bias: see `QkvAttention`.
        norm_eps: of both norms.
        drop_path_rate: probability that a sample does without a half in training.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        *,
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.attn = QkvAttention(channels, num_heads, qkv_bias=qkv_bias)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = Mlp(channels, int(channels * mlp_ratio))

    def forward(self, x: Tensor, by: Rotation | None = None) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), by))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def scale_residuals(blocks: Iterable[Any]) -> None:
    """Divide the last layer of both halves of each block by the root of twice its number.

    So the values of a deep network keep their size at the start of a training.

    Args:
        blocks: each a `PreNormBlock`.
    """
    for number, block in enumerate(blocks, 1):
        for layer in (block.attn.proj, block.mlp.fc2):
            layer.weight.data.div_(math.sqrt(2.0 * number))
