"""X3D: a small 3D network of channel-separated convolutions, grown from an image network.

Source: X3D, Feichtenhofer 2020, arXiv:2004.04730, table 1 and section 3.
As in the networks that published weights come from, Swish follows the middle convolutions whatever
`use_swish` of OpenMMLab's configs says.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.clips.blocks3d import BATCH_NORM, CONV3D, RELU
from kinema.models.backbones.clips.resnet3d import INIT_CFG
from kinema.models.base import Sequential
from kinema.models.init import InitCfg, constant_init
from kinema.models.layers import ConvModule, LayerCfg, build_activation_layer
from kinema.models.layers.cpu_convolution import Conv3d
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.recomputation import recomputed
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

SeStyle = Literal["half", "all"]


def round_width(width: int, factor: float, *, divisor: int = 8) -> int:
    """`width` * `factor` as a multiple of `divisor`: not below 90 % of it, nor `divisor`."""
    if not factor:
        return width
    scaled = width * factor
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * scaled else rounded


class SqueezeExcite(nn.Module):
    """(B, C, T, H, W) -> the same: scale channels by factors in (0, 1) from the means of all.

    Args:
        channels: C.
        ratio: channels between its two layers, as a share of C.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        middle = round_width(channels, ratio)
        self.fc1 = Conv3d(channels, middle, 1)
        self.fc2 = Conv3d(middle, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3, 4), keepdim=True)
        return x * self.fc2(F.relu(self.fc1(means))).sigmoid()


class X3DBlock(nn.Module):
    """Widen, convolve each channel by itself and narrow, beside a shortcut.

    (B, inplanes, T, H, W) -> (B, outplanes, T, H', W')

    Args:
        inplanes: channels of the input.
        planes: channels inside.
        outplanes: channels of the output.
        spatial_stride: step over height and width.
        downsample: the shortcut; None: the input itself.
        se_ratio: see `SqueezeExcite`; None: none.
        conv_cfg: see `ConvModule`, as the next two.
        norm_cfg: norm.
        act_cfg: activation.
        with_cp: forget activations in training, and compute them again in the backward pass.
        zero_init_residual: `init_weights` makes the block start as its shortcut.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        outplanes: int,
        spatial_stride: int = 1,
        downsample: nn.Module | None = None,
        se_ratio: float | None = None,
        conv_cfg: LayerCfg = CONV3D,
        norm_cfg: LayerCfg = BATCH_NORM,
        act_cfg: LayerCfg = RELU,
        with_cp: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.planes = planes
        self.outplanes = outplanes
        self.spatial_stride = spatial_stride
        self.se_ratio = se_ratio
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual
        self.downsample = downsample
        self.conv1 = ConvModule(inplanes, planes, 1, bias=False, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = ConvModule(
            planes,
            planes,
            3,
            stride=(1, spatial_stride, spatial_stride),
            padding=1,
            groups=planes,
            bias=False,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=None,
        )
        self.conv3 = ConvModule(planes, outplanes, 1, bias=False, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)
        self.se_module = None if se_ratio is None else SqueezeExcite(planes, se_ratio)
        self.swish = nn.SiLU(inplace=True)
        self.relu = build_activation_layer(act_cfg)

    def init_weights(self) -> None:
        """Make the residual zero, if asked for."""
        if self.zero_init_residual and self.conv3.norm is not None:
            constant_init(self.conv3.norm, 0)

    def _sum(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        if self.se_module is not None:
            out = self.se_module(out)
        out = self.conv3(self.swish(out))
        return out.add_(x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        out = recomputed(self, self._sum, x) if self.with_cp and x.requires_grad else self._sum(x)
        return self.relu(out)


@MODELS.register_module()
@accepts_openmmlab_keywords
class X3D(Backbone):
    """(B, C, T, H, W) float -> (B, out_channels, T, H/32, W/32).

    Args:
        gamma_w: factor of the channels of the stem and stages, 24 to 192.
        gamma_b: factor of the channels inside a block, over those outside.
        gamma_d: factor of the blocks of the stages, 1, 2, 5 and 3.
        pretrained: checkpoint that `init_weights` loads.
        in_channels: C.
        num_stages: number of stages, from the first.
        spatial_strides: step over height and width of each stage.
        frozen_stages: the stem (0) and this many stages are not trained; -1: everything is.
        se_style: blocks with squeeze-and-excitation: `"half"`, every second from the first, or
            `"all"`.
        se_ratio: its width, as a share of the block's; None: none has it.
        conv_cfg: see `ConvModule`, as the next two.
        norm_cfg: norm.
        act_cfg: activation.
        norm_eval: batch norms use their running statistics also in training.
        with_cp: forget activations in training, and compute them again in the backward pass.
        zero_init_residual: each block starts as its shortcut.
        init_cfg: replaces the initialisation: Kaiming normal for convolutions, 1 for norms.

    Attributes:
        out_channels: channels of the features: 432 with the published factors.

    Raises:
        ConfigError: there is no such stage or style.
    """

    def __init__(
        self,
        gamma_w: float = 1.0,
        gamma_b: float = 1.0,
        gamma_d: float = 1.0,
        pretrained: str | None = None,
        in_channels: int = 3,
        num_stages: int = 4,
        spatial_strides: Sequence[int] = (2, 2, 2, 2),
        frozen_stages: int = -1,
        se_style: SeStyle = "half",
        se_ratio: float | None = 1 / 16,
        *,
        conv_cfg: LayerCfg = CONV3D,
        norm_cfg: LayerCfg = BATCH_NORM,
        act_cfg: LayerCfg = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: InitCfg | None = None,
    ) -> None:
        _check_arguments(num_stages, spatial_strides, se_style, se_ratio)
        _check_factors(gamma_w=gamma_w, gamma_b=gamma_b, gamma_d=gamma_d)
        super().__init__(init_cfg or INIT_CFG, pretrained=pretrained, frozen_stages=frozen_stages, norm_eval=norm_eval)
        self.gamma_w, self.gamma_b, self.gamma_d = gamma_w, gamma_b, gamma_d
        self.in_channels = in_channels
        self.spatial_strides = tuple(spatial_strides)
        self.se_style = se_style
        self.se_ratio = se_ratio
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual
        self.base_channels = round_width(24, gamma_w)
        self.stage_blocks = [math.ceil(blocks * gamma_d) if gamma_d else blocks for blocks in (1, 2, 5, 3)][:num_stages]
        self.num_stages = num_stages
        layers: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        width = self.base_channels
        self.conv1_s = ConvModule(
            in_channels,
            width,
            (1, 3, 3),
            stride=(1, 2, 2),
            padding=(0, 1, 1),
            bias=False,
            conv_cfg=conv_cfg,
            norm_cfg=None,
            act_cfg=None,
        )
        self.conv1_t = ConvModule(width, width, (5, 1, 1), padding=(2, 0, 0), groups=width, bias=False, **layers)
        self.res_layers: list[str] = []
        inplanes = width
        for stage, num_blocks in enumerate(self.stage_blocks):
            planes = self.base_channels * 2**stage
            layer = _stage(
                inplanes,
                planes,
                num_blocks,
                width=int(planes * gamma_b),
                stride=spatial_strides[stage],
                se_style=se_style,
                se_ratio=se_ratio,
                layers=layers,
                with_cp=with_cp,
                zero_init_residual=zero_init_residual,
            )
            inplanes = planes
            self.res_layers.append(f"layer{stage + 1}")
            self.add_module(self.res_layers[-1], layer)
        self.feat_dim = self.out_channels = int(inplanes * gamma_b)
        self.conv5 = ConvModule(inplanes, self.out_channels, 1, bias=False, **layers)
        self.hold()

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The stem, then each stage."""
        return [[self.conv1_s, self.conv1_t], *([self.get_submodule(name)] for name in self.res_layers)]

    def forward(self, x: Tensor) -> Tensor:
        check_clips(x, self.in_channels, "X3D")
        x = self.conv1_t(self.conv1_s(x))  # (B, base_channels, T, H/2, W/2)
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return self.conv5(x)


