"""CompactNet3D: a small 3D network that learns motion from hundreds of clips on a CPU.

Our own. What makes it fit for that: a stem that reduces height and width by four at once, as most arithmetic of a 3D network
is in its first layers; every kernel spans three frames, so that a direction of motion shows from the first layer on; time
is halved only at the end.
"""

import torch
from torch import Tensor, nn

from kinema.models.base import BaseModule, Sequential
from kinema.models.init import InitCfg
from kinema.registry import MODELS


@MODELS.register_module()
class CompactNet3D(BaseModule):
    """(B, C, T, H, W) float -> (B, out_channels, T/2, H/16, W/16), sizes rounded up.

    Args:
        in_channels: C.
        width: channels of the stem; the stages have two and four times as many.
        init_cfg: replaces the initialisation: Kaiming normal for convolutions.

    Attributes:
        out_channels: channels of the features, 4 * `width`.
    """

    def __init__(self, in_channels: int = 3, width: int = 24, *, init_cfg: InitCfg | None = None) -> None:
        super().__init__(init_cfg or {"type": "Kaiming", "layer": "Conv3d", "mode": "fan_out"})
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.out_channels = 4 * width
        self.stem = _conv_bn_relu(in_channels, width, kernel=(3, 5, 5), stride=(1, 4, 4))
        self.stage1 = _conv_bn_relu(width, 2 * width, kernel=(3, 3, 3), stride=(1, 2, 2))
        self.stage2 = _conv_bn_relu(2 * width, 4 * width, kernel=(3, 3, 3), stride=(2, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last_3d)  # measured faster on CPUs
        x = self.stem(x)  # (B, width, T, H/4, W/4)
        x = self.stage1(x)  # (B, 2 * width, T, H/8, W/8)
        return self.stage2(x)


def _conv_bn_relu(
    channels: int, out_channels: int, *, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> Sequential:
    padding = tuple(size // 2 for size in kernel)
    return Sequential(
        nn.Conv3d(channels, out_channels, kernel, stride, padding, bias=False),  # type: ignore[arg-type]
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )
