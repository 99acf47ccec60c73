"""Temporal shift: some channels of each frame are those of the frame after it, some those of the frame before it.

Source: TSM, Lin et al. 2019, arXiv:1811.08383, section 3.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.cpu_convolution import PreparedConv, is_transformed


class TemporalShift(PreparedConv):
    """Shift the channels of (B * T, C, H, W) in time, then apply `net`.

    Of a clip's C channels, the first C // `shift_div` move one frame back in time, the next so many
    one frame forth, the rest stays; what comes from outside the clip is 0.

    Args:
        net: gets the shifted frames.
        num_segments: T, frames of a clip.
        shift_div: see above.

    Raises:
        ConfigError: `num_segments` or `shift_div` is below 1, or (when called) T does not divide
            the frames.
    """

    def __init__(self, net: nn.Module, num_segments: int = 3, shift_div: int = 8) -> None:
        super().__init__()
        if num_segments < 1 or shift_div < 1:
            raise ConfigError(
                f"a temporal shift needs num_segments and shift_div from 1, got {num_segments}, {shift_div}"
            )
        self.net = net
        self.num_segments = num_segments
        self.shift_div = shift_div

    def prepare(self, x: Tensor) -> Tensor:
        """(B * T, C, H, W) -> the same, shifted."""
        return self.shift(x, self.num_segments, self.shift_div)

    @staticmethod
    def shift(x: Tensor, num_segments: int, shift_div: int = 3) -> Tensor:
        """(B * T, C, H, W) -> the same, shifted; T is `num_segments`."""
        if len(x) % num_segments:
            raise ConfigError(
                f"num_segments={num_segments} of the backbone does not divide the {len(x)} frames of the batch: sample"
                " a multiple of them, or change num_segments"
            )
        fold = x.shape[1] // shift_div
        has_gradient = torch.is_grad_enabled() and x.requires_grad
        if has_gradient and (torch.compiler.is_compiling() or not is_transformed()):
            shifted: Tensor = _Shift.apply(x, num_segments, fold, False)
            return shifted
        return _shifted(x, num_segments, fold, False)


class _Shift(torch.autograd.Function):
    """The shift with its gradient, which is the shift in the other direction.

    Autograd's own would copy each slice's gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, num_segments: int, fold: int, reverse: bool) -> Tensor:
        ctx.settings = num_segments, fold, reverse
        return _shifted(x, num_segments, fold, reverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        num_segments, fold, reverse = ctx.settings
        return _Shift.apply(grads[0], num_segments, fold, not reverse), None, None, None


def _shifted(x: Tensor, num_segments: int, fold: int, reverse: bool) -> Tensor:
    """One pass over the memory, into a tensor of the same layout."""
    clips = x.unflatten(0, (-1, num_segments))  # (B, T, C, H, W)
    out = torch.empty_like(clips)
    back, forth = slice(0, fold), slice(fold, 2 * fold)
    if reverse:
        back, forth = forth, back
    out[:, :-1, back] = clips[:, 1:, back]
    out[:, -1, back] = 0
    out[:, 1:, forth] = clips[:, :-1, forth]
    out[:, 0, forth] = 0
    out[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
    return out.flatten(0, 1)
