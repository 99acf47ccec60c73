"""CompactNet3D: a small 3D network that learns motion from hundreds of clips on a CPU.

Our own. What makes it fit for that: a stem with two paths, one for the look of single frames and
one that sees only differences of neighbouring frames, so that a bright background does not hide
motion (the idea of TEA, Li et al. 2020, arXiv:2004.01398, section 3.1, applied to the input);
kernels that span three frames from the first layer on; and a stem that reduces height and width by
four at once, as most arithmetic of a 3D network is in its first layers.
"""

import torch
from torch import Tensor, nn

from kinema.models.backbones.base import Backbone
from kinema.models.base import Sequential
from kinema.models.init import InitCfg
from kinema.models.layers import Conv3d
from kinema.registry import MODELS

Triple = tuple[int, int, int]


@MODELS.register_module()
class CompactNet3D(Backbone):
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
        if width < 3:
            raise ValueError(f"width must be at least 3, got {width}")
        self.out_channels = 4 * width
        look = width // 3
        self.look = _conv_bn_relu(in_channels, look, kernel=(1, 5, 5), stride=(1, 4, 4))
        self.motion = _conv_bn_relu(in_channels, width - look, kernel=(3, 5, 5), stride=(1, 4, 4))
        self.stage1 = _conv_bn_relu(width, 2 * width, kernel=(3, 3, 3), stride=(1, 2, 2))
        self.refine = _Residual(2 * width)
        self.stage2 = _conv_bn_relu(2 * width, 4 * width, kernel=(3, 3, 3), stride=(2, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        change = torch.diff(x, dim=2, append=x[:, :, -1:])  # (B, C, T, H, W)
        x = torch.cat([self.look(x), self.motion(change)], dim=1)  # (B, width, T, H/4, W/4)
        x = self.refine(self.stage1(x))  # (B, 2 * width, T, H/8, W/8)
        return self.stage2(x)


class _Residual(nn.Module):
    """Two spatial convolutions beside a shortcut, which see enough to follow a whole shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(channels, channels, kernel=(1, 3, 3), stride=(1, 1, 1))
        self.conv2 = _conv_bn_relu(channels, channels, kernel=(1, 3, 3), stride=(1, 1, 1))[:2]
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + self.conv2(self.conv1(x)))


def _conv_bn_relu(channels: int, out_channels: int, *, kernel: Triple, stride: Triple) -> Sequential:
    time, height, width = kernel
    return Sequential(
        Conv3d(channels, out_channels, kernel, stride, padding=(time // 2, height // 2, width // 2), bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )
