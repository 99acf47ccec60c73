"""MobileNetV2. Source: Sandler et al. 2018, arXiv:1801.04381, table 2."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.base import StagedNetwork, keep_arguments
from kinema.models.backbones.frames.resnet import CONV, INIT, NORM
from kinema.models.init import InitCfg
from kinema.models.layers import ConvModule, LayerCfg
from kinema.models.layers.recomputation import recomputed
from kinema.models.layers.settings import divisible
from kinema.registry import MODELS

ACT6: LayerCfg = {"type": "ReLU6", "inplace": True}

# (expansion, channels, blocks, stride of the first block) of the seven stages.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; with a shortcut where the shapes agree.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 1 or 2.
        expand_ratio: factor of the widening; 1: none.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations.
        with_cp: recompute the block in the backward pass, for less memory.

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
            return recomputed(self, self._compute, x)
        return self._compute(x)

    def _compute(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetArguments(NamedTuple):
    """OpenMMLab's arguments of a MobileNetV2, in its order.

    Args:
        pretrained: checkpoint that `init_weights` loads.
        widen_factor: factor of all channels; the last layer has at least 1280.
        out_indices: stages, 0 to 6, or 7 for the last layer, whose output is returned: one tensor,
            or a tuple of several.
        frozen_stages: the stem and so many stages are not trained; -1: all are.
        conv_cfg: type of the convolutions.
        norm_cfg: type and settings of the norms.
        act_cfg: type of the activations.
        norm_eval: batch norms use and keep their running statistics in training.
        with_cp: recompute the blocks in the backward pass, for less memory.
        init_cfg: replaces the initialisation: Kaiming normal, norms 1.
    """

    pretrained: str | None = None
    widen_factor: float = 1.0
    out_indices: Sequence[int] = (7,)
    frozen_stages: int = -1
    conv_cfg: LayerCfg = CONV
    norm_cfg: LayerCfg = NORM
    act_cfg: LayerCfg = ACT6
    norm_eval: bool = False
    with_cp: bool = False
    init_cfg: InitCfg | None = None

    def parts(self, network: str, architecture: Sequence[Sequence[int]] = STAGES) -> dict[str, Any]:
        """Arguments of a `StagedNetwork`, its stem and stages built.

        Args:
            network: name of its class, for messages.
            architecture: expansion, channels, blocks and stride of the seven stages.

        Raises:
            ConfigError: a stage that does not exist.
        """
        if not self.out_indices or not all(0 <= index <= 7 for index in self.out_indices):
            raise ConfigError(f"out_indices of {network} must be from 0 to 7, got {tuple(self.out_indices)}")
        layers: dict[str, Any] = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        channels = divisible(32 * self.widen_factor)
        stem = ConvModule(3, channels, 3, stride=2, padding=1, **layers)
        stages: dict[str, nn.Module] = {}
        widths = []
        for number, (expansion, width, count, stride) in enumerate(architecture, start=1):
            blocks = []
            for index in range(count):
                ends = channels, divisible(width * self.widen_factor)
                step = 1 if index else stride
                blocks.append(InvertedResidual(*ends, step, expansion, **layers, with_cp=self.with_cp))
                channels = ends[1]
            stages[f"layer{number}"] = nn.Sequential(*blocks)
            widths.append(channels)
        widths.append(int(1280 * self.widen_factor) if self.widen_factor > 1 else 1280)
        stages["conv2"] = ConvModule(channels, widths[-1], 1, **layers)
        return {
            "stem": stem,
            "stages": stages,
            "widths": widths,
            "out_indices": self.out_indices,
            "with_pool1": False,
            "pretrained": self.pretrained,
            "from_images": True,
            "frozen_stages": self.frozen_stages,
            "norm_eval": self.norm_eval,
            "init_cfg": self.init_cfg or INIT,
        }


@MODELS.register_module()
class MobileNetV2(StagedNetwork):
    """(B, 3, H, W) float -> (B, out_channels, H / 32, W / 32), sizes rounded up.

    Args:
        *args: see `MobileNetArguments`, as the settings.
        **settings: the same by name.

    Raises:
        ConfigError: a stage that does not exist.
    """

    arch_settings: ClassVar[Sequence[Sequence[int]]] = STAGES

    @takes_arguments_of(MobileNetArguments)
    def __init__(self, *args: Any, **settings: Any) -> None:
        arguments = MobileNetArguments(*args, **settings)
        super().__init__(**arguments.parts(type(self).__name__, self.arch_settings))
        keep_arguments(self, arguments)
        self.layers = self.res_layers
        self.out_channel = self.widths[-1]
