"""Attention whose queries and keys pass through a norm first."""

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.attention import attend, check_heads
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.rms_norm import RMSNorm


class NormedAttention(nn.Module):
    """(B, N, E) -> (B, N, E); the norms see all heads of a query or key at once.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        qkv_bias: queries, keys and values have a bias.
        qk_norm: queries and keys pass through an RMS norm each.
        norm_eps: of these norms.

    Source: InternVideo2, Wang et al. 2024, arXiv:2403.15377; norms of queries and keys are of Scaling Vision
        Transformers to 22 Billion Parameters, Dehghani et al. 2023, arXiv:2302.05442, section 2.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        qkv_bias: bool = False,
        qk_norm: bool = True,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "attention")
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.q_norm = RMSNorm(embed_dims, eps=norm_eps) if qk_norm else None
        self.k_norm = RMSNorm(embed_dims, eps=norm_eps) if qk_norm else None
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor) -> Tensor:
        qkv = apply_linear(self.qkv, x)
        if self.q_norm is None or self.k_norm is None:
            return apply_linear(self.proj, attend(qkv, self.num_heads))
        query, key, value = qkv.chunk(3, -1)
        out = F.scaled_dot_product_attention(
            self._heads(self.q_norm(query)), self._heads(self.k_norm(key)), self._heads(value)
        )
        return apply_linear(self.proj, out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, E) -> (B, heads, N, E / heads)."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
