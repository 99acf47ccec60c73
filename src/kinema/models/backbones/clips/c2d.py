"""C2D: an image network over the frames of a clip, which halves the frames once.

Source: Non-local Neural Networks, Wang et al. 2018, arXiv:1711.07971, table 1.
Departure, which published weights need: the pooling after the stem pads nothing, unlike that of `ResNet`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import ResNet
from kinema.models.layers.cpu_convolution import arrange, best_layout
from kinema.models.layers.inputs import check_clips
from kinema.registry import MODELS


@MODELS.register_module()
class C2D(ResNet):
    """(B, C, T, H, W) float -> (B, out_channels, T/2, H/32, W/32), sizes rounded down or up. Arguments as in `ResNet`."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_clips(x, self.in_channels, "C2D")
        batch, frames = x.shape[0], x.shape[2]
        if frames < 2:
            raise ConfigError(
                "C2D halves the frames of a clip, so it needs at least 2, got 1: set clip_len to 2 or more"
            )
        x = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        x = arrange(x, best_layout(x, self))
        x = F.max_pool2d(self.conv1(x), 3, stride=2)  # (B * T, 64, H/4, W/4)
        outs = []
        for stage, name in enumerate(self.res_layers):
            x = self._modules[name](x)  # type: ignore[misc]
            if stage == 0:
                pairs = x.unflatten(0, (batch, frames))[:, : frames // 2 * 2].unflatten(1, (-1, 2))
                x = torch.maximum(pairs[:, :, 0], pairs[:, :, 1]).flatten(0, 1)  # (B * T/2, C, H/4, W/4)
            if stage in self.out_indices:
                outs.append(x.unflatten(0, (batch, -1)).transpose(1, 2))
        return outs[0] if len(outs) == 1 else tuple(outs)
