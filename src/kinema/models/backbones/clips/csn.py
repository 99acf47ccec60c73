"""CSN: a residual network whose 3D kernels see one channel each; 1 x 1 x 1 kernels mix channels.

Source: Video Classification with Channel-Separated Convolutional Networks, Tran et al. 2019,
arXiv:1904.02811, figure 2.
"""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.clips.blocks3d import Block3d, Bottleneck3d, InflateStyle, Triple
from kinema.models.backbones.clips.resnet3d import ClipResNet, ResNet3dArguments
from kinema.models.base import Sequential
from kinema.models.layers import ConvModule, LayerCfg
from kinema.registry import MODELS

NORM: LayerCfg = {"type": "BN3d", "requires_grad": True, "eps": 1e-3}


class ReducedBlock(Bottleneck3d):
    """Interaction-reduced: the middle convolution is depthwise."""

    bottleneck_mode = "ir"

    def _middle(self, planes: int, kernel: Triple, stride: Triple, dilation: int) -> nn.Module:
        return Sequential(self._depthwise(planes, kernel, stride, dilation))

    def _depthwise(self, planes: int, kernel: Triple, stride: Triple, dilation: int) -> ConvModule:
        return self._conv(planes, planes, kernel, stride=stride, dilation=dilation, groups=planes)


class PreservedBlock(ReducedBlock):
    """Interaction-preserved: 1 x 1 x 1 kernels in front of the depthwise ones mix the channels."""

    bottleneck_mode = "ip"

    def _middle(self, planes: int, kernel: Triple, stride: Triple, dilation: int) -> nn.Module:
        mix = self._conv(planes, planes, (1, 1, 1), act_cfg=None)
        return Sequential(mix, self._depthwise(planes, kernel, stride, dilation))


BLOCKS: dict[str, type[Block3d]] = {"ir": ReducedBlock, "ip": PreservedBlock}
STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@MODELS.register_module()
class ResNet3dCSN(ClipResNet):
    """(B, C, T, H, W) -> (B, out_channels, T/8, H/32, W/32), or T/16 with `with_pool2`.

    Args:
        depth: 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads.
        temporal_strides: step over frames of each stage.
        conv1_kernel: kernel of the stem.
        conv1_stride_t: its step over frames.
        pool1_stride_t: step of its pooling over frames.
        norm_cfg: norm.
        inflate_style: see `Block3d`.
        bottleneck_mode: `"ir"` interaction-reduced, `"ip"` interaction-preserved.
        bn_frozen: under `norm_eval`, weights and biases of the norms are not trained either.
        **settings: further arguments of `ResNet3dArguments`.

    Raises:
        ConfigError: there is no such depth or mode.
    """

    @takes_arguments_of(ResNet3dArguments)
    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_t: int = 1,
        pool1_stride_t: int = 1,
        norm_cfg: LayerCfg = NORM,
        inflate_style: InflateStyle = "3x3x3",
        bottleneck_mode: Literal["ir", "ip"] = "ir",
        bn_frozen: bool = False,
        **settings: Any,
    ) -> None:
        if bottleneck_mode not in BLOCKS:
            raise ConfigError(f"bottleneck_mode of ResNet3dCSN must be 'ir' or 'ip', got {bottleneck_mode!r}")
        arguments = ResNet3dArguments(
            depth,
            pretrained,
            temporal_strides=temporal_strides,
            conv1_kernel=conv1_kernel,
            conv1_stride_t=conv1_stride_t,
            pool1_stride_t=pool1_stride_t,
            norm_cfg=norm_cfg,
            inflate_style=inflate_style,
            **settings,
        )
        architectures = {depth: (BLOCKS[bottleneck_mode], blocks) for depth, blocks in STAGES.items()}
        super().__init__(arguments, arguments.parts(type(self).__name__, architectures, bn_frozen=bn_frozen))
        self.arch_settings = architectures
        self.bottleneck_mode = bottleneck_mode
