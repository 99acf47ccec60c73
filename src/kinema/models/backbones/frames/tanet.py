"""TANet: a ResNet whose bottlenecks have a temporal adaptive module. Source: TAM, Liu et al. 2021, arXiv:2005.06803."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kinema.errors import ConfigError
from kinema.models.backbones.frames.resnet import ACT, CONV, NORM, Bottleneck, ResNet, Style
from kinema.models.init import InitCfg
from kinema.models.layers import TAM, LayerCfg
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
                f"temporal adaptive modules go into bottlenecks, not into {type(block).__name__}: TANet has depths 50, 101, 152"
            )
        self.block = block
        self.num_segments = num_segments
        self.tam = TAM(block.conv1.out_channels, num_segments, **(tam_cfg or {}))

    def forward(self, x: Tensor) -> Tensor:
        if self.block.with_cp and x.requires_grad:
            return self.block.relu(checkpoint(self._sum, x, use_reentrant=False))
        return self.block.relu(self._sum(x))

    def _sum(self, x: Tensor) -> Tensor:
        block = self.block
        out = block.conv3(block.conv2(self.tam(block.conv1(x))))
        out += x if block.downsample is None else block.downsample(x)
        return out


@MODELS.register_module()
class TANet(ResNet):
    """(B * num_segments, in_channels, H, W) float -> (B * num_segments, out_channels, H / 32, W / 32).

    Args:
        depth: 50, 101 or 152.
        num_segments: frames of a clip.
        tam_cfg: further arguments of `TAM`.
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
        ConfigError: as `ResNet`; a depth without bottlenecks; settings that `TAM` cannot have.
    """

    def __init__(
        self,
        depth: int,
        num_segments: int,
        tam_cfg: Mapping[str, Any] | None = None,
        *,
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
            pretrained,
            torchvision_pretrain,
            in_channels,
            num_stages,
            out_indices,
            strides,
            dilations,
            style,
            frozen_stages,
            conv_cfg,
            norm_cfg,
            act_cfg,
            norm_eval,
            partial_bn,
            with_cp,
            init_cfg,
        )
        self.num_segments = num_segments
        self.tam_cfg = dict(tam_cfg or {})
        for name in self.res_layers:
            layer = self.get_submodule(name)
            for index, block in enumerate(list(layer.children())):
                layer.add_module(str(index), TABlock(block, num_segments, self.tam_cfg))
        self._freeze_stages()
