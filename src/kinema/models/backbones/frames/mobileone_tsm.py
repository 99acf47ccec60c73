"""TSM on MobileOne: every block shifts what enters it.

Source: TSM, Lin et al. 2019, arXiv:1811.08383; MobileOne, Vasu et al. 2023, arXiv:2206.04040.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from kinema.arguments import takes_arguments_of
from kinema.models.backbones.frames.mobileone import MobileOne
from kinema.models.layers import TemporalShift
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


@MODELS.register_module()
@accepts_openmmlab_keywords
class MobileOneTSM(MobileOne):
    """(B * num_segments, C, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        arch: see `MobileOne`.
        num_segments: frames of a clip.
        is_shift: shift in time; without it the network is a MobileOne.
        shift_div: one channel in `shift_div` moves back in time, another forth.
        **settings: arguments of `MobileOne`.

    Raises:
        ConfigError: there is no such architecture or stage.
    """

    @takes_arguments_of(MobileOne)
    def __init__(
        self,
        arch: str | Mapping[str, Any],
        num_segments: int = 8,
        is_shift: bool = True,
        shift_div: int = 8,
        **settings: Any,
    ) -> None:
        super().__init__(arch, **settings)
        self.num_segments, self.is_shift, self.shift_div = num_segments, is_shift, shift_div
        if is_shift:
            self.stage0 = TemporalShift(self.stage0, num_segments, shift_div)
            for name in self.stages:
                stage: nn.Sequential = self.get_submodule(name)  # type: ignore[assignment]
                for place, block in enumerate(stage):
                    stage[place] = TemporalShift(block, num_segments, shift_div)
        self.hold()
