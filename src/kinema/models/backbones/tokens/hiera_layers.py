"""Hiera's layers: tokens in an order in which pooling joins neighbours, attention in units, blocks."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers import Conv3d, LayerCfg
from kinema.models.layers.attention import check_heads
from kinema.models.layers.bricks.drop import DropPath
from kinema.models.layers.by_name import build_norm_layer
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp

Size = tuple[int, int, int]  # frames, rows, columns


def unroll(x: Tensor, stride: Size, poolings: int) -> Tensor:
    """Order tokens by mask unit, and inside it by the pooling that joins them, the first one first.

    Args:
        x: (B, T, H, W, C).
        stride: tokens that a pooling joins, along frames, rows and columns; a unit has `stride` to the
            power of `poolings` of them, which divide T, H and W.
        poolings: number of poolings.

    Returns:
        (B, units, tokens of a unit, C).
    """
    batch, *sizes, channels = x.shape
    steps = [step for step in stride for _ in range(poolings)]
    split = [
        part for size, step in zip(sizes, stride, strict=True) for part in (size // step**poolings, *[step] * poolings)
    ]
    # Along each side: the unit, then the place inside it, from the coarsest digit to the finest.
    side = [1 + axis * (1 + poolings) for axis in range(3)]
    inside = [start + poolings - pooling for pooling in range(poolings) for start in side]
    order = [0, *side, *inside, 1 + len(split)]
    return x.reshape(batch, *split, channels).permute(order).reshape(batch, -1, math.prod(steps), channels)


def reroll(x: Tensor, units: Size, stride: Size, poolings: int) -> Tensor:
    """The inverse of `unroll`.

    Args:
        x: (B, units, tokens of a unit, C).
        units: along frames, rows and columns.
        stride: see `unroll`.
        poolings: those that the tokens have not been through yet.

    Returns:
        (B, T, H, W, C).
    """
    batch, channels = len(x), x.shape[-1]
    x = x.reshape(batch, *units, *list(stride) * poolings, channels)
    order = [0]
    for axis in range(3):
        order += [1 + axis, *(4 + 3 * pooling + axis for pooling in reversed(range(poolings)))]
    sizes = [count * step**poolings for count, step in zip(units, stride, strict=True)]
    return x.permute(*order, x.dim() - 1).reshape(batch, *sizes, channels)


def pool(x: Tensor, joined: int) -> Tensor:
    """(B, units, N, C) -> (B, units, N / `joined`, C): the maximum of tokens that a pooling joins."""
    return x.unflatten(2, (joined, -1)).amax(2)


class UnitAttention(nn.Module):
    """(B, units, N, C) -> (B, units, N / `joined`, E): attention inside each unit, or of all tokens.

    Args:
        channels: C.
        out_channels: E, which the heads divide.
        num_heads: heads.
        joined: queries that a pooling joins; 1: there is none.
        is_local: tokens look at those of their unit only.
        qkv_bias: queries, keys and values have a bias.
    """

    def __init__(
        self, channels: int, out_channels: int, num_heads: int, joined: int, is_local: bool, qkv_bias: bool
    ) -> None:
        super().__init__()
        check_heads(out_channels, num_heads, "Hiera")
        self.num_heads = num_heads
        self.joined = joined
        self.is_local = is_local
        self.qkv = nn.Linear(channels, 3 * out_channels, bias=qkv_bias)
        self.proj = nn.Linear(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, units, _, _ = x.shape
        query, key, value = apply_linear(self.qkv, x).chunk(3, -1)
        if self.joined > 1:
            query = pool(query, self.joined)
        out = F.scaled_dot_product_attention(self._heads(query), self._heads(key), self._heads(value))
        return apply_linear(self.proj, out.transpose(1, 2).reshape(batch, units, -1, query.shape[-1]))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, units, N, E) -> (B * units, heads, N, E / heads), or (B, heads, units * N, E / heads)."""
        x = x.flatten(0, 1) if self.is_local else x.flatten(1, 2)
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """(B, units, N, C) -> (B, units, N / `joined`, E): attention and two linear layers, each behind a norm.

    Where the channels change, the tokens beside the attention are projected, and pooled as its
    queries are, behind the norm.

    Args:
        channels: C.
        out_channels: E.
        num_heads, joined, is_local, qkv_bias: see `UnitAttention`.
        mlp_ratio: hidden channels, as a multiple of E.
        drop_path_rate: probability that a sample does without a branch.
        norm_cfg: of both norms.
        act_cfg: of the linear layers.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        num_heads: int,
        joined: int,
        is_local: bool,
        qkv_bias: bool,
        mlp_ratio: float,
        drop_path_rate: float,
        norm_cfg: LayerCfg,
        act_cfg: LayerCfg,
    ) -> None:
        super().__init__()
        self.joined = joined
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.attn = UnitAttention(channels, out_channels, num_heads, joined, is_local, qkv_bias)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate else nn.Identity()
        self.norm2 = build_norm_layer(norm_cfg, out_channels)[1]
        self.mlp = Mlp(out_channels, int(out_channels * mlp_ratio), act_cfg=act_cfg)
        self.proj = nn.Linear(channels, out_channels) if channels != out_channels or joined > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        if self.proj is not None:
            x = apply_linear(self.proj, normed)
            x = pool(x, self.joined) if self.joined > 1 else x
        x = x + self.drop_path(self.attn(normed))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """(B, C, T, H, W) -> (B, T', H', W', E) by a convolution whose patches overlap."""

    def __init__(self, in_channels: int, embed_dims: int, kernel: Size, stride: Size, padding: Size) -> None:
        super().__init__()
        self.proj = Conv3d(in_channels, embed_dims, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 4, 1)
