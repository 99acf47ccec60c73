"""MoViNet's blocks: convolutions over a clip, or over a stream whose state they carry on.

Source: MoViNets, Kondratyuk et al. 2021, arXiv:2103.11511; padding, gates and norms as in the
authors' TensorFlow code.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.by_name import LayerCfg, build_activation_layer
from kinema.models.layers.carried_state import CarriedState, mean_so_far, with_past
from kinema.models.layers.cpu_convolution import Conv3d, PlanarConv3d, convolve_and_normalize
from kinema.models.layers.settings import divisible

Kernel = tuple[int, int, int]  # frames, rows, columns

SWISH: LayerCfg = {"type": "SiLU"}
HARD_SWISH: LayerCfg = {"type": "HSwish"}
SIGMOID: LayerCfg = {"type": "Sigmoid"}
HARD_SIGMOID: LayerCfg = {
    "type": "HSigmoid",
    "bias": 2.5,
    "divisor": 5.0,
}  # Keras': clip(0.2 x + 0.5), not relu6(x + 3) / 6


@dataclass(frozen=True)
class Style:
    """What the convolutions of a network have in common.

    Attributes:
        is_causal: they see no frames behind; else as many as before.
        is_planar: a convolution over space and time is two, with the weights of 2D convolutions.
        eps: of batch norms.
        act_cfg: the activation.
        gate_cfg: of squeeze and excitation.
    """

    is_causal: bool
    is_planar: bool
    eps: float
    act_cfg: LayerCfg
    gate_cfg: LayerCfg


def pad_same(x: Tensor, kernel: Sequence[int], stride: int) -> Tensor:
    """Rows and columns of zeros as TensorFlow's SAME adds them: one more behind than before, where they are odd.

    Args:
        x: (..., H, W).
        kernel: rows and columns of the convolution.
        stride: of it.
    """
    added = [
        max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        for side, size in zip(x.shape[-2:], kernel, strict=True)
    ]
    if not any(added):
        return x
    rows, columns = added
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class ConvNormAct(nn.Module):
    """(B, C, T, H, W) -> (B, C', T, H / stride, W / stride): convolution, batch norm, activation.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel: of the convolution.
        style: see there.
        stride: in space.
        groups: of the convolution.
        has_norm: there is a norm, and the convolution has no bias.
        has_act: there is an activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        style: Style,
        *,
        stride: int = 1,
        groups: int = 1,
        has_norm: bool = True,
        has_act: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.past = kernel[0] - 1 if style.is_causal else 0
        padding = (0 if self.past else kernel[0] // 2, *(size // 2 if stride == 1 else 0 for size in kernel[1:]))
        build = PlanarConv3d if style.is_planar else Conv3d
        conv = build(
            in_channels,
            out_channels,
            kernel,
            stride=(1, stride, stride),
            padding=padding,  # type: ignore[arg-type]
            groups=groups,
            bias=not has_norm,
        )
        self.add_module("conv2d" if style.is_planar else "conv3d", conv)
        self.is_planar = style.is_planar
        self.norm = nn.BatchNorm3d(out_channels, eps=style.eps) if has_norm else None
        self.act = build_activation_layer(style.act_cfg) if has_act else None

    @property
    def conv(self) -> Conv3d:
        """The convolution, under either name."""
        return cast(Conv3d, self.conv2d if self.is_planar else self.conv3d)

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        conv = self.conv
        if self.past:
            x = with_past(x, self.past, self, state)
        if self.stride > 1:
            x = pad_same(x, conv.kernel_size[1:], self.stride)
        x = conv(x) if self.norm is None else convolve_and_normalize(conv, self.norm, x)
        return x if self.act is None else self.act(x)


class ConvBlock(nn.Module):
    """One `ConvNormAct`, or two where the style is planar and the kernel is over time too.

    The arguments are those of `ConvNormAct`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, style: Style, *, groups: int = 1, **settings: Any
    ) -> None:
        super().__init__()
        is_split = style.is_planar and kernel[0] > 1
        first: Kernel = (1, *kernel[1:]) if is_split else kernel
        self.conv_1 = ConvNormAct(in_channels, out_channels, first, style, groups=groups, **settings)
        self.conv_2 = (
            ConvNormAct(out_channels, out_channels, (kernel[0], 1, 1), style, groups=groups) if is_split else None
        )

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        x = self.conv_1(x, state)
        return x if self.conv_2 is None else self.conv_2(x, state)


class SqueezeExcitation(nn.Module):
    """(B, C, T, H, W) -> the same: each channel is weighted by what the clip, or the stream so far, shows."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.is_causal = style.is_causal
        seen = channels * (2 if style.is_causal else 1)
        hidden = divisible(0.25 * seen)
        self.fc1 = ConvBlock(seen, hidden, (1, 1, 1), style, has_norm=False)
        self.fc2 = ConvBlock(hidden, channels, (1, 1, 1), style, has_norm=False, has_act=False)
        self.gate = build_activation_layer(style.gate_cfg)

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        if self.is_causal:
            frames = x.mean((3, 4), keepdim=True)
            seen = torch.cat([mean_so_far(frames, self, state), frames], 1)
        else:
            seen = x.mean((2, 3, 4), keepdim=True)
        return x * self.gate(self.fc2(self.fc1(seen)))


class HalfSize(nn.Module):
    """(B, C, T, H, W) -> (B, C, T, H / 2, W / 2), rounded up: means of 3 x 3 places, those of the clip alone."""

    def forward(self, x: Tensor) -> Tensor:
        # Torch's pooling of images keeps their channels last in memory; a single frame must not be flattened for that.
        frames = x.squeeze(2) if x.shape[2] == 1 else x.transpose(1, 2).flatten(0, 1)
        places = x.new_ones(1, 1, *x.shape[3:])
        sums, counts = (F.avg_pool2d(pad_same(part, (3, 3), 2), 3, 2) for part in (frames, places))
        return (sums / counts).unflatten(0, (len(x), -1)).transpose(1, 2)


class Block(nn.Module):
    """(B, C, T, H, W) -> (B, C', T, H / stride, W / stride): widen, convolve each channel, weight, narrow.

    Args:
        in_channels: C.
        out_channels: C'.
        expanded: channels inside.
        kernel: of the depthwise convolution.
        stride: of it in space.
        style: see there.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expanded: int, kernel: Kernel, stride: int, style: Style
    ) -> None:
        super().__init__()
        point: Kernel = (1, 1, 1)
        self.expand = ConvBlock(in_channels, expanded, point, style)
        self.deep = ConvBlock(expanded, expanded, kernel, style, stride=stride, groups=expanded)
        self.se = SqueezeExcitation(expanded, style)
        self.project = ConvBlock(expanded, out_channels, point, style, has_act=False)
        self.res: nn.Module | None = None
        if stride > 1 or in_channels != out_channels:
            halving = [HalfSize()] if stride > 1 else []
            self.res = nn.Sequential(*halving, ConvBlock(in_channels, out_channels, point, style, has_act=False))
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        branch = self.project(self.se(self.deep(self.expand(x), state), state))
        return (x if self.res is None else self.res(x)) + self.alpha * branch
