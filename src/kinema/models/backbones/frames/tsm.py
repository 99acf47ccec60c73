"""TSM: a ResNet whose blocks shift channels in time, maybe with non-local blocks between them.

Source: TSM, Lin et al. 2019, arXiv:1811.08383; non-local blocks as in arXiv:1711.07971. In networks of 101 and 152 layers every
second block shifts, as in the authors' code.
Departures from the original: with `temporal_pool`, non-local blocks behind the pooling see the frames of one clip, not of two.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import ACT, CONV, NORM, ResNet, Style
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg, NonLocal3d, TemporalShift
from kinema.registry import MODELS

ShiftPlace = Literal["blockres", "block"]


class NL3DWrapper(nn.Module):
    """A block of a 2D network with a non-local block over time and space behind it; frames in, frames out.

    Args:
        block: (B * T, C, H, W) -> (B * T, C', H', W').
        num_segments: T.
        non_local_cfg: arguments of `NonLocal3d`.
        channels: C'; default: what the block says of itself.
    """

    def __init__(
        self,
        block: nn.Module,
        num_segments: int,
        non_local_cfg: Mapping[str, Any] | None = None,
        *,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        self.block = block
        self.num_segments = num_segments
        self.non_local_block = NonLocal3d(channels or block.out_channels, **(non_local_cfg or {}))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        clips = self.block(x).unflatten(0, (-1, self.num_segments)).transpose(1, 2)  # (B, C', T, H', W')
        return self.non_local_block(clips).transpose(1, 2).flatten(0, 1)


class TemporalPool(nn.Module):
    """Halve the number of frames, each being the maximum of three, then apply `net`.

    Args:
        net: gets the (B * T / 2, C, H, W) frames.
        num_segments: T.
    """

    def __init__(self, net: nn.Module, num_segments: int) -> None:
        super().__init__()
        self.net = net
        self.num_segments = num_segments
        self.max_pool3d = nn.MaxPool3d((3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        clips = x.unflatten(0, (-1, self.num_segments)).transpose(1, 2)  # (B, C, T, H, W)
        return self.net(self.max_pool3d(clips).transpose(1, 2).flatten(0, 1))


@MODELS.register_module()
class ResNetTSM(ResNet):
    """(B * num_segments, in_channels, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        depth: see `ResNet`.
        num_segments: frames of a clip.
        is_shift: shift in time; without it the network is a ResNet.
        non_local: for each stage, 1 or 0 for all its blocks, or a flag a block: a non-local block behind it.
        non_local_cfg: arguments of `NonLocal3d`; needed where `non_local` names a block.
        shift_div: one channel in `shift_div` moves back in time, one forth.
        shift_place: `"blockres"`: the shift is beside the shortcut; `"block"`: in front of the whole block.
        temporal_pool: halve the frames in front of the second stage.
        pretrained2d: `pretrained` is a 2D network. There is no other.
        pretrained: see `ResNet`, as all that follow.
        torchvision_pretrain: see there.
        in_channels: see there.
        num_stages: see there.
        out_indices: see there.
        strides: see there.
        dilations: see there.
        style: see there.
        frozen_stages: see there.
        conv_cfg: see there.
        norm_cfg: see there.
        act_cfg: see there.
        norm_eval: see there.
        partial_bn: see there.
        with_cp: see there.
        init_cfg: see there.

    Raises:
        ConfigError: as `ResNet`; a place of shift that does not exist; a non-local block where there is no stage or block;
            frames that cannot be halved.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        is_shift: bool = True,
        non_local: Sequence[int | Sequence[int]] = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        shift_place: ShiftPlace = "blockres",
        temporal_pool: bool = False,
        pretrained2d: bool = True,
        *,
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
        super().__init__(
            depth,
            pretrained,
            torchvision_pretrain,
            in_channels,
            num_stages,
            out_indices,
            strides,
            dilations,
            style,
            frozen_stages,
            conv_cfg,
            norm_cfg,
            act_cfg,
            norm_eval,
            partial_bn,
            with_cp,
            init_cfg,
        )
        if shift_place not in ("blockres", "block"):
            raise ConfigError(f"shift_place of ResNetTSM must be 'blockres' or 'block', got {shift_place!r}")
        if num_segments < 1:
            raise ConfigError(f"num_segments of ResNetTSM must be at least 1, got {num_segments}")
        if temporal_pool and num_segments % 2:
            raise ConfigError(f"temporal_pool of ResNetTSM halves num_segments, which must be even, got {num_segments}")
        self.num_segments = num_segments
        self.is_shift = is_shift
        self.shift_div = shift_div
        self.shift_place = shift_place
        self.temporal_pool = temporal_pool
        self.pretrained2d = pretrained2d
        self.non_local = tuple(non_local)
        self.non_local_cfg = dict(non_local_cfg or {})
        flags = self._non_local_flags()
        # Frames of a clip in each stage.
        segments = [num_segments // 2 if temporal_pool and stage else num_segments for stage in range(num_stages)]
        for layer, stage_flags, frames in zip(self.res_layers, flags, segments, strict=True):
            if is_shift:
                self._add_shifts(self.get_submodule(layer), frames)
            self._add_non_local_blocks(self.get_submodule(layer), stage_flags, frames)
        if temporal_pool and num_stages > 1:
            self.layer2 = TemporalPool(self.get_submodule("layer2"), num_segments)
        self._freeze_stages()

    def _non_local_flags(self) -> list[tuple[int, ...]]:
        """For each stage, a flag a block."""
        if len(self.non_local) < self.num_stages or any(map(_is_set, self.non_local[self.num_stages :])):
            raise ConfigError(
                f"non_local of ResNetTSM names {len(self.non_local)} stages, but there are {self.num_stages}"
            )
        if any(map(_is_set, self.non_local)) and not self.non_local_cfg:
            raise ConfigError(
                "non_local of ResNetTSM names blocks, but non_local_cfg is empty: set it, e.g. to "
                "dict(sub_sample=True, use_scale=False, norm_cfg=dict(type='BN3d'), mode='embedded_gaussian')"
            )
        flags = []
        for number, (stage, count) in enumerate(zip(self.non_local, self.stage_blocks, strict=False), start=1):
            stage = (stage,) * count if isinstance(stage, int) else tuple(stage)
            if len(stage) != count:
                raise ConfigError(
                    f"non_local of ResNetTSM has {len(stage)} flags for stage {number}, which has {count} blocks at "
                    f"depth {self.depth}: give one a block"
                )
            flags.append(stage)
        return flags

    def _add_shifts(self, layer: nn.Module, frames: int) -> None:
        every = 2 if self.depth >= 101 else 1
        for index, block in enumerate(list(layer.children())):
            if self.shift_place == "block":
                layer.add_module(str(index), TemporalShift(block, frames, self.shift_div))
            elif index % every == 0:
                conv = block.get_submodule("conv1")
                conv.conv = TemporalShift(conv.get_submodule("conv"), frames, self.shift_div)

    def _add_non_local_blocks(self, layer: nn.Module, flags: Sequence[int], frames: int) -> None:
        channels = next(one.out_channels for one in layer.modules() if isinstance(one, self.block))
        for index, (block, flag) in enumerate(zip(list(layer.children()), flags, strict=True)):
            if flag:
                layer.add_module(str(index), NL3DWrapper(block, frames, self.non_local_cfg, channels=channels))


def _is_set(stage: int | Sequence[int]) -> bool:
    return bool(stage) if isinstance(stage, int) else any(stage)
