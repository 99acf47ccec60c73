"""ResNet, the 2D network under TSN, TSM, TANet, TIN and TRN.

Source: Deep Residual Learning, He et al. 2016, arXiv:1512.03385, table 1.
Departures: `style="pytorch"` strides in the 3 x 3 convolution of a bottleneck; "caffe" in the first
one, as the paper does. What follows the sum of a block is ReLU whatever `act_cfg` says, as in the
networks that published weights come from.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.base import StagedNetwork, keep_arguments
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg
from kinema.models.layers.recomputation import recomputed
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

Style = Literal["pytorch", "caffe"]

CONV: LayerCfg = {"type": "Conv"}
NORM: LayerCfg = {"type": "BN2d", "requires_grad": True}
ACT: LayerCfg = {"type": "ReLU", "inplace": True}
INIT: InitCfg = [
    {"type": "Kaiming", "layer": "Conv2d"},
    {"type": "Constant", "layer": ["_BatchNorm", "GroupNorm"], "val": 1},
]


class _Block(nn.Module):
    """Residual block: what the subclass computes, beside a shortcut.

    Args:
        inplanes: channels of the input.
        planes: channels of the block; the output has `expansion` times as many.
        stride: in height and width.
        dilation: of the (first) 3 x 3 convolution.
        downsample: on the shortcut, where shapes differ; None: the input itself.
        style: `"pytorch"` or `"caffe"`, see the head of this file.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations.
        with_cp: recompute the block in the backward pass, for less memory.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        conv_cfg: LayerCfg = CONV,
        norm_cfg: LayerCfg = NORM,
        act_cfg: LayerCfg = ACT,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        check_style(style)
        self.inplanes = inplanes
        self.planes = planes
        self.stride = stride
        self.dilation = dilation
        self.style = style
        self.out_channels = planes * self.expansion
        self.with_cp = with_cp
        self.norm_cfg = norm_cfg
        self._add_convs(
            inplanes,
            planes,
            {"stride": stride, "dilation": dilation, "padding": dilation},
            style,
            {"bias": False, "conv_cfg": conv_cfg, "norm_cfg": norm_cfg},
            act_cfg,
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def _add_convs(
        self,
        inplanes: int,
        planes: int,
        spatial: dict[str, Any],
        style: Style,
        layers: dict[str, Any],
        act_cfg: LayerCfg,
    ) -> None:
        raise NotImplementedError

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        raise NotImplementedError

    def _sum(self, x: Tensor) -> Tensor:
        out = self.residual(x)
        out += x if self.downsample is None else self.downsample(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return self.relu(recomputed(self, self._sum, x))
        return self.relu(self._sum(x))


class BasicBlock(_Block):
    """Two 3 x 3 convolutions: ResNet-18 and -34. Arguments as in `_Block`."""

    expansion = 1

    def _add_convs(
        self,
        inplanes: int,
        planes: int,
        spatial: dict[str, Any],
        style: Style,
        layers: dict[str, Any],
        act_cfg: LayerCfg,
    ) -> None:
        self.conv1 = ConvModule(inplanes, planes, 3, **spatial, **layers, act_cfg=act_cfg)
        self.conv2 = ConvModule(planes, planes, 3, padding=1, **layers, act_cfg=None)

    def residual(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class Bottleneck(_Block):
    """1 x 1, 3 x 3 and 1 x 1 convolution: ResNet-50 and deeper. Arguments as in `_Block`."""

    expansion = 4

    def _add_convs(
        self,
        inplanes: int,
        planes: int,
        spatial: dict[str, Any],
        style: Style,
        layers: dict[str, Any],
        act_cfg: LayerCfg,
    ) -> None:
        first, second = (1, spatial["stride"]) if style == "pytorch" else (spatial["stride"], 1)
        self.conv1_stride, self.conv2_stride = first, second
        self.conv1 = ConvModule(inplanes, planes, 1, stride=first, **layers, act_cfg=act_cfg)
        self.conv2 = ConvModule(planes, planes, 3, **{**spatial, "stride": second}, **layers, act_cfg=act_cfg)
        self.conv3 = ConvModule(planes, planes * self.expansion, 1, **layers, act_cfg=None)

    def residual(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


# Depth -> kind of the blocks, and their number in each stage.
Architectures = Mapping[int, tuple[type[_Block], tuple[int, ...]]]

ARCHITECTURES: Architectures = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNetArguments(NamedTuple):
    """OpenMMLab's arguments of a ResNet over frames, in its order.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads: a file, folder or address.
        in_channels: 3 for RGB; 2 L for L frames of optical flow.
        num_stages: 1 to 4.
        out_indices: stages, from 0, whose output is returned: one tensor, or a tuple of several.
        strides: of the stages.
        dilations: of the stages.
        style: `"pytorch"` or `"caffe"`, see the head of this file.
        frozen_stages: the stem and so many stages are not trained; -1: all are.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations inside of blocks and behind the stem.
        norm_eval: batch norms use and keep their running statistics in training.
        partial_bn: so do all of the image network but the first one, and their weights are not
            trained; those of layers that learn motion, which no image network has trained, are.
        with_cp: recompute the blocks in the backward pass, for less memory.
        init_cfg: replaces the initialisation: Kaiming normal, norms 1.
    """

    depth: int
    pretrained: str | None = None
    in_channels: int = 3
    num_stages: int = 4
    out_indices: Sequence[int] = (3,)
    strides: Sequence[int] = (1, 2, 2, 2)
    dilations: Sequence[int] = (1, 1, 1, 1)
    style: Style = "pytorch"
    frozen_stages: int = -1
    conv_cfg: LayerCfg = CONV
    norm_cfg: LayerCfg = NORM
    act_cfg: LayerCfg = ACT
    norm_eval: bool = False
    partial_bn: bool = False
    with_cp: bool = False
    init_cfg: InitCfg | None = None

    def architecture(self, network: str, architectures: Architectures) -> tuple[type[_Block], tuple[int, ...]]:
        """Kind of the blocks, and their number in each stage.

        Raises:
            ConfigError: there is no such depth, number of stages, stage or style.
        """
        if self.depth not in architectures:
            raise ConfigError(f"{network} has no depth {self.depth!r}: there are {', '.join(map(str, architectures))}")
        block, stage_blocks = architectures[self.depth]
        if not 1 <= self.num_stages <= len(stage_blocks):
            raise ConfigError(f"num_stages of {network} must be 1 to {len(stage_blocks)}, got {self.num_stages}")
        if not self.out_indices or not all(0 <= index < self.num_stages for index in self.out_indices):
            raise ConfigError(
                f"out_indices of {network} must name stages from 0 to {self.num_stages - 1}, got"
                f" {tuple(self.out_indices)}"
            )
        for what, values in (("strides", self.strides), ("dilations", self.dilations)):
            if len(values) < self.num_stages:
                raise ConfigError(
                    f"{what} of {network} has {len(values)} values for {self.num_stages} stages: {tuple(values)}"
                )
        check_style(self.style)
        return block, tuple(stage_blocks[: self.num_stages])

    def parts(self, network: str, architectures: Architectures = ARCHITECTURES) -> dict[str, Any]:
        """Arguments of a `StagedNetwork`, its stem and stages built.

        Args:
            network: name of its class, for messages.
            architectures: kinds and numbers of the blocks of each depth.

        Raises:
            ConfigError: see `architecture`.
        """
        block, stage_blocks = self.architecture(network, architectures)
        layers: dict[str, Any] = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        stem = ConvModule(self.in_channels, 64, 7, stride=2, padding=3, bias=False, **layers)
        widths = [(64 << stage) * block.expansion for stage in range(self.num_stages)]
        stages = {}
        for stage, (inplanes, count) in enumerate(zip([64, *widths], stage_blocks, strict=False)):
            settings = {"dilation": self.dilations[stage], "style": self.style, "with_cp": self.with_cp, **layers}
            stages[f"layer{stage + 1}"] = _stage(block, inplanes, 64 << stage, count, self.strides[stage], settings)
        return {
            "stem": stem,
            "stages": stages,
            "widths": widths,
            "out_indices": self.out_indices,
            "in_channels": self.in_channels,
            "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
            "partial_bn": self.partial_bn,
            "pretrained": self.pretrained,
            "from_images": True,
            "frozen_stages": self.frozen_stages,
            "norm_eval": self.norm_eval,
            "init_cfg": self.init_cfg or INIT,
        }


class FrameResNet(StagedNetwork):
    """A network whose stem and stages come from `ResNetArguments`.

    Args:
        arguments: of the network.
        parts: what `arguments.parts()` gives, its stages perhaps changed.

    Attributes:
        arch_settings: kind of the blocks and their number in each stage, by depth; a subclass may
            have others.
        block: kind of the blocks.
        stage_blocks: their number in each stage.
        inplanes: channels that the last stage gives.
        feat_dim: channels of the last output.
    """

    arch_settings: ClassVar[Architectures] = ARCHITECTURES

    def __init__(self, arguments: ResNetArguments, parts: Mapping[str, Any]) -> None:
        super().__init__(**parts)
        keep_arguments(self, arguments)
        self.block, self.stage_blocks = arguments.architecture(type(self).__name__, self.arch_settings)
        self.inplanes = self.widths[-1]
        self.feat_dim = self.widths[max(self.out_indices)]


@MODELS.register_module()
@accepts_openmmlab_keywords
class ResNet(FrameResNet):
    """(B, in_channels, H, W) float -> (B, out_channels, H / 32, W / 32), sizes rounded up.

    Args:
        *args: see `ResNetArguments`, as the settings.
        **settings: the same by name.

    Raises:
        ConfigError: a depth, number of stages, stage or style that does not exist.
    """

    @takes_arguments_of(ResNetArguments)
    def __init__(self, *args: Any, **settings: Any) -> None:
        arguments = ResNetArguments(*args, **settings)
        super().__init__(arguments, arguments.parts(type(self).__name__, self.arch_settings))


def check_style(style: str) -> None:
    """Raise `ConfigError` unless it is `"pytorch"` or `"caffe"`."""
    if style not in ("pytorch", "caffe"):
        raise ConfigError(f"style of a ResNet must be 'pytorch' or 'caffe', got {style!r}")


def _stage(
    block: type[_Block], inplanes: int, planes: int, count: int, stride: int, settings: dict[str, Any]
) -> nn.Sequential:
    downsample = None
    if stride != 1 or inplanes != planes * block.expansion:
        downsample = ConvModule(
            inplanes,
            planes * block.expansion,
            1,
            stride=stride,
            bias=False,
            conv_cfg=settings["conv_cfg"],
            norm_cfg=settings["norm_cfg"],
            act_cfg=None,
        )
    first = block(inplanes, planes, stride, downsample=downsample, **settings)
    return nn.Sequential(first, *(block(planes * block.expansion, planes, **settings) for _ in range(count - 1)))
