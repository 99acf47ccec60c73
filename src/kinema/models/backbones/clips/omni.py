"""A ResNet for images and clips: its first stages see frames, its last ones three frames at a time.

Source: OmniSource, Duan et al. 2020, arXiv:2003.13042; the network is SlowOnly, Feichtenhofer et al.
2019, arXiv:1812.03982, table 1. An image is a clip that stands still.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.init import InitCfg
from kinema.models.layers import Conv3d
from kinema.registry import MODELS

_MOMENTUM = 0.01  # of the norms


class OmniBlock(nn.Module):
    """Narrow, convolve, widen: (B, inplanes, T, H, W) -> (B, 4 * planes, T, H / stride, W / stride).

    Args:
        inplanes: channels of the input.
        planes: channels inside.
        stride: step over height and width.
        frames: that the first convolution spans.
        downsample: a convolution and a norm as the shortcut; None: the input itself.
    """

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, frames: int = 1, downsample: nn.Sequential | None = None
    ) -> None:
        super().__init__()
        width = planes * self.expansion
        self.conv1 = Conv3d(inplanes, planes, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False)
        self.conv2 = Conv3d(planes, planes, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)
        self.conv3 = Conv3d(planes, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes, momentum=_MOMENTUM)
        self.bn2 = nn.BatchNorm3d(planes, momentum=_MOMENTUM)
        self.bn3 = nn.BatchNorm3d(width, momentum=_MOMENTUM)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor, is_image: bool = False) -> Tensor:
        """Compute on clips, or (T = 1) on images, as if the frames around were the same."""
        conv = F.conv3d(x, self.conv1.weight.sum(2, keepdim=True)) if is_image else self.conv1(x)
        out = self.relu(_norm(self.bn1, conv, is_image))
        out = self.relu(_norm(self.bn2, self.conv2(out), is_image))
        out = _norm(self.bn3, self.conv3(out), is_image)
        out += x if self.downsample is None else _norm(self.downsample[1], self.downsample[0](x), is_image)
        return self.relu(out)


@MODELS.register_module()
class OmniResNet(Backbone):
    """(B, 3, H, W) images -> (B, 2048, H / 32, W / 32); (B, 3, T, H, W) clips -> (B, 2048, T, H / 32, W / 32).

    Args:
        layers: blocks of the four stages.
        pretrain_2d: checkpoint of an image network that `init_weights` loads.
        init_cfg: see `BaseModule`.

    Raises:
        ConfigError: there are not four stages; (when called) the input is neither.
    """

    def __init__(
        self, layers: Sequence[int] = (3, 4, 6, 3), pretrain_2d: str | None = None, init_cfg: InitCfg | None = None
    ) -> None:
        if len(layers) != 4 or min(layers) < 1:
            raise ConfigError(f"layers of OmniResNet must be the blocks of four stages, got {tuple(layers)}")
        super().__init__(init_cfg, pretrained=pretrain_2d, from_images=True)
        self.in_channels = 3
        self.conv1 = Conv3d(3, 64, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64, momentum=_MOMENTUM)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        inplanes = 64
        for stage, count in enumerate(layers):
            planes = 64 << stage
            self.add_module(
                f"layer{stage + 1}", _stage(inplanes, planes, count, 2 if stage else 1, frames=3 if stage > 1 else 1)
            )
            inplanes = planes * OmniBlock.expansion
        self.out_channels = inplanes

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() not in (4, 5) or x.shape[1] != self.in_channels:
            raise ConfigError(
                "OmniResNet takes images (batch, 3, height, width) or clips (batch, 3, frames, height, width), got"
                f" {tuple(x.shape)}"
            )
        is_image = x.dim() == 4
        x = x[:, :, None] if is_image else x
        x = self.maxpool(self.relu(_norm(self.bn1, self.conv1(x), is_image)))
        for number in range(1, 5):
            for block in self.get_submodule(f"layer{number}").children():
                x = block(x, is_image)
        return x[:, :, 0] if is_image else x


def _norm(norm: Any, x: Tensor, is_image: bool) -> Tensor:
    """Normalise a batch; the running statistics, which evaluation uses, are of clips alone."""
    if is_image and norm.training:
        return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
    normalised: Tensor = norm(x)
    return normalised


def _stage(inplanes: int, planes: int, count: int, stride: int, frames: int) -> nn.Sequential:
    width = planes * OmniBlock.expansion
    shortcut = nn.Sequential(
        Conv3d(inplanes, width, 1, stride=(1, stride, stride), bias=False), nn.BatchNorm3d(width, momentum=_MOMENTUM)
    )
    first = OmniBlock(inplanes, planes, stride, frames, shortcut)
    return nn.Sequential(first, *(OmniBlock(width, planes, frames=frames) for _ in range(count - 1)))
