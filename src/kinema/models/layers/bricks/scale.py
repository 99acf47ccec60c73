"""Learnable factors."""

from typing import Literal

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """The input times one learnable number, `scale` at first."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class LayerScale(nn.Module):
    """The input times a learnable number a channel.

    Args:
        dim: channels.
        inplace: overwrite the input.
        data_format: `"channels_last"`, (B, ..., C), or `"channels_first"`, (B, C, ...).
        scale: of every channel at first.

    Source: Going deeper with Image Transformers, Touvron et al. 2021, arXiv:2103.17239.
    """

    def __init__(
        self,
        dim: int,
        inplace: bool = False,
        data_format: Literal["channels_last", "channels_first"] = "channels_last",
        scale: float = 1e-5,
    ) -> None:
        super().__init__()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"data_format is 'channels_last' or 'channels_first', not {data_format!r}")
        self.inplace = inplace
        self.data_format = data_format
        self.weight = nn.Parameter(torch.full((dim,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        if self.data_format == "channels_first":
            weight = weight.view(-1, *(1,) * (x.dim() - 2))
        return x.mul_(weight) if self.inplace else x * weight