def _stage(
    inplanes: int,
    planes: int,
    num_blocks: int,
    *,
    width: int,
    stride: int,
    se_style: SeStyle,
    se_ratio: float | None,
    layers: dict[str, Any],
    **settings: Any,
) -> Sequential:
    """(B, inplanes, T, H, W) -> (B, planes, T, H/stride, W/stride); `width` channels in blocks."""
    downsample = None
    if stride != 1 or inplanes != planes:
        projection = {"stride": (1, stride, stride), "bias": False, **layers, "act_cfg": None}
        downsample = ConvModule(inplanes, planes, 1, **projection)
    blocks = []
    for index in range(num_blocks):
        is_first = index == 0
        blocks.append(
            X3DBlock(
                inplanes if is_first else planes,
                width,
                planes,
                spatial_stride=stride if is_first else 1,
                downsample=downsample if is_first else None,
                se_ratio=se_ratio if se_style == "all" or index % 2 == 0 else None,
                **layers,
                **settings,
            )
        )
    return Sequential(*blocks)


def _check_factors(**factors: float) -> None:
    for name, factor in factors.items():
        if factor < 0:
            raise ConfigError(f"{name} of X3D must not be negative, got {factor}: 0 is 1, unscaled")


def _check_arguments(num_stages: int, spatial_strides: Sequence[int], se_style: str, se_ratio: float | None) -> None:
    if not 1 <= num_stages <= 4:
        raise ConfigError(f"num_stages of X3D must be from 1 to 4, got {num_stages}")
    if len(spatial_strides) < num_stages:
        raise ConfigError(
            f"spatial_strides={tuple(spatial_strides)} of X3D has {len(spatial_strides)} entries for {num_stages}"
            " stages"
        )
    if se_style not in ("half", "all"):
        raise ConfigError(f"se_style of X3D must be 'half' or 'all', got {se_style!r}")
    if se_ratio is not None and se_ratio <= 0:
        raise ConfigError(f"se_ratio of X3D must be above 0, got {se_ratio}: None leaves the modules out")
