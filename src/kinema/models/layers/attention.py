"""Attention of a sequence to itself, by torch's fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError


def attend(qkv: Tensor, num_heads: int, *, scale: float | None = None, dropout: float = 0.0) -> Tensor:
    """Attention of tokens to each other, for each head by itself.

    Args:
        qkv: (B, N, 3 E): queries, keys and values side by side, each of all heads side by side.
        num_heads: heads, which divide E.
        scale: of the products of queries and keys; None: one over the root of E / `num_heads`.
        dropout: probability that a weight is set to 0.

    Returns:
        (B, N, E).
    """
    batch, tokens, width = qkv.shape
    query, key, value = qkv.view(batch, tokens, 3, num_heads, width // 3 // num_heads).permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return out.transpose(1, 2).reshape(batch, tokens, width // 3)


def check_heads(embed_dims: int, num_heads: int, what: str) -> None:
    """Raise `ConfigError` where the heads do not divide the channels."""
    if num_heads < 1 or embed_dims % num_heads:
        raise ConfigError(
            f"{what}: num_heads={num_heads} does not divide embed_dims={embed_dims}: each head has the same channels"
        )


class SelfAttention(nn.Module):
    """(B, N, E) -> (B, N, E); keys have no bias, which would change nothing.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        qkv_bias: queries and values have a bias.
        qk_scale: see `attend`.
        attn_drop_rate: dropout of the attention.
        drop_rate: dropout of the result.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "attention")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.scale = qk_scale
        self.attn_drop_rate = attn_drop_rate
        self.q_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)
        dropout = self.attn_drop_rate if self.training else 0.0
        out: Tensor = self.proj_drop(self.proj(attend(qkv, self.num_heads, scale=self.scale, dropout=dropout)))
        return out
