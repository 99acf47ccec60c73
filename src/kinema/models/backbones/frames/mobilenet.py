"""MobileNetV2. Source: Sandler et al. 2018, arXiv:1801.04381, table 2."""

import math
from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kinema.checkpoints.pretrained import load_backbone
from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import CONV, INIT, NORM
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import ConvModule, LayerCfg, fix_batch_norms, freeze
from kinema.models.layers.cpu_convolution import arrange, best_layout
from kinema.models.layers.inputs import check_frames
from kinema.registry import MODELS

ACT6: LayerCfg = {"type": "ReLU6", "inplace": True}

# (expansion, channels, blocks, stride of the first block) of the seven stages.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, at least one, and not below 90 % of `value`."""
    near = max(divisor, math.floor(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; with a shortcut where the shapes agree.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 1 or 2.
        expand_ratio: factor of the widening; 1: none.
        conv_cfg: see `MobileNetV2`, as all that follow.
        norm_cfg: see there.
        act_cfg: see there.
        with_cp: see there.

    Raises:
        ConfigError: another stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        conv_cfg: LayerCfg = CONV,
        norm_cfg: LayerCfg = NORM,
        act_cfg: LayerCfg = ACT6,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ConfigError(f"stride of an inverted residual block must be 1 or 2, got {stride}")
        self.stride = stride
        self.with_cp = with_cp
        self.use_res_connect = stride == 1 and in_channels == out_channels
        width = round(in_channels * expand_ratio)
        layers: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        widen = [ConvModule(in_channels, width, 1, **layers, act_cfg=act_cfg)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(
            *widen,
            ConvModule(width, width, 3, stride=stride, padding=1, groups=width, **layers, act_cfg=act_cfg),
            ConvModule(width, out_channels, 1, **layers, act_cfg=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self._compute, x, use_reentrant=False)
        return self._compute(x)

    def _compute(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


@MODELS.register_module()
class MobileNetV2(BaseModule):
    """(B, 3, H, W) float -> (B, out_channels, H / 32, W / 32), sizes rounded up.

    Args:
        pretrained: checkpoint that `init_weights` loads.
        widen_factor: factor of all channels; the last layer has at least 1280.
        out_indices: stages, 0 to 6, or 7 for the last layer, whose output is returned: one tensor, or a tuple of several.
        frozen_stages: the stem and so many stages are not trained; -1: all are.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations.
        norm_eval: batch norms use and keep their running statistics in training.
        with_cp: recompute the blocks in the backward pass, for less memory.
        init_cfg: replaces the initialisation: Kaiming normal, norms 1.

    Attributes:
        out_channels: channels of the output; a tuple where `forward` returns one.

    Raises:
        ConfigError: a stage that does not exist.
    """

    def __init__(
        self,
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
        super().__init__(init_cfg or INIT)
        if not out_indices or not all(0 <= index <= 7 for index in out_indices):
            raise ConfigError(f"out_indices of {type(self).__name__} must be from 0 to 7, got {tuple(out_indices)}")
        if not -1 <= frozen_stages <= 8:
            raise ConfigError(f"frozen_stages of {type(self).__name__} must be from -1 to 8, got {frozen_stages}")
        self.pretrained = pretrained
        self.widen_factor = widen_factor
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        layers: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        channels = divisible(32 * widen_factor)
        self.conv1 = ConvModule(3, channels, 3, stride=2, padding=1, **layers)
        self.layers: list[str] = []
        outputs = []
        for number, (expansion, width, count, stride) in enumerate(STAGES, start=1):
            blocks = []
            for index in range(count):
                ends = channels, divisible(width * widen_factor)
                blocks.append(InvertedResidual(*ends, 1 if index else stride, expansion, **layers, with_cp=with_cp))
                channels = ends[1]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            self.layers.append(f"layer{number}")
            outputs.append(channels)
        last = int(1280 * widen_factor) if widen_factor > 1 else 1280
        self.conv2 = ConvModule(channels, last, 1, **layers)
        self.layers.append("conv2")
        widths = tuple([*outputs, last][index] for index in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = widths[0] if len(widths) == 1 else widths
        self._freeze_stages()

    def forward(self, x: Tensor) -> Any:
        check_frames(x, 3, type(self).__name__)
        x = arrange(x, best_layout(x, self))
        x = self.conv1(x)
        outs = []
        for index, layer in enumerate(self.layers):
            x = self._modules[layer](x)  # type: ignore[misc]
            if index in self.out_indices:
                outs.append(x)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained:
            load_backbone(self, self.pretrained, is_image_network=True)
            report.credit(self, f"loaded from {self.pretrained}")

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1, *(self.get_submodule(layer) for layer in self.layers[: self.frozen_stages])])

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except for what is frozen."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            fix_batch_norms(self)
        return self
