"""Activations that torch has no module for."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """CLIP's activation: `x * sigmoid(1.702 x)`."""

    def forward(self, x: Tensor) -> Tensor:
        scaled = 1.702 * x
        if torch.is_grad_enabled():
            return F.silu(scaled) / 1.702  # keeps one tensor for the backward pass
        return F.silu(scaled, inplace=True).div_(1.702)
