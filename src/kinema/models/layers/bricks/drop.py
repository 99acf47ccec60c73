"""Dropout of values and of whole samples (stochastic depth)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinema.registry import MODELS


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set whole samples to zero, with probability `drop_prob`, and scale the others up to the same mean.

    Args:
        x: (B, ...).
        drop_prob: share of samples to drop, in [0, 1).
        training: False: return `x` itself.

    Returns:
        (B, ...) like `x`.

    Source: Deep Networks with Stochastic Depth, Huang et al. 2016, arXiv:1603.09382.
    """
    if drop_prob == 0.0 or not training:
        return x
    kept = torch.rand((len(x),) + (1,) * (x.dim() - 1), dtype=x.dtype, device=x.device) >= drop_prob
    return x / (1 - drop_prob) * kept


def rising_rates(highest: float, depth: int) -> list[float]:
    """Rates of drop path of `depth` blocks: from 0 of the first evenly up to `highest` of the last."""
    return torch.linspace(0, highest, depth, device="cpu").tolist()  # also where a network is built without values


@MODELS.register_module()
class DropPath(nn.Module):
    """`drop_path` in training, the identity in evaluation; it belongs at the end of a residual branch."""

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        return drop_path(x, self.drop_prob, self.training)


@MODELS.register_module()
class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, whose probability is called `drop_prob`."""

    def __init__(self, drop_prob: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p=drop_prob, inplace=inplace)


def build_dropout(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> nn.Module:
    """Build `Dropout`, `DropPath` or a module of your own from a config with `type`."""
    module: nn.Module = MODELS.build(cfg, default_args=default_args)
    return module
