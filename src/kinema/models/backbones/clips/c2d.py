"""C2D: an image network over the frames of a clip, which halves the frames once.

Source: Non-local Neural Networks, Wang et al. 2018, arXiv:1711.07971, table 1.
Departure, which published weights need: the pooling after the stem pads nothing, unlike that of
`ResNet`.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import FrameResNet, ResNetArguments
from kinema.models.layers.inputs import check_clips
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


@MODELS.register_module()
@accepts_openmmlab_keywords
class C2D(FrameResNet):
    """(B, C, T, H, W) float -> (B, out_channels, T/2, H/32, W/32), sizes rounded down or up.

    Args:
        *args: see `ResNetArguments`, as the settings.
        **settings: the same by name.

    Raises:
        ConfigError: as `ResNet`.
    """

    @takes_arguments_of(ResNetArguments)
    def __init__(self, *args: Any, **settings: Any) -> None:
        arguments = ResNetArguments(*args, **settings)
        super().__init__(arguments, arguments.parts(type(self).__name__, self.arch_settings))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_clips(x, self.in_channels, "C2D")
        batch, frames = x.shape[0], x.shape[2]
        if frames < 2:
            raise ConfigError(
                "C2D halves the frames of a clip, so it needs at least 2, got 1: set clip_len to 2 or more"
            )
        x = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
        x = F.max_pool2d(self.conv1(x), 3, stride=2)  # (B * T, 64, H/4, W/4)
        outs = self.run_stages(x, partial(_halve_frames, batch=batch))  # (B * T/2, C, H/32, W/32) each
        if isinstance(outs, Tensor):
            return _to_clips(outs, batch)
        return tuple(_to_clips(out, batch) for out in outs)


def _halve_frames(x: Tensor, batch: int) -> Tensor:
    """(B * T, C, H, W) -> (B * T/2, C, H, W): maxima of pairs; a last odd frame is dropped."""
    clips = x.unflatten(0, (batch, -1))
    pairs = clips[:, : clips.shape[1] // 2 * 2].unflatten(1, (-1, 2))
    return torch.maximum(pairs[:, :, 0], pairs[:, :, 1]).flatten(0, 1)


def _to_clips(x: Tensor, batch: int) -> Tensor:
    """(B * T, C, H, W) -> (B, C, T, H, W)."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)
