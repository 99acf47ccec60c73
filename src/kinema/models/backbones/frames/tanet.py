"""TANet: a ResNet whose bottlenecks have a temporal adaptive module.

Source: TAM, Liu et al. 2021, arXiv:2005.06803.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import Bottleneck, FrameResNet, ResNetArguments
from kinema.models.layers import TAM
from kinema.models.layers.recomputation import recomputed
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import MODELS


class TABlock(nn.Module):
    """A bottleneck with a temporal adaptive module behind its first convolution.

    Args:
        block: the bottleneck.
        num_segments: frames of a clip.
        tam_cfg: further arguments of `TAM`.

    Raises:
        ConfigError: `block` is no bottleneck.
    """

    def __init__(self, block: nn.Module, num_segments: int, tam_cfg: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if not isinstance(block, Bottleneck):
            raise ConfigError(
                f"temporal adaptive modules go into bottlenecks, not into {type(block).__name__}: TANet has depths 50,"
                " 101, 152"
            )
        self.block = block
        self.num_segments = num_segments
        self.tam = TAM(block.conv1.out_channels, num_segments, **(tam_cfg or {}))

    def forward(self, x: Tensor) -> Tensor:
        if self.block.with_cp and x.requires_grad:
            return self.block.relu(recomputed(self, self._sum, x))
        return self.block.relu(self._sum(x))

    def _sum(self, x: Tensor) -> Tensor:
        block = self.block
        out = block.conv3(block.conv2(self.tam(block.conv1(x))))
        out += x if block.downsample is None else block.downsample(x)
        return out


@MODELS.register_module()
@accepts_openmmlab_keywords
class TANet(FrameResNet):
    """(B * T, in_channels, H, W) -> (B * T, out_channels, H / 32, W / 32), T = `num_segments`.

    Args:
        depth: 50, 101 or 152.
        num_segments: frames of a clip.
        tam_cfg: further arguments of `TAM`.
        **settings: further arguments of `ResNetArguments`.

    Raises:
        ConfigError: as `ResNet`; a depth without bottlenecks; settings that `TAM` cannot have.
    """

    @takes_arguments_of(ResNetArguments)
    def __init__(
        self, depth: int, num_segments: int, tam_cfg: Mapping[str, Any] | None = None, **settings: Any
    ) -> None:
        arguments = ResNetArguments(depth, **settings)
        parts = arguments.parts(type(self).__name__, self.arch_settings)
        for stage in parts["stages"].values():
            for index, block in enumerate(list(stage.children())):
                stage.add_module(str(index), TABlock(block, num_segments, tam_cfg))
        super().__init__(arguments, parts)
        self.num_segments = num_segments
        self.tam_cfg = dict(tam_cfg or {})
