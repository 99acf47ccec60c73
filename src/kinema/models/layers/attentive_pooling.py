"""Pooling by attention: learned queries look at all tokens, and what they see is the result.

Source: the attentive probe of V-JEPA, Bardes et al. 2024, arXiv:2404.08471, and V-JEPA 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.attention import check_heads
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.mlp import Mlp
from kinema.models.layers.prenorm import PreNormBlock


class CrossAttention(nn.Module):
    """Queries (B, Q, C) and tokens (B, N, C) -> what the queries see (B, Q, C).

    Args:
        channels: C.
        num_heads: heads, which divide C.
        qkv_bias: of the layers of queries, keys and values.
        out_projection: a linear layer, `proj`, follows.

    Raises:
        ConfigError: the heads do not divide C.
    """

    def __init__(self, channels: int, num_heads: int, *, qkv_bias: bool = True, out_projection: bool = False) -> None:
        super().__init__()
        check_heads(channels, num_heads, "attentive pooling")
        self.num_heads = num_heads
        self.q = nn.Linear(channels, channels, bias=qkv_bias)
        self.kv = nn.Linear(channels, 2 * channels, bias=qkv_bias)
        if out_projection:
            self.proj = nn.Linear(channels, channels)
        self.out_projection = out_projection

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        query = apply_linear(self.q, queries).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, Q, D)
        key, value = (
            apply_linear(self.kv, x).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        )  # (B, H, N, D)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return apply_linear(self.proj, seen) if self.out_projection else seen


class CrossAttentionBlock(nn.Module):
    """Attention to the normed tokens and two linear layers, each with a residual connection to the queries.

    The queries themselves are not normed before the attention.

    Args:
        channels, num_heads, qkv_bias, out_projection: see `CrossAttention`.
        mlp_ratio: hidden channels of the linear layers, as a multiple of C.
        norm_eps: of both norms.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        *,
        qkv_bias: bool = True,
        norm_eps: float = 1e-5,
        out_projection: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=norm_eps)
        self.xattn = CrossAttention(channels, num_heads, qkv_bias=qkv_bias, out_projection=out_projection)
        self.norm2 = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = Mlp(channels, int(channels * mlp_ratio))

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        queries = queries + self.xattn(queries, self.norm1(x))
        return queries + self.mlp(self.norm2(queries))


class AttentivePooler(nn.Module):
    """(B, N, C) tokens -> (B, Q, C): blocks over the tokens, then attention of learned queries to them.

    Args:
        channels: C.
        num_heads: of every attention.
        depth: layers: `depth` - 1 blocks over the tokens, which have no positions, and the last.
        mlp_ratio, qkv_bias, norm_eps: see `PreNormBlock`.
        num_queries: Q.
        complete_block: the last layer is a `CrossAttentionBlock`; else its attention alone.
        out_projection: see `CrossAttention`.

    Raises:
        ConfigError: `depth` or `num_queries` is below 1, or the heads do not divide C.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 16,
        depth: int = 4,
        mlp_ratio: float = 4.0,
        *,
        qkv_bias: bool = True,
        norm_eps: float = 1e-5,
        num_queries: int = 1,
        complete_block: bool = True,
        out_projection: bool = False,
    ) -> None:
        super().__init__()
        for name, number in (("depth", depth), ("num_queries", num_queries)):
            if number < 1:
                raise ConfigError(f"attentive pooling: {name} must be at least 1, got {number}")
        self.query_tokens = nn.Parameter(torch.zeros(1, num_queries, channels))
        self.cross_attention_block: nn.Module
        if complete_block:
            self.cross_attention_block = CrossAttentionBlock(
                channels, num_heads, mlp_ratio, qkv_bias=qkv_bias, norm_eps=norm_eps, out_projection=out_projection
            )
        else:
            self.cross_attention_block = CrossAttention(
                channels, num_heads, qkv_bias=qkv_bias, out_projection=out_projection
            )
        self.blocks = nn.ModuleList(
            PreNormBlock(channels, num_heads, mlp_ratio, qkv_bias=qkv_bias, norm_eps=norm_eps) for _ in range(depth - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.cross_attention_block(self.query_tokens.expand(len(x), -1, -1), x)
