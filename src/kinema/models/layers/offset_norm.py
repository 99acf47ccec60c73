"""A layer norm that keeps how far its scale is from 1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OffsetLayerNorm(nn.Module):
    """(..., C) -> (..., C), normalised, times 1 + `weight`, plus `bias`: a weight of 0 changes nothing.

    Args:
        channels: C.
        eps: is added to the variance.

    Source: VideoPrism, Zhao et al. 2024, arXiv:2402.13217, whose files hold such weights.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, 1 + self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Channels and eps, as torch's own norms print them."""
        return f"{len(self.weight)}, eps={self.eps}"
