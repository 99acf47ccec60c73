"""Pooling by attention: one learned query looks at all tokens, then come two linear layers.

Source: Scaling Vision Transformers, Zhai et al. 2022, arXiv:2106.04560 (multihead attention pooling),
as SigLIP uses it.
"""

import torch
from torch import Tensor, nn

from kinema.models.layers.attention import PackedAttention
from kinema.models.layers.by_name import LayerCfg
from kinema.models.layers.mlp import Mlp


class LatentPooling(nn.Module):
    """(B, N, C) -> (B, C).

    Args:
        channels: C.
        num_heads: heads of the attention, which divide C.
        hidden: channels between the linear layers.
        act_cfg: activation between them; None: `GELU`.
        norm_eps: epsilon of the norm in front of them.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        hidden: int,
        *,
        act_cfg: LayerCfg | None = None,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, channels))
        nn.init.trunc_normal_(self.latent, std=channels**-0.5)
        self.attn = PackedAttention(channels, num_heads)
        self.norm = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = Mlp(channels, hidden, act_cfg=act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        query = self.latent.expand(len(x), -1, -1)
        x = self.attn(query, x)  # (B, 1, C)
        out: Tensor = x + self.mlp(self.norm(x))
        return out[:, 0]
