"""TSM on MobileNetV2, whose shifts are inside the shortcuts.

Source: TSM, Lin et al. 2019, arXiv:1811.08383, section 5.3.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from kinema.arguments import takes_arguments_of
from kinema.models.backbones.base import StagedNetwork, keep_arguments
from kinema.models.backbones.frames.mobilenet import STAGES, InvertedResidual, MobileNetArguments
from kinema.models.layers import TemporalShift
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


@MODELS.register_module()
@accepts_openmmlab_keywords
class MobileNetV2TSM(StagedNetwork):
    """(B * num_segments, 3, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        num_segments: frames of a clip.
        is_shift: shift in time; without it the network is a MobileNetV2.
        shift_div: one channel in `shift_div` moves back in time, another forth.
        **settings: arguments of `MobileNetArguments`.

    Raises:
        ConfigError: a stage that does not exist.
    """

    arch_settings: ClassVar[Sequence[Sequence[int]]] = STAGES

    @takes_arguments_of(MobileNetArguments)
    def __init__(
        self,
        num_segments: int = 8,
        is_shift: bool = True,
        shift_div: int = 8,
        **settings: Any,
    ) -> None:
        arguments = MobileNetArguments(**settings)
        super().__init__(**arguments.parts(type(self).__name__, self.arch_settings))
        keep_arguments(self, arguments)
        self.layers = self.res_layers
        self.out_channel = self.widths[-1]
        self.num_segments = num_segments
        self.is_shift = is_shift
        self.shift_div = shift_div
        for block in list(self.modules()) if is_shift else ():
            if isinstance(block, InvertedResidual) and block.use_res_connect and len(block.conv) == 3:
                block.conv[0] = TemporalShift(block.conv[0], num_segments, shift_div)
