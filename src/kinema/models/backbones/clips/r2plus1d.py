"""R(2+1)D: a residual network whose 3D convolutions are split into space and time.

Source: A Closer Look at Spatiotemporal Convolutions, Tran et al. 2018, arXiv:1711.11248.
"""

from collections.abc import Sequence
from typing import Any

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.clips.resnet3d import ClipResNet, ResNet3dArguments
from kinema.models.layers import LayerCfg
from kinema.registry import MODELS

CONV: LayerCfg = {"type": "Conv2plus1d"}


@MODELS.register_module()
class ResNet2Plus1d(ClipResNet):
    """(B, C, T, H, W) -> (B, out_channels, T', H/32, W/32).

    It pools after the stem, never after the first stage.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pretrained: checkpoint that `init_weights` loads; of a network of this kind, as an image
            network has no weights for it.
        stage_blocks: blocks of each stage; None: those of `depth`.
        pretrained2d: must be False.
        in_channels: C.
        num_stages: number of stages, from the first.
        base_channels: channels of the stem; they double with each stage.
        conv_cfg: `Conv2plus1d`.
        **settings: further arguments of `ResNet3dArguments`, of which `with_pool1` and `with_pool2`
            have no effect.

    Raises:
        ConfigError: `pretrained2d` is True, or `conv_cfg` names another convolution.
    """

    @takes_arguments_of(ResNet3dArguments)
    def __init__(
        self,
        depth: int = 50,
        pretrained: str | None = None,
        stage_blocks: Sequence[int] | None = None,
        pretrained2d: bool = False,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        *,
        conv_cfg: LayerCfg = CONV,
        **settings: Any,
    ) -> None:
        if pretrained2d:
            raise ConfigError(
                "ResNet2Plus1d cannot start from an image network: its convolutions are split. Set pretrained2d=False"
            )
        if conv_cfg.get("type") != "Conv2plus1d":
            raise ConfigError(f"conv_cfg of ResNet2Plus1d must be of type 'Conv2plus1d', got {dict(conv_cfg)}")
        arguments = ResNet3dArguments(
            depth,
            pretrained,
            stage_blocks,
            pretrained2d,
            in_channels,
            num_stages,
            base_channels,
            conv_cfg=conv_cfg,
            **{**settings, "with_pool1": True, "with_pool2": False},
        )
        super().__init__(arguments, arguments.parts(type(self).__name__))
