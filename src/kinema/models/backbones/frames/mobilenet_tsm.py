"""TSM on MobileNetV2. Source: TSM, Lin et al. 2019, arXiv:1811.08383, section 5.3; the shift is inside the shortcuts."""

from collections.abc import Sequence

from kinema.models.backbones.frames.mobilenet import ACT6, InvertedResidual, MobileNetV2
from kinema.models.backbones.frames.resnet import CONV, NORM
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg, TemporalShift
from kinema.registry import MODELS


@MODELS.register_module()
class MobileNetV2TSM(MobileNetV2):
    """(B * num_segments, 3, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        num_segments: frames of a clip.
        is_shift: shift in time; without it the network is a MobileNetV2.
        shift_div: one channel in `shift_div` moves back in time, one forth.
        pretrained2d: `pretrained` is a 2D network. There is no other.
        pretrained: see `MobileNetV2`, as all that follow.
        widen_factor: see there.
        out_indices: see there.
        frozen_stages: see there.
        conv_cfg: see there.
        norm_cfg: see there.
        act_cfg: see there.
        norm_eval: see there.
        with_cp: see there.
        init_cfg: see there.
    """

    def __init__(
        self,
        num_segments: int = 8,
        is_shift: bool = True,
        shift_div: int = 8,
        pretrained2d: bool = True,
        *,
        pretrained: str | None = None,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (7,),
        frozen_stages: int = -1,
        conv_cfg: LayerCfg = CONV,
        norm_cfg: LayerCfg = NORM,
        act_cfg: LayerCfg = ACT6,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(
            pretrained,
            widen_factor,
            out_indices,
            frozen_stages,
            conv_cfg,
            norm_cfg,
            act_cfg,
            norm_eval,
            with_cp,
            init_cfg,
        )
        self.num_segments = num_segments
        self.is_shift = is_shift
        self.shift_div = shift_div
        self.pretrained2d = pretrained2d
        for block in list(self.modules()) if is_shift else ():
            if isinstance(block, InvertedResidual) and block.use_res_connect and len(block.conv) == 3:
                block.conv[0] = TemporalShift(block.conv[0], num_segments, shift_div)
