"""ResNet3d: a residual network inflated along time, the backbone of I3D and the ground of its successors.

Sources: I3D, Carreira and Zisserman 2017, arXiv:1705.07750; the residual form, its inflation patterns and the pooling between
the first two stages: Non-local Neural Networks, Wang et al. 2018, arXiv:1711.07971, table 1.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from kinema.checkpoints.pretrained import load_backbone
from kinema.errors import ConfigError
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
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import ConvModule, LayerCfg, fix_batch_norms, freeze
from kinema.models.layers.cpu_convolution import arrange, best_layout
from kinema.models.layers.inputs import check_clips
from kinema.registry import MODELS

# For each stage one number, or one a block; a number alone is that of all stages.
Pattern = int | Sequence[int | Sequence[int]]
Init = TypeVar("Init", bound=Callable[..., None])

INIT_CFG: InitCfg = (
    {"type": "Kaiming", "layer": "Conv3d"},
    {"type": "Constant", "layer": ["_BatchNorm", "GroupNorm"], "val": 1},
)


@MODELS.register_module()
class ResNet3d(BaseModule):
    """(B, C, T, H, W) float -> (B, out_channels, T', H/32, W/32); with several `out_indices` a tuple of such.

    T' is T divided by `conv1_stride_t`, `pool1_stride_t`, 2 (`with_pool2`) and all `temporal_strides`.

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
        inflate: for each stage, or for each block of each stage, whether a kernel spans three frames.
        inflate_style: see `Block3d`, as the next three.
        conv_cfg: convolution.
        norm_cfg: norm.
        act_cfg: activation.
        norm_eval: batch norms use their running statistics also in training.
        with_cp: forget activations in training, and compute them again in the backward pass.
        non_local: for each stage, or for each block of each stage, whether a non-local block follows.
        non_local_cfg: arguments of the non-local blocks, see `NonLocal3d`.
        zero_init_residual: each block starts as its shortcut.
        init_cfg: replaces the initialisation: Kaiming normal for convolutions, 1 for norms.

    Attributes:
        out_channels: channels of the features; a tuple where `forward` returns one.

    Raises:
        ConfigError: there is no such depth, stage or block.
    """

    arch_settings: ClassVar[dict[int, tuple[type[Block3d], tuple[int, ...]]]] = {
        18: (BasicBlock3d, (2, 2, 2, 2)),
        34: (BasicBlock3d, (3, 4, 6, 3)),
        50: (Bottleneck3d, (3, 4, 6, 3)),
        101: (Bottleneck3d, (3, 4, 23, 3)),
        152: (Bottleneck3d, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int = 50,
        pretrained: str | None = None,
        stage_blocks: Sequence[int] | None = None,
        pretrained2d: bool = True,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_s: int = 2,
        conv1_stride_t: int = 1,
        pool1_stride_s: int = 2,
        pool1_stride_t: int = 1,
        with_pool1: bool = True,
        with_pool2: bool = True,
        style: Style = "pytorch",
        frozen_stages: int = -1,
        inflate: Pattern = (1, 1, 1, 1),
        inflate_style: InflateStyle = "3x1x1",
        conv_cfg: LayerCfg = CONV3D,
        norm_cfg: LayerCfg = BATCH_NORM,
        act_cfg: LayerCfg = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        non_local: Pattern = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        zero_init_residual: bool = True,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg or INIT_CFG)
        self.block, blocks = self._arch(depth)
        self.depth = depth
        self.pretrained = pretrained
        self.pretrained2d = pretrained2d
        self.in_channels = in_channels
        self.base_channels = base_channels
        self.out_indices = tuple(out_indices)
        self.with_pool1 = with_pool1
        self.with_pool2 = with_pool2
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg
        self.stage_blocks = self._stage_blocks(num_stages, stage_blocks or blocks)
        self.num_stages = len(self.stage_blocks)
        if not -1 <= frozen_stages <= self.num_stages:
            raise ConfigError(f"frozen_stages must be from -1 to {self.num_stages}, got {frozen_stages}")

        self.conv1 = ConvModule(
            in_channels,
            base_channels,
            tuple(conv1_kernel),
            stride=(conv1_stride_t, conv1_stride_s, conv1_stride_s),
            padding=tuple((size - 1) // 2 for size in conv1_kernel),
            bias=False,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.maxpool = nn.MaxPool3d((1, 3, 3), (pool1_stride_t, pool1_stride_s, pool1_stride_s), padding=(0, 1, 1))
        self.pool2 = nn.MaxPool3d((2, 1, 1), (2, 1, 1))
        patterns = [self._per_block("inflate", inflate), self._per_block("non_local", non_local, names_parts=True)]
        numbers = {"spatial_strides": spatial_strides, "temporal_strides": temporal_strides, "dilations": dilations}
        inplanes = base_channels
        self.res_layers: list[str] = []
        for stage in range(self.num_stages):
            spatial, temporal, dilation = (self._of_stage(name, one, stage) for name, one in numbers.items())
            planes = base_channels * 2**stage
            layer = make_stage(
                self.block,
                inplanes + self._lateral_channels(stage, inplanes),
                planes,
                inflate=patterns[0][stage],
                non_local=patterns[1][stage],
                spatial_stride=spatial,
                temporal_stride=temporal,
                dilation=dilation,
                style=style,
                inflate_style=inflate_style,
                non_local_cfg=non_local_cfg,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
                with_cp=with_cp,
                zero_init_residual=zero_init_residual,
            )
            inplanes = planes * self.block.expansion
            self.res_layers.append(f"layer{stage + 1}")
            self.add_module(self.res_layers[-1], layer)
        self.feat_dim = inplanes
        widths = tuple(base_channels * 2**stage * self.block.expansion for stage in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = widths[0] if len(widths) == 1 else widths
        self.train()

    # ---- reading the arguments

    def _arch(self, depth: int) -> tuple[type[Block3d], tuple[int, ...]]:
        if depth not in self.arch_settings:
            depths = ", ".join(map(str, self.arch_settings))
            raise ConfigError(f"{type(self).__name__} has no depth {depth}: there are {depths}")
        return self.arch_settings[depth]

    def _stage_blocks(self, num_stages: int, blocks: Sequence[int]) -> tuple[int, ...]:
        if not 1 <= num_stages <= len(blocks):
            raise ConfigError(
                f"num_stages={num_stages} of {type(self).__name__}: there are 1 to {len(blocks)} stages, whose blocks are "
                f"{tuple(blocks)}"
            )
        wrong = [index for index in self.out_indices if not 0 <= index < num_stages]
        if wrong or not self.out_indices:
            raise ConfigError(
                f"out_indices={self.out_indices} of {type(self).__name__} must name stages from 0 to {num_stages - 1}, as "
                f"num_stages={num_stages}"
            )
        return tuple(blocks[:num_stages])

    def _of_stage(self, name: str, values: Sequence[int], stage: int) -> int:
        if len(values) < self.num_stages:
            raise ConfigError(
                f"{name}={tuple(values)} of {type(self).__name__} has {len(values)} entries for {self.num_stages} stages"
            )
        return values[stage]

    def _per_block(self, name: str, pattern: Pattern, *, names_parts: bool = False) -> list[tuple[int, ...]]:
        """One number a block from one a stage or one a block.

        `names_parts`: a number that is not 0 asks for a part of its own, so none may point past the last stage, and where
        all are 0 their count does not matter.
        """
        pattern = (pattern,) * self.num_stages if isinstance(pattern, int) else tuple(pattern)
        entries = list(pattern)
        surplus = names_parts and _any(entries[self.num_stages :])
        if names_parts and not _any(entries):
            entries += [0] * (self.num_stages - len(entries))
        if len(entries) < self.num_stages or surplus:
            raise ConfigError(
                f"{name}={pattern} of {type(self).__name__} has {len(pattern)} entries, but the network has "
                f"{self.num_stages} stages: give one entry a stage"
            )
        result = []
        for stage, (entry, blocks) in enumerate(zip(entries, self.stage_blocks, strict=False), start=1):
            each = (entry,) * blocks if isinstance(entry, int) else tuple(entry)
            if len(each) != blocks:
                raise ConfigError(
                    f"{name} of {type(self).__name__} has {len(each)} entries {each} for stage {stage}, which has "
                    f"{blocks} blocks"
                )
            result.append(each)
        return result

    def _lateral_channels(self, stage: int, inplanes: int) -> int:
        """Channels that a stage receives from elsewhere; see `ResNet3dPathway`."""
        return 0

    # ---- weights

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained:
            self.load_pretrained(self.pretrained)
            report.credit(self, f"loaded from {self.pretrained}")

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`, inflated where `pretrained2d` says that they are those of an image network.

        Raises:
            CheckpointError: there is no such file, or nothing in it fits.
        """
        load_backbone(self, path, is_image_network=self.pretrained2d)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1, *(self.get_submodule(name) for name in self.res_layers[: self.frozen_stages])])

    def train(self, mode: bool = True) -> "ResNet3d":
        """Set the mode; frozen stages, and norms under `norm_eval`, stay in evaluation mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            fix_batch_norms(self)
        return self

    # ---- computing

    def stem(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, base_channels, T', H/4, W/4)."""
        x = self.conv1(x)
        return self.maxpool(x) if self.with_pool1 else x

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        check_clips(x, self.in_channels, type(self).__name__)
        x = self.stem(arrange(x, best_layout(x, self)))
        outs = []
        for stage, name in enumerate(self.res_layers):
            x = self._modules[name](x)  # type: ignore[misc]
            if stage == 0 and self.with_pool2:
                x = self.pool2(x)
            if stage in self.out_indices:
                outs.append(x)
        return outs[0] if len(outs) == 1 else tuple(outs)


def _any(pattern: int | Sequence[Any]) -> bool:
    return bool(pattern) if isinstance(pattern, int) else any(map(_any, pattern))


def takes_arguments_of(base: type) -> Callable[[Init], Init]:
    """Decorator for an `__init__` that passes further keywords on to that of `base`.

    Its signature then lists them, so that help, editors and the registry's messages name the real keywords.
    """

    def decorate(init: Init) -> Init:
        own = inspect.signature(init)
        named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        further = [
            one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, one in inspect.signature(base.__init__).parameters.items()  # type: ignore[misc]
            if name not in own.parameters
        ]
        init.__signature__ = own.replace(parameters=[*named, *further])  # type: ignore[attr-defined]
        return init

    return decorate
