"""TIN: a ResNet whose blocks move groups of channels in time by learnt distances.

Source: TIN, Shao et al. 2020, arXiv:2001.06499. Unlike in TSM, every block does so in networks of 101 and 152 layers too.
Departure from the original: the move is a gather in plain torch, where the original needs a compiled CUDA operation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kinema.models.backbones.frames.resnet import ACT, CONV, NORM, Style
from kinema.models.backbones.frames.tsm import ResNetTSM, ShiftPlace
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg, PreparedConv, TemporalInterlace
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
class ResNetTIN(ResNetTSM):
    """(B * num_segments, in_channels, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        depth: see `ResNet`.
        is_tin: move channels in time; without it the network is a ResNet.
        num_segments: frames of a clip.
        is_shift: of `ResNetTSM`, as `shift_place` and `temporal_pool`: is taken for the sake of configs, and changes nothing.
        non_local: see `ResNetTSM`.
        non_local_cfg: see there.
        shift_div: one channel in `shift_div` moves; the published networks have 4.
        shift_place: see `is_shift`.
        temporal_pool: see `is_shift`.
        pretrained2d: see there.
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
        ConfigError: as `ResNetTSM` and `TemporalInterlace`.
    """

    def __init__(
        self,
        depth: int,
        is_tin: bool = True,
        *,
        num_segments: int = 8,
        is_shift: bool = True,
        non_local: Sequence[int | Sequence[int]] = (0, 0, 0, 0),
        non_local_cfg: Mapping[str, Any] | None = None,
        shift_div: int = 8,
        shift_place: ShiftPlace = "blockres",
        temporal_pool: bool = False,
        pretrained2d: bool = True,
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
            num_segments,
            is_tin,
            non_local,
            non_local_cfg,
            shift_div,
            pretrained2d=pretrained2d,
            pretrained=pretrained,
            torchvision_pretrain=torchvision_pretrain,
            in_channels=in_channels,
            num_stages=num_stages,
            out_indices=out_indices,
            strides=strides,
            dilations=dilations,
            style=style,
            frozen_stages=frozen_stages,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            norm_eval=norm_eval,
            partial_bn=partial_bn,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.is_tin = is_tin

    def _add_shifts(self, layer: nn.Module, frames: int) -> None:
        for block in layer.children():
            conv = block.get_submodule("conv1")
            inner = conv.get_submodule("conv")
            conv.conv = CombineNet(TemporalInterlace(inner.in_channels, frames, self.shift_div), inner)  # type: ignore[arg-type]
