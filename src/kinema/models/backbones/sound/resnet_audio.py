"""A ResNet over spectrograms, whose first stages look along time and along frequency apart.

Source: Audiovisual SlowFast, Xiao et al. 2020, arXiv:2001.08740, section 3.2; the blocks are those of
He et al. 2016, arXiv:1512.03385.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import StagedNetwork
from kinema.models.backbones.frames.resnet import ACT, CONV, INIT, NORM
from kinema.models.init import constant_init
from kinema.models.layers import ConvModule, LayerCfg
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import check_sizes
from kinema.registry import MODELS

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # depth -> blocks of each stage
FACTORIZED: LayerCfg = {"type": "ConvAudio"}


class Bottleneck2dAudio(nn.Module):
    """Narrow, convolve, widen: (B, inplanes, T, F) -> (B, 4 * planes, T / stride, F / stride).

    Args:
        inplanes: channels of the input.
        planes: channels inside.
        stride: step over time and frequency.
        dilation: distance of neighbouring taps; 1 with `factorize`.
        downsample: on the shortcut, where shapes differ; None: the input itself.
        factorize: a convolution over time and one over frequency, both of `planes` channels, in place
            of one over both.
        norm_cfg: type and settings of the norms.
        with_cp: recompute the block in the backward pass, for less memory.
        zero_init_residual: `init_weights` makes the block start as its shortcut.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 2,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        factorize: bool = True,
        norm_cfg: LayerCfg | None = None,
        with_cp: bool = False,
        *,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        if factorize and dilation != 1:
            raise ConfigError(f"a factorized block of sound has no dilation, got dilation={dilation}")
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual
        self.conv1 = ConvModule(inplanes, planes, 1, bias=False, norm_cfg=norm_cfg)
        spatial = {} if factorize else {"padding": dilation, "dilation": dilation}
        self.conv2 = ConvModule(
            planes,
            planes,
            (3, 3),
            stride=stride,
            **spatial,  # type: ignore[arg-type]
            bias=False,
            conv_cfg=FACTORIZED if factorize else CONV,
            act_cfg=None,
        )
        inside = 2 * planes if factorize else planes
        self.conv3 = ConvModule(inside, planes * self.expansion, 1, bias=False, norm_cfg=norm_cfg, act_cfg=None)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def init_weights(self) -> None:
        """Make the residual zero, if asked for."""
        if self.zero_init_residual and self.conv3.norm is not None:
            constant_init(self.conv3.norm, 0)

    def _sum(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(self.conv2(self.conv1(x)))
        out += x if self.downsample is None else self.downsample(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return self.relu(recomputed(self, self._sum, x))
        return self.relu(self._sum(x))


@MODELS.register_module()
class ResNetAudio(StagedNetwork):
    """(B, in_channels, T, F) float -> (B, 32 * base_channels, T / 8, F / 8), sizes rounded up, of four stages.

    Args:
        depth: 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads.
        in_channels: C.
        num_stages: 1 to 4.
        base_channels: of the stem.
        strides: of the stages.
        dilations: of the stages; 1 where they are factorized.
        conv1_kernel: taps of the stem, over time and over frequency; odd.
        conv1_stride: its step.
        frozen_stages: the stem (0) and this many stages are not trained; -1: everything is.
        factorize: of each stage, 1: its blocks look along time and frequency apart; also for all.
        norm_eval: batch norms use and keep their running statistics in training.
        with_cp: recompute the blocks in the backward pass, for less memory.
        conv_cfg: must be `dict(type="Conv")`.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activation behind the stem.
        zero_init_residual: each block starts as its shortcut.

    Attributes:
        feat_dim: channels of the output.

    Raises:
        ConfigError: there is no such depth or number of stages, a list is too short, or (when called) the
            input is of another shape.
    """

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        in_channels: int = 1,
        num_stages: int = 4,
        base_channels: int = 32,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: int = 9,
        conv1_stride: int | tuple[int, int] = 1,
        frozen_stages: int = -1,
        factorize: int | Sequence[int] = (1, 1, 0, 0),
        norm_eval: bool = False,
        with_cp: bool = False,
        conv_cfg: LayerCfg = CONV,
        norm_cfg: LayerCfg = NORM,
        act_cfg: LayerCfg = ACT,
        zero_init_residual: bool = True,
    ) -> None:
        if depth not in BLOCKS:
            raise ConfigError(f"ResNetAudio has no depth {depth!r}: there are {', '.join(map(str, BLOCKS))}")
        if num_stages not in (1, 2, 3, 4):
            raise ConfigError(f"num_stages of ResNetAudio must be 1 to 4, got {num_stages!r}")
        if dict(conv_cfg) != dict(CONV):
            raise ConfigError(f"conv_cfg of ResNetAudio must be {dict(CONV)}, got {conv_cfg!r}")
        check_sizes("ResNetAudio", in_channels=in_channels, base_channels=base_channels, conv1_kernel=conv1_kernel)
        of_stages = {"strides": strides, "dilations": dilations, "factorize": factorize}
        for name, values in of_stages.items():
            of_stages[name] = values = (values,) * num_stages if isinstance(values, int) else values
            if len(values) < num_stages:
                raise ConfigError(f"{name} of ResNetAudio has {len(values)} values for {num_stages} stages: {values!r}")
        widths = [(base_channels << stage) * Bottleneck2dAudio.expansion for stage in range(num_stages)]
        stages = {}
        for stage, inplanes in enumerate([base_channels, *widths[:-1]]):
            stride, dilation, apart = (values[stage] for values in of_stages.values())  # type: ignore[index]
            stages[f"layer{stage + 1}"] = _stage(
                inplanes, base_channels << stage, BLOCKS[depth][stage], stride, dilation, apart == 1, norm_cfg, with_cp,
                zero_init_residual,
            )  # fmt: skip
        super().__init__(
            ConvModule(
                in_channels,
                base_channels,
                conv1_kernel,
                stride=conv1_stride,
                bias=False,
                conv_cfg={**FACTORIZED, "op": "sum"},
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            ),
            stages,
            widths=widths,
            out_indices=(num_stages - 1,),
            in_channels=in_channels,
            with_pool1=False,
            pretrained=pretrained,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=INIT,
        )
        self.depth = depth
        self.base_channels = base_channels
        self.feat_dim = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ConfigError(
                f"ResNetAudio takes sound (batch, {self.in_channels}, time, frequency), got {tuple(x.shape)}"
            )
        features: Tensor = self.run_stages(self.stem(x))
        return features


def _stage(
    inplanes: int,
    planes: int,
    count: int,
    stride: int,
    dilation: int,
    factorize: bool,
    norm_cfg: LayerCfg,
    with_cp: bool,
    zero_init_residual: bool,
) -> nn.Sequential:
    width = planes * Bottleneck2dAudio.expansion
    downsample = None
    if stride != 1 or inplanes != width:
        downsample = ConvModule(inplanes, width, 1, stride=stride, bias=False, norm_cfg=norm_cfg, act_cfg=None)

    def block(channels: int, step: int, shortcut: nn.Module | None = None) -> Bottleneck2dAudio:
        shape = channels, planes, step, dilation, shortcut, factorize, norm_cfg, with_cp
        return Bottleneck2dAudio(*shape, zero_init_residual=zero_init_residual)

    return nn.Sequential(block(inplanes, stride, downsample), *(block(width, 1) for _ in range(count - 1)))
