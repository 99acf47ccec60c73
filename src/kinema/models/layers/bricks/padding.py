"""Layers that pad images, upsample them, or pad as much as a convolution needs."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.init import xavier_init
from kinema.models.layers.by_name import LayerCfg, layer_of
from kinema.registry import MODELS

Pair = int | tuple[int, int]
Sides = int | Sequence[int]

PADDINGS: dict[str, type[nn.Module]] = {
    "zero": nn.ZeroPad2d,
    "reflect": nn.ReflectionPad2d,
    "replicate": nn.ReplicationPad2d,
}
for _name, _class in PADDINGS.items():
    MODELS.register_module(name=_name, module=_class)
MODELS.register_module(name=["nearest", "bilinear"], module=nn.Upsample)


def build_padding_layer(cfg: LayerCfg, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a layer that pads (B, C, H, W).

    Args:
        cfg: `type`, `"zero"`, `"reflect"` or `"replicate"`, and arguments of the layer.
        *args: arguments of the layer.
        **kwargs: arguments of the layer.

    Raises:
        ConfigError: `type` is missing or names no layer.
    """
    layer, settings = layer_of("padding", cfg, PADDINGS)
    return layer(*args, **kwargs, **settings)


@MODELS.register_module(name="pixel_shuffle")
class PixelShufflePack(nn.Module):
    """Upsampling by a convolution whose channels become pixels; (B, C, H, W) -> (B, out_channels, s H, s W).

    Args:
        in_channels: C.
        out_channels: channels of the output.
        scale_factor: s.
        upsample_kernel: size of the convolution's kernel, odd.

    Source: Shi et al. 2016, arXiv:1609.05158.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.scale_factor = scale_factor
        self.upsample_kernel = upsample_kernel
        self.upsample_conv = nn.Conv2d(
            in_channels, out_channels * scale_factor**2, upsample_kernel, padding=(upsample_kernel - 1) // 2
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the convolution's weights by Xavier's rule."""
        xavier_init(self.upsample_conv, distribution="uniform")

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), self.scale_factor)


UPSAMPLINGS: dict[str, type[nn.Module]] = {
    "nearest": nn.Upsample,
    "bilinear": nn.Upsample,
    "deconv": nn.ConvTranspose2d,
    "pixel_shuffle": PixelShufflePack,
}


def build_upsample_layer(cfg: LayerCfg, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a layer that enlarges (B, C, H, W).

    Args:
        cfg: `type`, `"nearest"`, `"bilinear"`, `"deconv"` or `"pixel_shuffle"`, and arguments of
            the layer.
        *args: arguments of the layer.
        **kwargs: arguments of the layer.

    Raises:
        ConfigError: `type` is missing or names no layer.
        TypeError: the layer needs arguments that are not given.
    """
    layer, settings = layer_of("upsampling", cfg, UPSAMPLINGS)
    if layer is nn.Upsample:
        settings["mode"] = cfg["type"]
    return layer(*args, **kwargs, **settings)


class AdaptivePadding(nn.Module):
    """Pads (B, C, H, W) with zeros until a window that moves in steps covers all of it.

    Args:
        kernel_size: of the window.
        stride: its steps.
        dilation: distance of neighbouring taps of the window.
        padding: `"corner"`: below and to the right; `"same"`: on all sides alike.
    """

    num_axes: ClassVar[int] = 2  # of an image or clip, without samples and channels

    def __init__(
        self,
        kernel_size: Sides = 1,
        stride: Sides = 1,
        dilation: Sides = 1,
        padding: Literal["same", "corner"] = "corner",
    ) -> None:
        super().__init__()
        if padding not in ("same", "corner"):
            raise ValueError(f"padding is 'same' or 'corner', not {padding!r}")
        self.padding = padding
        self.kernel_size = sides(kernel_size, self.num_axes)
        self.stride = sides(stride, self.num_axes)
        self.dilation = sides(dilation, self.num_axes)

    def get_pad_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """(H, W) -> rows and columns to add."""
        settings = zip(input_shape, self.kernel_size, self.stride, self.dilation, strict=True)
        return tuple(
            max((math.ceil(size / step) - 1) * step + (kernel - 1) * spacing + 1 - size, 0)
            for size, kernel, step, spacing in settings
        )

    def forward(self, x: Tensor) -> Tensor:
        missing = self.get_pad_shape(x.shape[-self.num_axes :])
        if not any(missing):
            return x
        before = [count // 2 if self.padding == "same" else 0 for count in missing]
        ends = [(first, count - first) for first, count in zip(before, missing, strict=True)]
        return F.pad(x, [zeros for pair_of_axis in reversed(ends) for zeros in pair_of_axis])


class AdaptivePadding3D(AdaptivePadding):
    """`AdaptivePadding` of clips (B, C, T, H, W): `"corner"` pads behind the last frame, too."""

    num_axes = 3


def sides(size: Sides, count: int) -> tuple[int, ...]:
    """A number as `count` numbers.

    Raises:
        ValueError: it is another number of them.
    """
    several = (size,) * count if isinstance(size, int) else tuple(size)
    if len(several) != count:
        raise ValueError(f"a size is a number or {count} numbers, got {size!r}")
    return several
