"""ResNet over images as `mmcv.cnn` has it, with its names of weights.

Kinema's network over frames is `kinema.models.ResNet`; this one is for code that derives from
MMCV's. Source: He et al. 2016, arXiv:1512.03385.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kinema.checkpoints import load_checkpoint
from kinema.models.init import constant_init, kaiming_init, normal_init
from kinema.models.layers import fix_batch_norms, freeze


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution without bias that keeps the size, divided by `stride`."""
    return nn.Conv2d(in_planes, out_planes, 3, stride, padding=dilation, dilation=dilation, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a residual connection.

    Args:
        inplanes: channels of the input.
        planes: channels of the output.
        stride: of the first convolution.
        dilation: of the first convolution.
        downsample: makes the input fit the output; None: it does.
        style: no effect.
        with_cp: not for this block.

    Raises:
        ValueError: `with_cp` is set.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if with_cp:
            raise ValueError("with_cp is for the bottlenecks of ResNet-50 and larger")
        self.conv1 = conv3x3(inplanes, planes, stride, dilation)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions around a residual connection.

    Args:
        inplanes: channels of the input.
        planes: channels in the middle; the output has four times as many.
        stride: of the second convolution, or with style `"caffe"` of the first.
        dilation: of the second.
        downsample: makes the input fit the output; None: it does.
        style: `"pytorch"` or `"caffe"`.
        with_cp: compute it anew in the backward pass, to save memory.

    Raises:
        ValueError: there is no such style.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        if style not in ("pytorch", "caffe"):
            raise ValueError(f"style is 'pytorch' or 'caffe', not {style!r}")
        first, second = (stride, 1) if style == "caffe" else (1, stride)
        self.conv1 = nn.Conv2d(inplanes, planes, 1, first, bias=False)
        self.conv2 = conv3x3(planes, planes, second, dilation)
        self.bn1 = nn.BatchNorm2d(planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride
        self.dilation = dilation
        self.with_cp = with_cp

    def _branches(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        return out + shortcut

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return self.relu(checkpoint(self._branches, x, use_reentrant=False))
        return self.relu(self._branches(x))


def make_res_layer(
    block: Any,
    inplanes: int,
    planes: int,
    blocks: int,
    stride: int = 1,
    dilation: int = 1,
    style: str = "pytorch",
    with_cp: bool = False,
) -> nn.Module:
    """A stage of `blocks` blocks; the first one has the stride and fits the shortcut."""
    width = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != width:
        downsample = nn.Sequential(nn.Conv2d(inplanes, width, 1, stride, bias=False), nn.BatchNorm2d(width))
    first = block(inplanes, planes, stride, dilation, downsample, style=style, with_cp=with_cp)
    others = [block(width, planes, 1, dilation, style=style, with_cp=with_cp) for _ in range(1, blocks)]
    return nn.Sequential(first, *others)


class ImageNetwork(nn.Module):
    """How ResNet and VGG are initialised."""

    def init_weights(self, pretrained: str | None = None) -> None:
        """Load a checkpoint, or draw weights: convolutions by Kaiming's rule, linear layers from N(0, 0.01^2).

        Raises:
            TypeError: `pretrained` is neither a path nor None.
        """
        if isinstance(pretrained, str):
            load_checkpoint(self, pretrained)
            return
        if pretrained is not None:
            raise TypeError(f"pretrained is the path of a checkpoint or None, got {pretrained!r}")
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                kaiming_init(layer)
            elif isinstance(layer, nn.BatchNorm2d):
                constant_init(layer, 1)
            elif isinstance(layer, nn.Linear):
                normal_init(layer, std=0.01)


class ResNet(ImageNetwork):
    """(B, 3, H, W) -> the feature maps of the stages `out_indices`, a tuple where there are several.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_stages: stages, from 1 to 4.
        strides: of the stages.
        dilations: of the stages.
        out_indices: stages to return.
        style: of the bottlenecks.
        frozen_stages: the stem (from 0) and so many stages do not train.
        bn_eval: batch norms use their running statistics.
        bn_frozen: their weights do not train either.
        with_cp: see `Bottleneck`.

    Raises:
        ValueError: there is no such depth, or numbers of stages do not go together.
    """

    arch_settings: ClassVar[dict[int, tuple[Any, tuple[int, ...]]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: str = "pytorch",
        frozen_stages: int = -1,
        bn_eval: bool = True,
        bn_frozen: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        check_stages("ResNet", depth, self.arch_settings, num_stages, 4, (strides, dilations), out_indices)
        block, blocks = self.arch_settings[depth]
        self.out_indices = out_indices
        self.style = style
        self.frozen_stages = frozen_stages
        self.bn_eval = bn_eval
        self.bn_frozen = bn_frozen
        self.with_cp = with_cp
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.res_layers = []
        for stage, count in enumerate(blocks[:num_stages]):
            planes = 64 * 2**stage
            layer = make_res_layer(
                block, self.inplanes, planes, count, strides[stage], dilations[stage], style, with_cp
            )
            self.inplanes = planes * block.expansion
            self.add_module(f"layer{stage + 1}", layer)
            self.res_layers.append(f"layer{stage + 1}")
        self.feat_dim = self.inplanes

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if stage in self.out_indices:
                maps.append(x)
        return maps[0] if len(maps) == 1 else tuple(maps)

    def train(self, mode: bool = True) -> "ResNet":
        """Put the network into training mode, but for what is frozen."""
        super().train(mode)
        if self.bn_eval:
            fix_batch_norms(self, freeze_parameters=self.bn_frozen)
        if mode and self.frozen_stages >= 0:
            freeze([self.conv1, self.bn1, *(getattr(self, name) for name in self.res_layers[: self.frozen_stages])])
        return self


def check_stages(
    name: str,
    depth: int,
    depths: dict[int, Any],
    num_stages: int,
    most: int,
    of_stages: Sequence[Sequence[int]],
    out_indices: Sequence[int],
) -> None:
    """Raise ValueError unless a network has that depth and its arguments for stages go together."""
    if depth not in depths:
        raise ValueError(f"{name} has the depths {', '.join(map(str, depths))}, not {depth!r}")
    if not 1 <= num_stages <= most:
        raise ValueError(f"{name} has 1 to {most} stages, not {num_stages}")
    if any(len(values) != num_stages for values in of_stages) or max(out_indices, default=0) >= num_stages:
        raise ValueError(f"strides, dilations and out_indices of {name} do not go together with {num_stages} stages")
