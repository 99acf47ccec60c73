"""2D convolutions that normalise their weights, or pad as TensorFlow does."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.bricks.padding import AdaptivePadding, Pair
from kinema.registry import MODELS


def conv_ws_2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    eps: float = 1e-5,
) -> Tensor:
    """`conv2d` with weights of mean 0 and deviation 1 for each output channel.

    Source: Micro-Batch Training with Weight Standardization, Qiao et al. 2019, arXiv:1903.10520.
    """
    return F.conv2d(input, _standardized(weight, eps), bias, stride, padding, dilation, groups)


def _standardized(weight: Tensor, eps: float) -> Tensor:
    flat = weight.flatten(1)
    mean, std = flat.mean(dim=1), flat.std(dim=1)
    return (weight - mean.view(-1, 1, 1, 1)) / (std + eps).view(-1, 1, 1, 1)


@MODELS.register_module(name="ConvWS")
class ConvWS2d(nn.Conv2d):
    """`torch.nn.Conv2d` over `conv_ws_2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, _standardized(self.weight, self.eps), self.bias)


@MODELS.register_module(name="ConvAWS")
class ConvAWS2d(nn.Conv2d):
    """`torch.nn.Conv2d` whose weights have a mean and deviation that a checkpoint sets.

    The standardised weights times `weight_gamma` plus `weight_beta`, buffers of one number an
    output channel. A checkpoint without them sets them to the statistics of its own weights, so
    that the layer starts as the ordinary convolution of that checkpoint.

    Source: DetectoRS, Qiao et al. 2020, arXiv:2006.02334.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.register_buffer("weight_gamma", torch.ones(out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(out_channels, 1, 1, 1))

    def _statistics(self) -> tuple[Tensor, Tensor]:
        flat = self.weight.flatten(1)
        return flat.mean(dim=1).view(-1, 1, 1, 1), torch.sqrt(flat.var(dim=1) + 1e-5).view(-1, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        weight = self.weight_gamma * (self.weight - mean) / deviation + self.weight_beta
        return self._conv_forward(x, weight, self.bias)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = [prefix + name for name in ("weight_gamma", "weight_beta")]
        has_own = all(name in state_dict for name in own)
        missing: list[str] = args[2]
        before = len(missing)
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not has_own and prefix + "weight" in state_dict:
            missing[before:] = [name for name in missing[before:] if name not in own]
            mean, deviation = self._statistics()
            self.weight_gamma.copy_(deviation.detach())
            self.weight_beta.copy_(mean.detach())


@MODELS.register_module()
class Conv2dAdaptivePadding(nn.Conv2d):
    """`torch.nn.Conv2d` with as much padding as gives ceil(H / stride) rows and ceil(W / stride) columns.

    `padding` has no effect; it keeps its place in the order of the arguments.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)

    def forward(self, x: Tensor) -> Tensor:
        padded = AdaptivePadding(self.kernel_size, self.stride, self.dilation, "same")(x)
        return super().forward(padded)
