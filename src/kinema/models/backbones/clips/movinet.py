"""MoViNet: networks for mobile devices, which see a whole clip, or a stream whose state they carry on.

Names of weights are those of the PyTorch port of Atze00, whose files hold the authors' weights.

Source: MoViNets, Kondratyuk et al. 2021, arXiv:2103.11511; padding, gates and norms as in the
authors' TensorFlow code.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat
from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.init import InitCfg
from kinema.models.layers import Conv3d, LayerCfg, PlanarConv3d, build_activation_layer, convolve_and_normalize
from kinema.models.layers.carried_state import CarriedState, mean_so_far, with_past
from kinema.models.layers.inputs import check_clips
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import divisible
from kinema.registry import MODELS
from kinema.spelling import suggestion

Kernel = tuple[int, int, int]  # frames, rows, columns

SWISH: LayerCfg = {"type": "SiLU"}
HARD_SWISH: LayerCfg = {"type": "HSwish"}
SIGMOID: LayerCfg = {"type": "Sigmoid"}
HARD_SIGMOID: LayerCfg = {
    "type": "HSigmoid",
    "bias": 2.5,
    "divisor": 5.0,
}  # Keras': clip(0.2 x + 0.5), not relu6(x + 3) / 6


@dataclass(frozen=True)
class Stage:
    """Blocks of the same width; the first of them may halve rows and columns.

    Attributes:
        width: channels that each gives.
        expanded: channels inside each.
        kernels: of their depthwise convolutions, such as `"533"`: frames, rows and columns.
        stride: of the first block in space.
    """

    width: int
    expanded: tuple[int, ...]
    kernels: tuple[str, ...]
    stride: int = 2


@dataclass(frozen=True)
class Architecture:
    """Sizes of a network.

    Attributes:
        stem: channels of the first convolution.
        stages: see `Stage`.
        head: channels of the last convolution.
    """

    stem: int
    stages: tuple[Stage, ...]
    head: int


ARCHITECTURES = {
    "A0": Architecture(
        8,
        (
            Stage(8, (24,), ("155",)),
            Stage(32, (80, 80, 80), ("333",) * 3),
            Stage(56, (184, 112, 184), ("533", "333", "333")),
            Stage(56, (184,) * 4, ("533", "333", "333", "333"), 1),
            Stage(104, (384, 280, 280, 344), ("533", "155", "155", "155")),
        ),
        480,
    ),
    "A1": Architecture(
        16,
        (
            Stage(16, (40, 40), ("155", "333")),
            Stage(40, (96, 120, 96, 96), ("333",) * 4),
            Stage(64, (216, 128, 216, 168, 216), ("533", *["333"] * 4)),
            Stage(64, (216, 216, 216, 128, 128, 216), ("533", "333", "333", "333", "155", "333"), 1),
            Stage(136, (456, 360, 360, 360, 456, 456, 544), ("533", *["155"] * 4, "333", "133")),
        ),
        600,
    ),
    "A2": Architecture(
        16,
        (
            Stage(16, (40, 40, 64), ("155", "333", "333")),
            Stage(40, (96, 120, 96, 96, 120), ("333",) * 5),
            Stage(72, (240, 160, 240, 192, 240), ("533", *["333"] * 4)),
            Stage(72, (240, 240, 240, 240, 144, 240), ("533", "333", "333", "333", "155", "333"), 1),
            Stage(144, (480, 384, 384, 480, 480, 480, 576), ("533", *["155"] * 4, "333", "133")),
        ),
        640,
    ),
}


@dataclass(frozen=True)
class Style:
    """What the convolutions of a network have in common.

    Attributes:
        is_causal: they see no frames behind; else as many as before.
        is_planar: a convolution over space and time is two, with the weights of 2D convolutions.
        eps: of batch norms.
        act_cfg: the activation.
        gate_cfg: of squeeze and excitation.
    """

    is_causal: bool
    is_planar: bool
    eps: float
    act_cfg: LayerCfg
    gate_cfg: LayerCfg


def pad_same(x: Tensor, kernel: Sequence[int], stride: int) -> Tensor:
    """Rows and columns of zeros as TensorFlow's SAME adds them: one more behind than before, where they are odd.

    Args:
        x: (..., H, W).
        kernel: rows and columns of the convolution.
        stride: of it.
    """
    added = [
        max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        for side, size in zip(x.shape[-2:], kernel, strict=True)
    ]
    if not any(added):
        return x
    rows, columns = added
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class ConvNormAct(nn.Module):
    """(B, C, T, H, W) -> (B, C', T, H / stride, W / stride): convolution, batch norm, activation.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel: of the convolution.
        style: see there.
        stride: in space.
        groups: of the convolution.
        has_norm: there is a norm, and the convolution has no bias.
        has_act: there is an activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Kernel,
        style: Style,
        *,
        stride: int = 1,
        groups: int = 1,
        has_norm: bool = True,
        has_act: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.past = kernel[0] - 1 if style.is_causal else 0
        padding = (0 if self.past else kernel[0] // 2, *(size // 2 if stride == 1 else 0 for size in kernel[1:]))
        build = PlanarConv3d if style.is_planar else Conv3d
        conv = build(
            in_channels,
            out_channels,
            kernel,
            stride=(1, stride, stride),
            padding=padding,  # type: ignore[arg-type]
            groups=groups,
            bias=not has_norm,
        )
        self.add_module("conv2d" if style.is_planar else "conv3d", conv)
        self.is_planar = style.is_planar
        self.norm = nn.BatchNorm3d(out_channels, eps=style.eps) if has_norm else None
        self.act = build_activation_layer(style.act_cfg) if has_act else None

    @property
    def conv(self) -> Conv3d:
        """The convolution, under either name."""
        return cast(Conv3d, self.conv2d if self.is_planar else self.conv3d)

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        conv = self.conv
        if self.past:
            x = with_past(x, self.past, self, state)
        if self.stride > 1:
            x = pad_same(x, conv.kernel_size[1:], self.stride)
        x = conv(x) if self.norm is None else convolve_and_normalize(conv, self.norm, x)
        return x if self.act is None else self.act(x)


class ConvBlock(nn.Module):
    """One `ConvNormAct`, or two where the style is planar and the kernel is over time too.

    The arguments are those of `ConvNormAct`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, style: Style, *, groups: int = 1, **settings: Any
    ) -> None:
        super().__init__()
        is_split = style.is_planar and kernel[0] > 1
        first: Kernel = (1, *kernel[1:]) if is_split else kernel
        self.conv_1 = ConvNormAct(in_channels, out_channels, first, style, groups=groups, **settings)
        self.conv_2 = (
            ConvNormAct(out_channels, out_channels, (kernel[0], 1, 1), style, groups=groups) if is_split else None
        )

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        x = self.conv_1(x, state)
        return x if self.conv_2 is None else self.conv_2(x, state)


class SqueezeExcitation(nn.Module):
    """(B, C, T, H, W) -> the same: each channel is weighted by what the clip, or the stream so far, shows."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.is_causal = style.is_causal
        seen = channels * (2 if style.is_causal else 1)
        hidden = divisible(0.25 * seen)
        self.fc1 = ConvBlock(seen, hidden, (1, 1, 1), style, has_norm=False)
        self.fc2 = ConvBlock(hidden, channels, (1, 1, 1), style, has_norm=False, has_act=False)
        self.gate = build_activation_layer(style.gate_cfg)

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        if self.is_causal:
            frames = x.mean((3, 4), keepdim=True)
            seen = torch.cat([mean_so_far(frames, self, state), frames], 1)
        else:
            seen = x.mean((2, 3, 4), keepdim=True)
        return x * self.gate(self.fc2(self.fc1(seen)))


class HalfSize(nn.Module):
    """(B, C, T, H, W) -> (B, C, T, H / 2, W / 2), rounded up: means of 3 x 3 places, those of the clip alone."""

    def forward(self, x: Tensor) -> Tensor:
        # Torch's pooling of images keeps their channels last in memory; a single frame must not be flattened for that.
        frames = x.squeeze(2) if x.shape[2] == 1 else x.transpose(1, 2).flatten(0, 1)
        places = x.new_ones(1, 1, *x.shape[3:])
        sums, counts = (F.avg_pool2d(pad_same(part, (3, 3), 2), 3, 2) for part in (frames, places))
        return (sums / counts).unflatten(0, (len(x), -1)).transpose(1, 2)


class Block(nn.Module):
    """(B, C, T, H, W) -> (B, C', T, H / stride, W / stride): widen, convolve each channel, weight, narrow.

    Args:
        in_channels: C.
        out_channels: C'.
        expanded: channels inside.
        kernel: of the depthwise convolution.
        stride: of it in space.
        style: see there.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expanded: int, kernel: Kernel, stride: int, style: Style
    ) -> None:
        super().__init__()
        point: Kernel = (1, 1, 1)
        self.expand = ConvBlock(in_channels, expanded, point, style)
        self.deep = ConvBlock(expanded, expanded, kernel, style, stride=stride, groups=expanded)
        self.se = SqueezeExcitation(expanded, style)
        self.project = ConvBlock(expanded, out_channels, point, style, has_act=False)
        self.res: nn.Module | None = None
        if stride > 1 or in_channels != out_channels:
            halving = [HalfSize()] if stride > 1 else []
            self.res = nn.Sequential(*halving, ConvBlock(in_channels, out_channels, point, style, has_act=False))
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        branch = self.project(self.se(self.deep(self.expand(x), state), state))
        return (x if self.res is None else self.res(x)) + self.alpha * branch


@MODELS.register_module()
class MoViNet(Backbone):
    """(B, C, T, H, W) float -> (B, C', T, H / 32, W / 32), sizes rounded up; T from 1 on; values from 0 to 1.

    Args:
        arch: `"A0"`, `"A1"` or `"A2"`, or an `Architecture`, also as a dict.
        causal: no frame sees those behind it, so that a stream can be computed piece by piece, see
            `CarriedState`.
        planar: convolutions over space and time are two; None: those of a causal network.
        in_channels: C.
        act_cfg: the activation; None: swish, the hard one of a planar network.
        gate_cfg: of squeeze and excitation; None: sigmoid, Keras' hard one of a planar network.
        norm_eps: of batch norms.
        with_cp: forget the activations of blocks in training and compute them again in the backward
            pass.
        norm_eval, bn_frozen, pretrained: see `Backbone`.
        init_cfg: replaces the initialisation.

    Attributes:
        out_channels: C'.
        carries_state: it takes a `CarriedState`.

    Raises:
        ConfigError: there is no such architecture.
    """

    file_formats = (
        FileFormat("MoViNet (PyTorch port)", nn.Module.state_dict, nn.Module.state_dict, of_head=r"^classifier\."),
    )
    unit_range = True

    def __init__(
        self,
        arch: str | Architecture | Mapping[str, Any] = "A0",
        *,
        causal: bool = False,
        planar: bool | None = None,
        in_channels: int = 3,
        act_cfg: LayerCfg | None = None,
        gate_cfg: LayerCfg | None = None,
        norm_eps: float = 1e-3,
        with_cp: bool = False,
        norm_eval: bool = False,
        bn_frozen: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        default: InitCfg = [
            {"type": "Kaiming", "layer": "Conv3d"},
            {"type": "Constant", "layer": "_BatchNorm", "val": 1},
        ]
        super().__init__(init_cfg or default, pretrained=pretrained, norm_eval=norm_eval, bn_frozen=bn_frozen)
        sizes = architecture(arch)
        planar = causal if planar is None else planar
        style = Style(
            causal,
            planar,
            norm_eps,
            act_cfg or (HARD_SWISH if planar else SWISH),
            gate_cfg or (HARD_SIGMOID if planar else SIGMOID),
        )
        self.in_channels = in_channels
        self.carries_state = causal
        self.with_cp = with_cp
        self.conv1 = ConvBlock(in_channels, sizes.stem, (1, 3, 3), style, stride=2)
        self.blocks = nn.ModuleDict()
        width = sizes.stem
        for number, stage in enumerate(sizes.stages):
            for place, (expanded, kernel) in enumerate(zip(stage.expanded, stage.kernels, strict=True)):
                frames, rows, columns = map(int, kernel)
                stride = stage.stride if place == 0 else 1
                block = Block(width, stage.width, expanded, (frames, rows, columns), stride, style)
                self.blocks[f"b{number}_l{place}"] = block
                width = stage.width
        self.conv7 = ConvBlock(width, sizes.head, (1, 1, 1), style)
        self.out_channels = sizes.head
        self.hold()

    def forward(self, x: Tensor, state: CarriedState | None = None) -> Tensor:
        """Features of clips, or of the next piece of streams.

        Args:
            x: (B, C, T, H, W).
            state: of the pieces before, which becomes that of the next; None: the clips are whole.

        Raises:
            ValueError: a state, of a network that is not causal, or of other streams.
            ConfigError: the clips have other channels.
        """
        check_clips(x, self.in_channels, "MoViNet")
        if state is not None:
            if not self.carries_state:
                raise ValueError(
                    "this MoViNet looks at frames behind, so it carries no state: build it with causal=True"
                )
            state.advance(x)
        x = self.conv1(x, state)
        for block in self.blocks.values():
            x = recomputed(block, block, x) if self.with_cp and x.requires_grad and state is None else block(x, state)
        return self.conv7(x, state)


def architecture(arch: str | Architecture | Mapping[str, Any]) -> Architecture:
    """The sizes that a name, or a dict, stands for.

    Raises:
        ConfigError: there is no such name, or the dict lacks something, or a stage has other blocks than
            kernels.
    """
    if isinstance(arch, Mapping):
        try:
            stages = tuple(
                Stage(stage["width"], tuple(stage["expanded"]), tuple(stage["kernels"]), stage.get("stride", 2))
                for stage in arch["stages"]
            )
            arch = Architecture(arch["stem"], stages, arch["head"])
        except KeyError as error:
            raise ConfigError(
                f"arch of MoViNet lacks {error}: it has stem, head and stages, of each width, expanded and kernels"
            ) from None
    if isinstance(arch, Architecture):
        for stage in arch.stages:
            if len(stage.expanded) != len(stage.kernels) or not all(map(_is_kernel, stage.kernels)):
                raise ConfigError(
                    "a stage of MoViNet has a kernel such as '533' (frames, rows, columns, odd) for each of its"
                    f" expanded widths, got {list(stage.kernels)} for {list(stage.expanded)}"
                )
        return arch
    if arch not in ARCHITECTURES:
        raise ConfigError(f"MoViNet has no arch {arch!r}: {suggestion(arch, ARCHITECTURES)}")
    return ARCHITECTURES[arch]


def _is_kernel(text: str) -> bool:
    """Three odd digits?"""
    return isinstance(text, str) and len(text) == 3 and all(digit in "13579" for digit in text)
