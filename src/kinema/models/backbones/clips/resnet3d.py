"""ResNet3d: a residual network inflated along time, the backbone of I3D.

Sources: I3D, Carreira and Zisserman 2017, arXiv:1705.07750; the residual form, its inflation
patterns and the pooling between the first two stages: Non-local Neural Networks, Wang et al. 2018,
arXiv:1711.07971, table 1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.base import StagedNetwork, keep_arguments
from kinema.models.backbones.clips.blocks3d import (
    BATCH_NORM,
    CONV3D,
    RELU,
    BasicBlock3d,
    Block3d,
    Bottleneck3d,
    InflateStyle,
    Style,
    make_stage,
)
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg
from kinema.registry import MODELS

# For each stage a number, or a number a block; a number alone is that of all stages.
Pattern = int | Sequence[int | Sequence[int]]
# Depth -> kind of the blocks, and their number in each stage.
Architectures = Mapping[int, tuple[type[Block3d], tuple[int, ...]]]

ARCHITECTURES: Architectures = {
    18: (BasicBlock3d, (2, 2, 2, 2)),
    34: (BasicBlock3d, (3, 4, 6, 3)),
    50: (Bottleneck3d, (3, 4, 6, 3)),
    101: (Bottleneck3d, (3, 4, 23, 3)),
    152: (Bottleneck3d, (3, 8, 36, 3)),
}
INIT_CFG: InitCfg = (
    {"type": "Kaiming", "layer": "Conv3d"},
    {"type": "Constant", "layer": ["_BatchNorm", "GroupNorm"], "val": 1},
)


class ResNet3dArguments(NamedTuple):
    """OpenMMLab's arguments of a ResNet over clips, in its order.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads.
        stage_blocks: blocks of each stage; None: those of `depth`.
        pretrained2d: the checkpoint is that of an image network, to be inflated.
        in_channels: C.
        num_stages: number of stages, from the first.
        base_channels: channels of the stem; they double with each stage.
        out_indices: stages whose features are returned, from 0.
        spatial_strides: step over height and width of each stage.
        temporal_strides: step over frames of each stage.
        dilations: spacing of the spatial taps in each stage.
        conv1_kernel: kernel of the stem over frames, height and width.
        conv1_stride_s: its step over height and width.
        conv1_stride_t: its step over frames.
        pool1_stride_s: step of the pooling after it, over height and width.
        pool1_stride_t: over frames.
        with_pool1: pool after the stem.
        with_pool2: halve the frames after the first stage.
        style: see `Block3d`.
        frozen_stages: the stem (0) and this many stages are not trained; -1: everything is.
        inflate: for each stage, or for each block of each stage, whether a kernel spans three
            frames.
        inflate_style: see `Block3d`, as the next three.
        conv_cfg: convolution.
        norm_cfg: norm.
        act_cfg: activation.
        norm_eval: batch norms use their running statistics also in training.
        with_cp: forget activations in training, and compute them again in the backward pass.
        non_local: for each stage, or for each block of each stage, whether a non-local block
            follows.
        non_local_cfg: arguments of the non-local blocks, see `NonLocal3d`.
        zero_init_residual: each block starts as its shortcut.
        init_cfg: replaces the initialisation: Kaiming normal for convolutions, 1 for norms.
    """

    depth: int = 50
    pretrained: str | None = None
    stage_blocks: Sequence[int] | None = None
    pretrained2d: bool = True
    in_channels: int = 3
    num_stages: int = 4
    base_channels: int = 64
    out_indices: Sequence[int] = (3,)
    spatial_strides: Sequence[int] = (1, 2, 2, 2)
    temporal_strides: Sequence[int] = (1, 1, 1, 1)
    dilations: Sequence[int] = (1, 1, 1, 1)
    conv1_kernel: Sequence[int] = (3, 7, 7)
    conv1_stride_s: int = 2
    conv1_stride_t: int = 1
    pool1_stride_s: int = 2
    pool1_stride_t: int = 1
    with_pool1: bool = True
    with_pool2: bool = True
    style: Style = "pytorch"
    frozen_stages: int = -1
    inflate: Pattern = (1, 1, 1, 1)
    inflate_style: InflateStyle = "3x1x1"
    conv_cfg: LayerCfg = CONV3D
    norm_cfg: LayerCfg = BATCH_NORM
    act_cfg: LayerCfg = RELU
    norm_eval: bool = False
    with_cp: bool = False
    non_local: Pattern = (0, 0, 0, 0)
    non_local_cfg: Mapping[str, Any] | None = None
    zero_init_residual: bool = True
    init_cfg: InitCfg | None = None

    def architecture(self, network: str, architectures: Architectures) -> tuple[type[Block3d], tuple[int, ...]]:
        """Kind of the blocks, and their number in each stage.

        Raises:
            ConfigError: there is no such depth, stage or frozen stage.
        """
        if self.depth not in architectures:
            depths = ", ".join(map(str, architectures))
            raise ConfigError(f"{network} has no depth {self.depth}: there are {depths}")
        block, blocks = architectures[self.depth]
        blocks = tuple(self.stage_blocks or blocks)
        out_indices = tuple(self.out_indices)
        if not 1 <= self.num_stages <= len(blocks):
            raise ConfigError(
                f"num_stages={self.num_stages} of {network}: there are 1 to {len(blocks)} stages, whose blocks are"
                f" {blocks}"
            )
        if not out_indices or not all(0 <= index < self.num_stages for index in out_indices):
            raise ConfigError(
                f"out_indices={out_indices} of {network} must name stages from 0 to {self.num_stages - 1}, as "
                f"num_stages={self.num_stages}"
            )
        return block, blocks[: self.num_stages]

    def stem(self) -> ConvModule:
        """The first convolution: (B, C, T, H, W) -> (B, base_channels, T', H/2, W/2)."""
        return ConvModule(
            self.in_channels,
            self.base_channels,
            tuple(self.conv1_kernel),
            stride=(self.conv1_stride_t, self.conv1_stride_s, self.conv1_stride_s),
            padding=tuple((size - 1) // 2 for size in self.conv1_kernel),
            bias=False,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def parts(
        self,
        network: str,
        architectures: Architectures = ARCHITECTURES,
        *,
        received: Sequence[int] = (0, 0, 0, 0),
        bn_frozen: bool = False,
    ) -> dict[str, Any]:
        """Arguments of a `StagedNetwork`, its stem and stages built.

        Args:
            network: name of its class, for messages.
            architectures: kinds and numbers of the blocks of each depth.
            received: for each stage, channels that it receives besides those of the stage before.
            bn_frozen: see `Backbone`.

        Raises:
            ConfigError: there is no such depth, stage or block.
        """
        block, stage_blocks = self.architecture(network, architectures)
        stem = self.stem()
        inflate = per_block(network, "inflate", self.inflate, stage_blocks)
        non_local = per_block(network, "non_local", self.non_local, stage_blocks, names_parts=True)
        widths = [self.base_channels * 2**stage * block.expansion for stage in range(self.num_stages)]
        stages = {}
        for stage, inplanes in enumerate([self.base_channels, *widths[:-1]]):
            spatial, temporal, dilation = (
                _of_stage(network, name, getattr(self, name), stage, self.num_stages)
                for name in ("spatial_strides", "temporal_strides", "dilations")
            )
            stages[f"layer{stage + 1}"] = make_stage(
                block,
                inplanes + received[stage],
                self.base_channels * 2**stage,
                inflate=inflate[stage],
                non_local=non_local[stage],
                spatial_stride=spatial,
                temporal_stride=temporal,
                dilation=dilation,
                style=self.style,
                inflate_style=self.inflate_style,
                non_local_cfg=self.non_local_cfg,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
                with_cp=self.with_cp,
                zero_init_residual=self.zero_init_residual,
            )
        stride = (self.pool1_stride_t, self.pool1_stride_s, self.pool1_stride_s)
        return {
            "stem": stem,
            "stages": stages,
            "widths": widths,
            "out_indices": self.out_indices,
            "in_channels": self.in_channels,
            "takes_clips": True,
            "maxpool": nn.MaxPool3d((1, 3, 3), stride, padding=(0, 1, 1)),
            "pool2": nn.MaxPool3d((2, 1, 1), (2, 1, 1)),
            "with_pool1": self.with_pool1,
            "with_pool2": self.with_pool2,
            "pretrained": self.pretrained,
            "from_images": self.pretrained2d,
            "frozen_stages": self.frozen_stages,
            "norm_eval": self.norm_eval,
            "bn_frozen": bn_frozen,
            "init_cfg": self.init_cfg or INIT_CFG,
        }


class ClipResNet(StagedNetwork):
    """A network whose stem and stages come from `ResNet3dArguments`.

    Args:
        arguments: of the network.
        parts: what `arguments.parts()` gives.

    Attributes:
        block: kind of the blocks.
        stage_blocks: their number in each stage.
        feat_dim: channels that the last stage gives.
        stage_inflations: the argument `inflate`.
        non_local_stages: the argument `non_local`.
        arch_settings: kind of the blocks and their number in each stage, by depth; a subclass may
            set others.
    """

    arch_settings: Architectures = ARCHITECTURES

    def __init__(self, arguments: ResNet3dArguments, parts: Mapping[str, Any]) -> None:
        super().__init__(**parts)
        blocks = list(parts["stages"].values())
        self.block: type[Block3d] = type(blocks[0][0])
        self.stage_blocks = tuple(map(len, blocks))
        self.inplanes = self.feat_dim = self.widths[-1]
        keep_arguments(self, arguments)
        self.stage_inflations, self.non_local_stages = arguments.inflate, arguments.non_local


@MODELS.register_module()
class ResNet3d(ClipResNet):
    """(B, C, T, H, W) float -> (B, out_channels, T', H/32, W/32); several `out_indices`: a tuple.

    T' is T divided by `conv1_stride_t`, `pool1_stride_t`, 2 (`with_pool2`) and all
    `temporal_strides`.

    Args:
        *args: see `ResNet3dArguments`, as the settings.
        **settings: the same by name.

    Raises:
        ConfigError: there is no such depth, stage or block.
    """

    @takes_arguments_of(ResNet3dArguments)
    def __init__(self, *args: Any, **settings: Any) -> None:
        arguments = ResNet3dArguments(*args, **settings)
        super().__init__(arguments, arguments.parts(type(self).__name__, self.arch_settings))


def per_block(
    network: str, name: str, pattern: Pattern, stage_blocks: Sequence[int], *, names_parts: bool = False
) -> list[tuple[int, ...]]:
    """Numbers of the blocks from numbers of stages or of blocks.

    Args:
        network: for messages, as `name`.
        name: of the argument.
        pattern: its value.
        stage_blocks: number of blocks of each stage.
        names_parts: a number that is not 0 asks for a part of its own, so none may point past the
            last stage, and where all are 0 their count does not matter.

    Raises:
        ConfigError: `pattern` does not fit the stages or blocks.
    """
    num_stages = len(stage_blocks)
    pattern = (pattern,) * num_stages if isinstance(pattern, int) else tuple(pattern)
    entries = list(pattern)
    surplus = names_parts and _any(entries[num_stages:])
    if names_parts and not _any(entries):
        entries += [0] * (num_stages - len(entries))
    if len(entries) < num_stages or surplus:
        raise ConfigError(
            f"{name}={pattern} of {network} has {len(pattern)} entries, but the network has "
            f"{num_stages} stages: give one entry a stage"
        )
    result = []
    for stage, (entry, blocks) in enumerate(zip(entries, stage_blocks, strict=False), start=1):
        each = (entry,) * blocks if isinstance(entry, int) else tuple(entry)
        if len(each) != blocks:
            raise ConfigError(
                f"{name} of {network} has {len(each)} entries {each} for stage {stage}, which has {blocks} blocks"
            )
        result.append(each)
    return result


def _of_stage(network: str, name: str, values: Sequence[int], stage: int, num_stages: int) -> int:
    if len(values) < num_stages:
        raise ConfigError(f"{name}={tuple(values)} of {network} has {len(values)} entries for {num_stages} stages")
    return values[stage]


def _any(pattern: int | Sequence[Any]) -> bool:
    return bool(pattern) if isinstance(pattern, int) else any(map(_any, pattern))
