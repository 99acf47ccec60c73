"""Activations that torch has no module for."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUICK = 1.702


class QuickGELU(nn.Module):
    """CLIP's activation: `x * sigmoid(1.702 x)`."""

    def forward(self, x: Tensor) -> Tensor:
        scaled = QUICK * x
        if torch.is_grad_enabled():
            return F.silu(scaled) / QUICK  # keeps one tensor for the backward pass
        return F.silu(scaled, inplace=True).div_(QUICK)
