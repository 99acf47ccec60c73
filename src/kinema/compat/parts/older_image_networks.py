"""VGG and AlexNet as `mmcv.cnn` has them, with its names of weights.

Source: Simonyan and Zisserman 2015, arXiv:1409.1556; Krizhevsky 2014, arXiv:1404.5997.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from kinema.checkpoints import load_checkpoint
from kinema.compat.parts.image_networks import ImageNetwork, check_stages
from kinema.models.layers import fix_batch_norms, freeze


def make_vgg_layer(
    inplanes: int, planes: int, num_blocks: int, dilation: int = 1, with_bn: bool = False, ceil_mode: bool = False
) -> list[nn.Module]:
    """The layers of a stage: convolutions with ReLU, and at its end pooling."""
    layers: list[nn.Module] = []
    for _ in range(num_blocks):
        layers.append(nn.Conv2d(inplanes, planes, 3, padding=dilation, dilation=dilation))
        if with_bn:
            layers.append(nn.BatchNorm2d(planes))
        layers.append(nn.ReLU(inplace=True))
        inplanes = planes
    return [*layers, nn.MaxPool2d(2, 2, ceil_mode=ceil_mode)]


class VGG(ImageNetwork):
    """(B, 3, H, W) -> the feature maps of the stages `out_indices` and, with classes, their scores (B, N) last.

    Args:
        depth: 11, 13, 16 or 19.
        with_bn: batch norms behind the convolutions.
        num_classes: N; below 1: none.
        num_stages: stages, from 1 to 5.
        dilations: of the stages.
        out_indices: stages to return.
        frozen_stages: so many stages do not train.
        bn_eval: batch norms use their running statistics.
        bn_frozen: their weights do not train either.
        ceil_mode: of the pooling: sizes are rounded up.
        with_last_pool: pool behind the last stage.

    Raises:
        ValueError: there is no such depth, or numbers of stages do not go together.
    """

    arch_settings: ClassVar[dict[int, tuple[int, ...]]] = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }

    def __init__(
        self,
        depth: int,
        with_bn: bool = False,
        num_classes: int = -1,
        num_stages: int = 5,
        dilations: Sequence[int] = (1, 1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3, 4),
        frozen_stages: int = -1,
        bn_eval: bool = True,
        bn_frozen: bool = False,
        ceil_mode: bool = False,
        with_last_pool: bool = True,
    ) -> None:
        super().__init__()
        check_stages("VGG", depth, self.arch_settings, num_stages, 5, (dilations,), out_indices)
        self.num_classes = num_classes
        self.out_indices = out_indices
        self.frozen_stages = frozen_stages
        self.bn_eval = bn_eval
        self.bn_frozen = bn_frozen
        self.module_name = "features"
        self.stage_blocks = self.arch_settings[depth][:num_stages]
        self.range_sub_modules: list[list[int]] = []  # first layer of a stage, and the first behind it
        layers: list[nn.Module] = []
        inplanes = 3
        for stage, count in enumerate(self.stage_blocks):
            planes = min(64 * 2**stage, 512)
            start = len(layers)
            layers += make_vgg_layer(inplanes, planes, count, dilations[stage], with_bn, ceil_mode)
            self.range_sub_modules.append([start, len(layers)])
            inplanes = planes
        if not with_last_pool:
            layers.pop()
            self.range_sub_modules[-1][1] -= 1
        self.features = nn.Sequential(*layers)
        if num_classes > 0:
            hidden = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout()]
            hidden += [nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout()]
            self.classifier = nn.Sequential(*hidden, nn.Linear(4096, num_classes))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        maps = []
        for stage, (start, end) in enumerate(self.range_sub_modules):
            x = self.features[start:end](x)
            if stage in self.out_indices:
                maps.append(x)
        if self.num_classes > 0:
            maps.append(self.classifier(x.flatten(1)))
        return maps[0] if len(maps) == 1 else tuple(maps)

    def train(self, mode: bool = True) -> "VGG":
        """Put the network into training mode, but for what is frozen."""
        super().train(mode)
        if self.bn_eval:
            fix_batch_norms(self, freeze_parameters=self.bn_frozen)
        if mode and self.frozen_stages > 0:
            freeze(list(self.features)[: self.range_sub_modules[self.frozen_stages - 1][1]])
        return self


class AlexNet(nn.Module):
    """(B, 3, H, W) -> features (B, 256, H', W') or, with classes, scores (B, N) of images of 224 x 224.

    Args:
        num_classes: N; below 1: none.
    """

    def __init__(self, num_classes: int = -1) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        if num_classes > 0:
            self.classifier = nn.Sequential(
                nn.Dropout(),
                nn.Linear(256 * 6 * 6, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Linear(4096, num_classes),
            )

    def init_weights(self, pretrained: str | None = None) -> None:
        """Load a checkpoint; None: keep the weights that the layers drew.

        Raises:
            TypeError: `pretrained` is neither a path nor None.
        """
        if isinstance(pretrained, str):
            load_checkpoint(self, pretrained)
        elif pretrained is not None:
            raise TypeError(f"pretrained is the path of a checkpoint or None, got {pretrained!r}")

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.classifier(x.flatten(1)) if self.num_classes > 0 else x
