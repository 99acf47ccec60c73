"""Poolings that heads call, of torch's kinds, so that code which reads or replaces them works as usual."""

from torch import Tensor, nn


class FrameMean(nn.AdaptiveAvgPool2d):
    """(B, C, H, W) -> (B, C, 1, 1): the mean, in one pass.

    Args:
        output_size: 1, or (1, 1).
    """

    def __init__(self, output_size: int | tuple[int, int] = 1) -> None:
        super().__init__(output_size)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)[..., None, None]


class ClipMean(nn.AdaptiveAvgPool3d):
    """(B, C, T, H, W) -> (B, C, 1, 1, 1): the mean, in one pass."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3, 4), keepdim=True)


class ClipMaximum(nn.AdaptiveMaxPool3d):
    """(B, C, T, H, W) -> (B, C, 1, 1, 1): the maximum."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3, 4), keepdim=True)


def check_spatial_type(spatial_type: str | None) -> None:
    """Raise `ValueError` unless it is `"avg"` or None."""
    if spatial_type not in ("avg", None):
        raise ValueError(f"spatial_type must be 'avg' or None, got {spatial_type!r}")
