"""TIN: a ResNet whose blocks move groups of channels in time by learnt distances.

Source: TIN, Shao et al. 2020, arXiv:2001.06499. Unlike in TSM, every block does so in networks of
101 and 152 layers too.
Departure from the original: the move is a gather in plain torch, where the original needs a
compiled CUDA operation.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.models.backbones.frames.resnet import FrameResNet, ResNetArguments
from kinema.models.backbones.frames.tsm import (
    NonLocalPlaces,
    add_non_local_blocks,
    check_num_segments,
    non_local_flags,
)
from kinema.models.layers import PreparedConv, TemporalInterlace
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


class CombineNet(PreparedConv):
    """`net2` after `net1`.

    Args:
        net1: is applied first.
        net2: is applied to its result.
    """

    def __init__(self, net1: nn.Module, net2: nn.Module) -> None:
        super().__init__()
        self.net1 = net1
        self.net2 = net2

    @property
    def last(self) -> nn.Module:
        """`net2`."""
        return self.net2

    def prepare(self, x: Tensor) -> Tensor:
        """What `net1` gives."""
        out: Tensor = self.net1(x)
        return out


@MODELS.register_module()
@accepts_openmmlab_keywords
class ResNetTIN(FrameResNet):
    """(B * T, in_channels, H, W) -> (B * T, out_channels, H / 32, W / 32), T = `num_segments`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        is_tin: move channels in time; without it the network is a ResNet.
        num_segments: frames of a clip.
        non_local: see `ResNetTSM`, as `non_local_cfg`.
        non_local_cfg: arguments of the non-local blocks.
        shift_div: one channel in `shift_div` moves; the published networks have 4.
        **settings: further arguments of `ResNetArguments`.

    Raises:
        ConfigError: as `ResNetTSM` and `TemporalInterlace`.
    """

    @takes_arguments_of(ResNetArguments)
    def __init__(
        self,
        depth: int,
        is_tin: bool = True,
        *,
        num_segments: int = 8,
        non_local: NonLocalPlaces = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        **settings: Any,
    ) -> None:
        check_num_segments("ResNetTIN", num_segments)
        arguments = ResNetArguments(depth, **settings)
        parts = arguments.parts(type(self).__name__, self.arch_settings)
        blocks = [len(stage) for stage in parts["stages"].values()]
        flags = non_local_flags("ResNetTIN", depth, blocks, non_local, non_local_cfg)
        for stage, stage_flags, channels in zip(parts["stages"].values(), flags, parts["widths"], strict=True):
            for block in stage.children() if is_tin else ():
                conv = block.conv1
                move = TemporalInterlace(conv.conv.in_channels, num_segments, shift_div)
                conv.conv = CombineNet(move, conv.conv)
            add_non_local_blocks(stage, stage_flags, num_segments, channels, non_local_cfg)
        super().__init__(arguments, parts)
        self.is_tin = is_tin
        self.num_segments = num_segments
        self.shift_div = shift_div
        self.non_local = tuple(non_local)
        self.non_local_cfg = dict(non_local_cfg or {})
