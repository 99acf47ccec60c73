"""ResNet, the 2D network under TSN, TSM, TANet, TIN and TRN.

Source: Deep Residual Learning, He et al. 2016, arXiv:1512.03385, table 1.
Departures: `style="pytorch"` strides in the 3 x 3 convolution of a bottleneck; "caffe" in the first one, as the paper does.
What follows the sum of a block is ReLU whatever `act_cfg` says, as in the networks that published weights come from.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kinema.checkpoints.pretrained import load_backbone
from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import ConvModule, LayerCfg, fix_batch_norms, freeze
from kinema.models.layers.cpu_convolution import arrange, best_layout
from kinema.models.layers.inputs import check_frames
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
        style: see `ResNet`, as all that follow.
        conv_cfg: see there.
        norm_cfg: see there.
        act_cfg: see there.
        with_cp: see there.
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
        self.stride = stride
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
            return self.relu(checkpoint(self._sum, x, use_reentrant=False))
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
        self.conv1 = ConvModule(inplanes, planes, 1, stride=first, **layers, act_cfg=act_cfg)
        self.conv2 = ConvModule(planes, planes, 3, **{**spatial, "stride": second}, **layers, act_cfg=act_cfg)
        self.conv3 = ConvModule(planes, planes * self.expansion, 1, **layers, act_cfg=None)

    def residual(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


ARCHITECTURES: Mapping[int, tuple[type[_Block], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


@MODELS.register_module()
class ResNet(BaseModule):
    """(B, in_channels, H, W) float -> (B, out_channels, H / 32, W / 32), sizes rounded up.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads: a file, folder or address.
        torchvision_pretrain: its weights carry torchvision's names; ours are known without being told.
        in_channels: 3 for RGB; 2 L for L frames of optical flow.
        num_stages: 1 to 4.
        out_indices: stages, from 0, whose output is returned: one tensor, or a tuple of several.
        strides: of the stages.
        dilations: of the stages.
        style: `"pytorch"` or `"caffe"`, see above.
        frozen_stages: the stem and so many stages are not trained; -1: all are.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations inside of blocks and behind the stem.
        norm_eval: batch norms use and keep their running statistics in training.
        partial_bn: so do all of the image network but the first one, and their weights are not trained; those of layers that
            learn motion, which no image network has trained, go on learning.
        with_cp: recompute the blocks in the backward pass, for less memory.
        init_cfg: replaces the initialisation: Kaiming normal, norms 1.

    Attributes:
        out_channels: channels of the output; a tuple where `forward` returns one.
        feat_dim: channels of the last output.

    Raises:
        ConfigError: a depth, number of stages, stage or style that does not exist.
    """

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        torchvision_pretrain: bool = True,
        in_channels: int = 3,
        num_stages: int = 4,
        out_indices: Sequence[int] = (3,),
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        style: Style = "pytorch",
        frozen_stages: int = -1,
        conv_cfg: LayerCfg = CONV,
        norm_cfg: LayerCfg = NORM,
        act_cfg: LayerCfg = ACT,
        norm_eval: bool = False,
        partial_bn: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg or INIT)
        name = type(self).__name__
        if depth not in ARCHITECTURES:
            raise ConfigError(f"{name} has no depth {depth!r}: there are {', '.join(map(str, ARCHITECTURES))}")
        _check_stages(name, num_stages, out_indices, strides, dilations)
        check_style(style)
        self.depth = depth
        self.pretrained = pretrained
        self.torchvision_pretrain = torchvision_pretrain
        self.in_channels = in_channels
        self.num_stages = num_stages
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.partial_bn = partial_bn
        block, sizes = ARCHITECTURES[depth]
        self.block, self.stage_blocks = block, sizes[:num_stages]
        layers: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, 64, 7, stride=2, padding=3, bias=False, **layers)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.res_layers = [f"layer{stage + 1}" for stage in range(num_stages)]
        inplanes = 64
        for stage, (layer, count) in enumerate(zip(self.res_layers, self.stage_blocks, strict=True)):
            settings = {"dilation": dilations[stage], "style": style, "with_cp": with_cp, **layers}
            self.add_module(layer, _stage(block, inplanes, 64 << stage, count, strides[stage], settings))
            inplanes = (64 << stage) * block.expansion
        widths = tuple((64 << stage) * block.expansion for stage in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = widths[0] if len(widths) == 1 else widths
        self.feat_dim = widths[-1]
        self._freeze_stages()

    def forward(self, x: Tensor) -> Any:
        check_frames(x, self.in_channels, type(self).__name__)
        x = arrange(x, best_layout(x, self))
        x = self.maxpool(self.conv1(x))  # (B, 64, H/4, W/4)
        outs = []
        for index, layer in enumerate(self.res_layers):
            x = self._modules[layer](x)  # type: ignore[misc]
            if index in self.out_indices:
                outs.append(x)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained:
            load_backbone(self, self.pretrained, is_image_network=True)
            report.credit(self, f"loaded from {self.pretrained}")

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1, *(self.get_submodule(layer) for layer in self.res_layers[: self.frozen_stages])])

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except for what is frozen."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            fix_batch_norms(self)
        if mode and self.partial_bn:
            for layer in self.res_layers:
                fix_batch_norms(self.get_submodule(layer), freeze_parameters=True, kind=nn.BatchNorm2d)
        return self


def check_style(style: str) -> None:
    """Raise `ConfigError` unless it is `"pytorch"` or `"caffe"`."""
    if style not in ("pytorch", "caffe"):
        raise ConfigError(f"style of a ResNet must be 'pytorch' or 'caffe', got {style!r}")


def _check_stages(
    name: str, num_stages: int, out_indices: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> None:
    if not 1 <= num_stages <= 4:
        raise ConfigError(f"num_stages of {name} must be 1 to 4, got {num_stages}")
    if not out_indices or not all(0 <= index < num_stages for index in out_indices):
        raise ConfigError(
            f"out_indices of {name} must name stages from 0 to {num_stages - 1}, got {tuple(out_indices)}"
        )
    for what, values in (("strides", strides), ("dilations", dilations)):
        if len(values) < num_stages:
            raise ConfigError(f"{what} of {name} has {len(values)} values for {num_stages} stages: {tuple(values)}")


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
