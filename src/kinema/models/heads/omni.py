"""One head over images and one over clips, for training with both.

Source: OmniSource, Duan et al. 2020, arXiv:2003.13042.
"""

from typing import Any

from torch import Tensor, nn

from kinema.arguments import takes_arguments_of
from kinema.errors import ConfigError
from kinema.models.heads.base import BaseHead
from kinema.registry import MODELS


@MODELS.register_module()
class OmniHead(BaseHead):
    """(B, C, H, W) features of images -> (B, image_classes); (B, C, T, H, W) of clips -> (B, video_classes).

    Args:
        image_classes: classes of images.
        video_classes: classes of clips.
        in_channels: C.
        loss_cls: see `BaseHead`.
        image_dropout_ratio: probability that a feature of an image is set to 0 in training.
        video_dropout_ratio: that of clips.
        video_nl_head: clips have a hidden layer.
        **settings: further arguments of `BaseHead`.

    Raises:
        ConfigError: (when called) features of another shape.
    """

    @takes_arguments_of(BaseHead)
    def __init__(
        self,
        image_classes: int,
        video_classes: int,
        in_channels: int,
        loss_cls: Any = None,
        image_dropout_ratio: float = 0.2,
        video_dropout_ratio: float = 0.5,
        video_nl_head: bool = True,
        *,
        num_classes: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(image_classes if num_classes is None else num_classes, in_channels, loss_cls, **settings)
        self.fc2d = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.BatchNorm1d(in_channels),
            nn.Dropout(image_dropout_ratio),
            nn.Linear(in_channels, image_classes),
        )
        width = 2 * video_classes if video_nl_head else in_channels
        hidden = [nn.Linear(in_channels, width)] if video_nl_head else []
        activation = [nn.ReLU(inplace=True)] if video_nl_head else []
        self.fc3d = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(1),
            *hidden,
            nn.BatchNorm1d(width),
            *activation,
            nn.Dropout(video_dropout_ratio),
            nn.Linear(width, video_classes),
        )

    def forward(self, x: Tensor, num_segs: int | None = None) -> Tensor:
        """Classify images or clips. `num_segs` has no effect here."""
        if x.dim() not in (4, 5):
            raise ConfigError(f"OmniHead takes features of images or clips, of 4 or 5 dimensions, got {tuple(x.shape)}")
        self.check_channels(x)
        return self.fc2d(x) if x.dim() == 4 else self.fc3d(x)

    def classes_of(self, cls_scores: Tensor) -> int:
        """Those of images, or those of clips."""
        return cls_scores.shape[1]
