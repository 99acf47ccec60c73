"""A convolution over time and one over frequency, of a spectrogram.

Source: Audiovisual SlowFast, Xiao et al. 2020, arXiv:2001.08740, section 3.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.models.layers.conv_module import ConvModule
from kinema.registry import MODELS


@MODELS.register_module()
class ConvAudio(BaseModule):
    """(B, in_channels, T, F) -> (B, 2 out_channels, T', F'), or (B, out_channels, T', F') with `op="sum"`.

    Both convolutions have a norm and a ReLU; the size stays with `stride=1`, for they are padded by
    half their kernels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of each convolution.
        kernel_size: taps over time and over frequency.
        op: `"concat"`: the channels of both, one after the other; `"sum"`.
        stride: step.
        padding: must be 0: it follows from the kernels.
        dilation: distance of neighbouring taps.
        groups: groups of channels.
        bias: of the convolutions.

    Raises:
        ConfigError: there is no such `op`, or `padding` is given.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        op: Literal["concat", "sum"] = "concat",
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if op not in ("concat", "sum"):
            raise ConfigError(f"ConvAudio: op must be 'concat' or 'sum', got {op!r}")
        if padding:
            raise ConfigError(f"ConvAudio: padding={padding!r} is not supported: it follows from kernel_size")
        over_time, over_frequency = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.op = op
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = (over_time, over_frequency)
        self.stride, self.dilation, self.groups = stride, dilation, groups
        kernels = ((over_time, 1), (1, over_frequency))
        self.conv_1, self.conv_2 = (
            ConvModule(
                in_channels,
                out_channels,
                kernel,
                stride=stride,
                padding=(kernel[0] // 2, kernel[1] // 2),
                dilation=dilation,
                groups=groups,
                bias=bias,
                conv_cfg={"type": "Conv"},
                norm_cfg={"type": "BN"},
                act_cfg={"type": "ReLU"},
            )
            for kernel in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        over_time, over_frequency = self.conv_1(x), self.conv_2(x)
        return torch.cat([over_time, over_frequency], 1) if self.op == "concat" else over_time + over_frequency
