"""One stage of a ResNet over clips, which goes over features of another network."""

from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.backbones.clips.blocks3d import (
    BATCH_NORM,
    CONV3D,
    RELU,
    InflateStyle,
    Style,
    make_stage,
)
from kinema.models.backbones.clips.resnet3d import ARCHITECTURES, INIT_CFG
from kinema.models.init import InitCfg
from kinema.models.layers import LayerCfg
from kinema.registry import MODELS


@MODELS.register_module()
class ResNet3dLayer(Backbone):
    """Features of the stage before -> features of this one, its child `layer1` to `layer4`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads.
        pretrained2d: it is that of an image network, to be inflated.
        stage: which stage, from 0.
        base_channels: channels inside the first stage of the network.
        spatial_stride: step over height and width.
        temporal_stride: step over frames.
        dilation: spacing of the spatial taps.
        style: see `Block3d`.
        all_frozen: nothing is trained.
        inflate: whether kernels span three frames.
        inflate_style: see `Block3d`.
        conv_cfg: convolution.
        norm_cfg: norm.
        act_cfg: activation.
        norm_eval: batch norms use their running statistics also in training.
        with_cp: forget activations in training, and compute them again in the backward pass.
        zero_init_residual: each block starts as its shortcut.
        init_cfg: replaces the initialisation.

    Raises:
        ConfigError: there is no such depth or stage.
    """

    def __init__(
        self,
        depth: int,
        pretrained: str | None = None,
        pretrained2d: bool = True,
        stage: int = 3,
        base_channels: int = 64,
        spatial_stride: int = 2,
        temporal_stride: int = 1,
        dilation: int = 1,
        style: Style = "pytorch",
        all_frozen: bool = False,
        inflate: int = 1,
        inflate_style: InflateStyle = "3x1x1",
        conv_cfg: LayerCfg = CONV3D,
        norm_cfg: LayerCfg = BATCH_NORM,
        act_cfg: LayerCfg = RELU,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: InitCfg | None = None,
    ) -> None:
        if depth not in ARCHITECTURES:
            raise ConfigError(f"ResNet3dLayer has no depth {depth}: there are {', '.join(map(str, ARCHITECTURES))}")
        if not 0 <= stage <= 3:
            raise ConfigError(f"stage of ResNet3dLayer must be from 0 to 3, got {stage}")
        super().__init__(
            init_cfg or INIT_CFG,
            pretrained=pretrained,
            from_images=pretrained2d,
            frozen_stages=0 if all_frozen else -1,
            norm_eval=norm_eval,
        )
        block, stage_blocks = ARCHITECTURES[depth]
        self.depth = depth
        self.stage = stage
        self.base_channels = base_channels
        self.all_frozen = all_frozen
        self.block = block
        planes = base_channels * 2**stage
        self.in_channels = base_channels if stage == 0 else planes // 2 * block.expansion
        self.out_channels = planes * block.expansion
        self.layer_name = f"layer{stage + 1}"
        settings: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        layer = make_stage(
            block,
            self.in_channels,
            planes,
            inflate=(inflate,) * stage_blocks[stage],
            non_local=(0,) * stage_blocks[stage],
            spatial_stride=spatial_stride,
            temporal_stride=temporal_stride,
            dilation=dilation,
            style=style,
            inflate_style=inflate_style,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            **settings,
        )
        self.add_module(self.layer_name, layer)
        self.hold()

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The stage."""
        return [[self.get_submodule(self.layer_name)]]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.get_submodule(self.layer_name)(x)
        return out
