"""Global context block: all positions share what they gather from the whole feature map.

Source: GCNet, Cao et al. 2019, arXiv:1904.11492, figure 4d.
"""

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.init import constant_init, kaiming_init
from kinema.registry import MODELS

FUSIONS = ("channel_add", "channel_mul")


@MODELS.register_module()
class ContextBlock(nn.Module):
    """(B, C, H, W) -> (B, C, H, W).

    Args:
        in_channels: C.
        ratio: width of the bottleneck, as a share of C.
        pooling_type: how the positions are gathered: `"att"` by attention, `"avg"` by their mean.
        fusion_types: how the result joins the input: `"channel_add"`, `"channel_mul"` or both.

    Raises:
        ValueError: a type is none of these.
    """

    _abbr_ = "context_block"

    def __init__(
        self,
        in_channels: int,
        ratio: float,
        pooling_type: Literal["att", "avg"] = "att",
        fusion_types: Sequence[str] = ("channel_add",),
    ) -> None:
        super().__init__()
        if pooling_type not in ("att", "avg"):
            raise ValueError(f"pooling_type is 'att' or 'avg', not {pooling_type!r}")
        if not isinstance(fusion_types, tuple | list) or not fusion_types or not set(fusion_types) <= set(FUSIONS):
            raise ValueError(f"fusion_types holds 'channel_add', 'channel_mul' or both, got {fusion_types!r}")
        self.in_channels = in_channels
        self.ratio = ratio
        self.planes = int(in_channels * ratio)
        self.pooling_type = pooling_type
        self.fusion_types = fusion_types
        if pooling_type == "att":
            self.conv_mask = nn.Conv2d(in_channels, 1, kernel_size=1)
            self.softmax = nn.Softmax(dim=2)
        else:
            self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.channel_add_conv = self._transform() if "channel_add" in fusion_types else None
        self.channel_mul_conv = self._transform() if "channel_mul" in fusion_types else None
        self.reset_parameters()

    def _transform(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(self.in_channels, self.planes, kernel_size=1),
            nn.LayerNorm([self.planes, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(self.planes, self.in_channels, kernel_size=1),
        )

    def reset_parameters(self) -> None:
        """Draw the attention by Kaiming's rule and set the last layers to zero."""
        if self.pooling_type == "att":
            kaiming_init(self.conv_mask, mode="fan_in")
        for transform in (self.channel_add_conv, self.channel_mul_conv):
            if transform is not None:
                constant_init(transform[-1], 0)

    def spatial_pool(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1)."""
        if self.pooling_type == "avg":
            pooled: Tensor = self.avg_pool(x)
            return pooled
        mask = self.softmax(self.conv_mask(x).flatten(2))  # (B, 1, H W)
        return (x.flatten(2) @ mask.transpose(1, 2)).unsqueeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        context = self.spatial_pool(x)
        out = x if self.channel_mul_conv is None else x * F.sigmoid(self.channel_mul_conv(context))
        return out if self.channel_add_conv is None else out + self.channel_add_conv(context)
