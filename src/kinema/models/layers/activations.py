"""Activations that torch has no module for."""

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """CLIP's activation: `x * sigmoid(1.702 x)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)
