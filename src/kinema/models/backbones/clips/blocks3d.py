"""The two residual blocks of 3D networks, and a stage of them.

Sources: Deep Residual Learning, He et al. 2016, arXiv:1512.03385, figures 2 and 5; inflated along
time as in I3D (Carreira and Zisserman 2017, arXiv:1705.07750) and Non-local Neural Networks (Wang
et al. 2018, arXiv:1711.07971, section 4.1).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import Sequential
from kinema.models.init import constant_init
from kinema.models.layers import ConvModule, LayerCfg, NonLocal3d, build_activation_layer
from kinema.models.layers.recomputation import recomputed

Triple = tuple[int, int, int]
Style = Literal["pytorch", "caffe"]
InflateStyle = Literal["3x1x1", "3x3x3"]

CONV3D: LayerCfg = {"type": "Conv3d"}
BATCH_NORM: LayerCfg = {"type": "BN3d", "requires_grad": True}
RELU: LayerCfg = {"type": "ReLU", "inplace": True}


class Block3d(nn.Module):
    """Residual block: a few convolutions beside a shortcut; a subclass makes the convolutions.

    Args:
        inplanes: channels of the input.
        planes: channels inside; the output has `expansion` times as many.
        spatial_stride: step over height and width.
        temporal_stride: step over frames.
        dilation: spacing of the spatial taps.
        downsample: the shortcut; None: the input itself.
        style: `"pytorch"` steps in the middle convolution of a bottleneck, `"caffe"` in the first.
        inflate: some kernel spans three frames.
        inflate_style: which one, in a bottleneck: `"3x1x1"` the first, `"3x3x3"` the middle one.
        non_local: a non-local block follows.
        non_local_cfg: its arguments, see `NonLocal3d`.
        conv_cfg: see `ConvModule`, as the next two.
        norm_cfg: norm.
        act_cfg: activation.
        with_cp: forget activations in training, and compute them again in the backward pass.
        zero_init_residual: `init_weights` makes the block start as its shortcut.
    """

    expansion: ClassVar[int]

    def __init__(
        self,
        inplanes: int,
        planes: int,
        spatial_stride: int = 1,
        temporal_stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        inflate: bool = True,
        inflate_style: InflateStyle = "3x1x1",
        non_local: bool = False,
        non_local_cfg: Mapping[str, Any] | None = None,
        conv_cfg: LayerCfg = CONV3D,
        norm_cfg: LayerCfg | None = BATCH_NORM,
        act_cfg: LayerCfg = RELU,
        with_cp: bool = False,
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        if style not in ("pytorch", "caffe"):
            raise ConfigError(f"style must be 'pytorch' or 'caffe', got {style!r}")
        if inflate_style not in ("3x1x1", "3x3x3"):
            raise ConfigError(f"inflate_style must be '3x1x1' or '3x3x3', got {inflate_style!r}")
        self.inplanes = inplanes
        self.planes = planes
        self.spatial_stride = spatial_stride
        self.temporal_stride = temporal_stride
        self.dilation = dilation
        self.style = style
        self.inflate = inflate
        self.inflate_style = inflate_style
        self.non_local = non_local
        self.non_local_cfg = dict(non_local_cfg or {})
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.with_cp = with_cp
        self.zero_init_residual = zero_init_residual
        stride = (temporal_stride, spatial_stride, spatial_stride)
        self._make_convs(inplanes, planes, stride, dilation, style, inflate_style, inflate)
        self.downsample = downsample
        self.relu = build_activation_layer(act_cfg, inplace=True)
        self.non_local_block = NonLocal3d(self.expansion * planes, **(non_local_cfg or {})) if non_local else None

    def _make_convs(
        self,
        inplanes: int,
        planes: int,
        stride: Triple,
        dilation: int,
        style: Style,
        inflate_style: InflateStyle,
        inflate: bool,
    ) -> None:
        raise NotImplementedError

    def _residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _last_conv(self) -> ConvModule:
        raise NotImplementedError

    def init_weights(self) -> None:
        """Make the residual zero, if asked for, and a non-local block the identity."""
        last = self._last_conv().norm
        if self.zero_init_residual and last is not None:
            constant_init(last, 0)
        if self.non_local_block is not None:
            self.non_local_block.init_weights()

    def _conv(self, inplanes: int, planes: int, kernel: Triple, **settings: Any) -> ConvModule:
        """Convolution without bias, norm and activation; only the stride changes sizes."""
        dilation: int = settings.pop("dilation", 1)
        return ConvModule(
            inplanes,
            planes,
            kernel,
            padding=(kernel[0] // 2, dilation * (kernel[1] // 2), dilation * (kernel[2] // 2)),
            dilation=(1, dilation, dilation),
            bias=False,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=settings.pop("act_cfg", self.act_cfg),
            **settings,
        )

    def _sum(self, x: Tensor) -> Tensor:
        out = self._residual(x)
        # In place: no gradient needs what a norm or convolution gave, and that is the largest
        # tensor here.
        return out.add_(x if self.downsample is None else self.downsample(x))

    def forward(self, x: Tensor) -> Tensor:
        out = recomputed(self, self._sum, x) if self.with_cp and x.requires_grad else self._sum(x)
        out = self.relu(out)
        return out if self.non_local_block is None else self.non_local_block(out)


class BasicBlock3d(Block3d):
    """Two convolutions: (B, inplanes, T, H, W) -> (B, planes, T', H', W').

    Their kernels are 3 x 3 x 3, or 1 x 3 x 3 where not inflated.
    """

    expansion = 1

    def _make_convs(
        self,
        inplanes: int,
        planes: int,
        stride: Triple,
        dilation: int,
        style: Style,
        inflate_style: InflateStyle,
        inflate: bool,
    ) -> None:
        kernel = (3 if inflate else 1, 3, 3)
        self.conv1 = self._conv(inplanes, planes, kernel, stride=stride, dilation=dilation)
        self.conv2 = self._conv(planes, planes, kernel, act_cfg=None)

    def _residual(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))

    def _last_conv(self) -> ConvModule:
        return self.conv2


class Bottleneck3d(Block3d):
    """Narrow, convolve, widen: (B, inplanes, T, H, W) -> (B, 4 * planes, T', H', W')."""

    expansion = 4

    def _make_convs(
        self,
        inplanes: int,
        planes: int,
        stride: Triple,
        dilation: int,
        style: Style,
        inflate_style: InflateStyle,
        inflate: bool,
    ) -> None:
        first: Triple = (3 if inflate and inflate_style == "3x1x1" else 1, 1, 1)
        middle: Triple = (3 if inflate and inflate_style == "3x3x3" else 1, 3, 3)
        strides = ((1, 1, 1), stride) if style == "pytorch" else (stride, (1, 1, 1))
        (self.conv1_stride_t, self.conv1_stride_s), (self.conv2_stride_t, self.conv2_stride_s) = (
            step[:2] for step in strides
        )
        self.conv1 = self._conv(inplanes, planes, first, stride=strides[0])
        self.conv2: nn.Module = self._middle(planes, middle, strides[1], dilation)
        self.conv3 = self._conv(planes, planes * self.expansion, (1, 1, 1), act_cfg=None)

    def _middle(self, planes: int, kernel: Triple, stride: Triple, dilation: int) -> nn.Module:
        return self._conv(planes, planes, kernel, stride=stride, dilation=dilation)

    def _residual(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))

    def _last_conv(self) -> ConvModule:
        return self.conv3


def make_stage(
    block: type[Block3d],
    inplanes: int,
    planes: int,
    *,
    inflate: Sequence[int],
    non_local: Sequence[int],
    spatial_stride: int,
    temporal_stride: int,
    dilation: int,
    **settings: Any,
) -> Sequential:
    """Stage of a residual network: a block for each entry of `inflate`; the first has the strides.

    Args:
        block: kind of the blocks.
        inplanes: channels of the input.
        planes: channels inside the blocks.
        inflate: for each block, whether a kernel spans three frames.
        non_local: for each block, whether a non-local block follows.
        spatial_stride: step over height and width.
        temporal_stride: step over frames.
        dilation: spacing of the spatial taps.
        **settings: further arguments of the blocks.
    """
    width = planes * block.expansion
    downsample = None
    if (spatial_stride, temporal_stride) != (1, 1) or inplanes != width:
        downsample = ConvModule(
            inplanes,
            width,
            1,
            stride=(temporal_stride, spatial_stride, spatial_stride),
            bias=False,
            conv_cfg=settings["conv_cfg"],
            norm_cfg=settings["norm_cfg"],
            act_cfg=None,
        )
    blocks = []
    for index, (is_inflated, has_non_local) in enumerate(zip(inflate, non_local, strict=True)):
        is_first = index == 0
        blocks.append(
            block(
                inplanes if is_first else width,
                planes,
                spatial_stride=spatial_stride if is_first else 1,
                temporal_stride=temporal_stride if is_first else 1,
                dilation=dilation,
                downsample=downsample if is_first else None,
                inflate=bool(is_inflated),
                non_local=bool(has_non_local),
                **settings,
            )
        )
    return Sequential(*blocks)
