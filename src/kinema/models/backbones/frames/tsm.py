"""TSM: a ResNet whose blocks shift channels in time, maybe with non-local blocks between them.

Source: TSM, Lin et al. 2019, arXiv:1811.08383; non-local blocks as in arXiv:1711.07971. In networks
of 101 and 152 layers every second block shifts, as in the authors' code.
Departures from the original: with `temporal_pool`, non-local blocks behind the pooling see the
frames of one clip, not of two.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import FrameResNet, ResNetArguments
from kinema.models.layers import NonLocal3d, TemporalShift
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS

ShiftPlace = Literal["blockres", "block"]
NonLocalPlaces = Sequence[int | Sequence[int]]


class NL3DWrapper(nn.Module):
    """A block over frames with a non-local block over time and space behind it.

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
        self.non_local_cfg = dict(non_local_cfg or {})
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
@accepts_openmmlab_keywords
class ResNetTSM(FrameResNet):
    """(B * T, in_channels, H, W) -> (B * T, out_channels, H / 32, W / 32), T = `num_segments`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_segments: frames of a clip.
        is_shift: shift in time; without it the network is a ResNet.
        non_local: for each stage, 1 or 0 for all its blocks, or a flag a block: a non-local block
            behind it.
        non_local_cfg: arguments of `NonLocal3d`; needed where `non_local` names a block.
        shift_div: one channel in `shift_div` moves back in time, another forth.
        shift_place: `"blockres"`: the shift is beside the shortcut; `"block"`: in front of the
            whole block.
        temporal_pool: halve the frames in front of the second stage.
        **settings: further arguments of `ResNetArguments`.

    Raises:
        ConfigError: as `ResNet`; a place of shift that does not exist; a non-local block where
            there is no stage or block; frames that cannot be halved.
    """

    @takes_arguments_of(ResNetArguments)
    def __init__(
        self,
        depth: int,
        num_segments: int = 8,
        is_shift: bool = True,
        non_local: NonLocalPlaces = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        shift_place: ShiftPlace = "blockres",
        temporal_pool: bool = False,
        **settings: Any,
    ) -> None:
        if shift_place not in ("blockres", "block"):
            raise ConfigError(f"shift_place of ResNetTSM must be 'blockres' or 'block', got {shift_place!r}")
        check_num_segments("ResNetTSM", num_segments)
        if temporal_pool and num_segments % 2:
            raise ConfigError(f"temporal_pool of ResNetTSM halves num_segments, which must be even, got {num_segments}")
        arguments = ResNetArguments(depth, **settings)
        parts = arguments.parts(type(self).__name__, self.arch_settings)
        stages = parts["stages"]
        flags = non_local_flags("ResNetTSM", depth, [*map(len, stages.values())], non_local, non_local_cfg)
        for number, (stage, stage_flags) in enumerate(zip(stages.values(), flags, strict=True)):
            frames = num_segments // 2 if temporal_pool and number else num_segments
            channels = parts["widths"][number]
            if is_shift:
                add_shifts(stage, frames, shift_div, shift_place, every=2 if depth >= 101 else 1)
            add_non_local_blocks(stage, stage_flags, frames, channels, non_local_cfg)
        if temporal_pool and len(stages) > 1:
            stages["layer2"] = TemporalPool(stages["layer2"], num_segments)
        super().__init__(arguments, parts)
        self.num_segments = num_segments
        self.is_shift = is_shift
        self.shift_div = shift_div
        self.shift_place = shift_place
        self.temporal_pool = temporal_pool
        self.non_local = tuple(non_local)
        self.non_local_stages = self.non_local
        self.non_local_cfg = dict(non_local_cfg or {})


def add_shifts(stage: nn.Module, frames: int, shift_div: int, place: ShiftPlace, *, every: int) -> None:
    """Let blocks of a stage shift channels in time.

    Args:
        stage: its children are blocks; changed in place.
        frames: of a clip.
        shift_div: see `TemporalShift`.
        place: see `ResNetTSM`.
        every: with `"blockres"`, each so many blocks, from the first.
    """
    for index, block in enumerate(list(stage.children())):
        if place == "block":
            stage.add_module(str(index), TemporalShift(block, frames, shift_div))
        elif index % every == 0:
            conv = block.get_submodule("conv1")
            conv.conv = TemporalShift(conv.get_submodule("conv"), frames, shift_div)


def check_num_segments(network: str, num_segments: int) -> None:
    """Raise `ConfigError` for less than one frame a clip."""
    if num_segments < 1:
        raise ConfigError(f"num_segments of {network} must be at least 1, got {num_segments}")


def non_local_flags(
    network: str,
    depth: int,
    stage_blocks: Sequence[int],
    places: NonLocalPlaces,
    non_local_cfg: Mapping[str, Any] | None,
) -> list[tuple[int, ...]]:
    """For each stage, of `stage_blocks` blocks, a flag a block.

    Raises:
        ConfigError: `places` does not fit the stages and blocks, or there is no `non_local_cfg`.
    """
    num_stages = len(stage_blocks)
    if len(places) < num_stages or any(map(_is_set, places[num_stages:])):
        raise ConfigError(f"non_local of {network} names {len(places)} stages, but there are {num_stages}")
    if any(map(_is_set, places)) and not non_local_cfg:
        raise ConfigError(
            f"non_local of {network} names blocks, but non_local_cfg is empty: set it, e.g. to "
            "dict(sub_sample=True, use_scale=False, norm_cfg=dict(type='BN3d'), mode='embedded_gaussian')"
        )
    flags = []
    for number, (stage, count) in enumerate(zip(places, stage_blocks, strict=False), start=1):
        stage = (stage,) * count if isinstance(stage, int) else tuple(stage)
        if len(stage) != count:
            raise ConfigError(
                f"non_local of {network} has {len(stage)} flags for stage {number}, which has {count} blocks at "
                f"depth {depth}: give one a block"
            )
        flags.append(stage)
    return flags


def add_non_local_blocks(
    stage: nn.Module, flags: Sequence[int], frames: int, channels: int, non_local_cfg: Mapping[str, Any] | None
) -> None:
    """Put a non-local block behind each block whose flag is set; `stage` is changed in place."""
    for index, (block, flag) in enumerate(zip(list(stage.children()), flags, strict=True)):
        if flag:
            stage.add_module(str(index), NL3DWrapper(block, frames, non_local_cfg, channels=channels))


def _is_set(stage: int | Sequence[int]) -> bool:
    return bool(stage) if isinstance(stage, int) else any(stage)
