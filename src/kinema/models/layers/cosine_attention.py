"""Attention by the angle between queries and keys, with a trained sharpness for each head."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.attention import check_heads
from kinema.models.layers.linear import apply_linear, linear

# Products of unit vectors lie in [-1, 1]; they start ten times as large, and never exceed 100.
START, LIMIT = math.log(10), math.log(100)


class CosineAttention(nn.Module):
    """(B, N, E) -> (B, N, E); keys have no bias.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        qkv_bias: queries and values have a bias.
        attn_drop_rate: dropout of the attention.
        drop_rate: dropout of the result.

    Attributes:
        scale: (heads, 1, 1), logarithm of what the cosines are multiplied by.

    Source: VideoMAE V2, Wang et al. 2023, arXiv:2303.16727, whose code has it as an option; the idea is
        of Swin Transformer V2, Liu et al. 2021, arXiv:2111.09883, section 3.2.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "attention")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.attn_drop_rate = attn_drop_rate
        self.scale = nn.Parameter(torch.full((num_heads, 1, 1), START))
        self.q_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = linear(x, self.qkv.weight, bias).unflatten(2, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, E / heads)
        query = F.normalize(query, dim=-1) * self.scale.clamp(max=LIMIT).exp()
        dropout = self.attn_drop_rate if self.training else 0.0
        out = F.scaled_dot_product_attention(
            query.to(value.dtype), F.normalize(key, dim=-1), value, dropout_p=dropout, scale=1.0
        )
        result: Tensor = self.proj_drop(apply_linear(self.proj, out.transpose(1, 2).flatten(2)))
        return result
