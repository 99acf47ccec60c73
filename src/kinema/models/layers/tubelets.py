"""Tubelets: frames and pixels that become a token together."""

from collections.abc import Sequence

from torch import Tensor, nn

from kinema.models.layers.by_name import build_conv_layer


class Tubelets(nn.Module):
    """(B, C, T, H, W) -> (B, E, T', H', W'): a linear layer over each tubelet.

    Args:
        in_channels: C.
        embed_dims: E.
        size: frames, rows and columns of a tubelet.
    """

    def __init__(self, in_channels: int, embed_dims: int, size: Sequence[int]) -> None:
        super().__init__()
        self.proj = build_conv_layer({"type": "Conv3d"}, in_channels, embed_dims, tuple(size), stride=tuple(size))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out
