"""One learned query looks at all tokens and gives their vector."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.attention import check_heads

# softplus(0) is log 2: this makes the scale of a head one over the root of its channels at the start.
PER_LOG_2 = 1.442695041


class QueryPooling(nn.Module):
    """(B, N, C) -> (B, C).

    The query's channels are scaled each by a trained number, and logits are not capped.

    Args:
        channels: C.
        num_heads: heads, which divide `inner_channels`.
        inner_channels: of all heads; None: C.
        qkv_bias: queries, keys and values have a bias.

    Raises:
        ConfigError: the heads do not divide the inner channels.

    Source: VideoPrism, Zhao et al. 2024, arXiv:2402.13217.
    """

    def __init__(self, channels: int, num_heads: int, inner_channels: int | None = None, qkv_bias: bool = True) -> None:
        super().__init__()
        inner = channels if inner_channels is None else inner_channels
        check_heads(inner, num_heads, "pooling by a query")
        self.num_heads = num_heads
        self.per_dim_scale = nn.Parameter(torch.zeros(inner // num_heads))
        self.pooling_attention_query = nn.Parameter(torch.randn(1, 1, channels) * 0.02)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, inner, bias=qkv_bias) for _ in range(3))
        self.o_proj = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        per_channel = PER_LOG_2 * len(self.per_dim_scale) ** -0.5 * F.softplus(self.per_dim_scale)
        query = self._heads(self.q_proj(self.pooling_attention_query.expand(len(x), -1, -1))) * per_channel
        key, value = self._heads(self.k_proj(x)), self._heads(self.v_proj(x))
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, H, 1, D)
        return self.o_proj(out.flatten(1))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, H D) -> (B, H, N, D)."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
