"""Tables of positions: where in the clip a token stands."""

import torch
from torch import Tensor


def sinusoid_table(num_positions: int, channels: int) -> Tensor:
    """Sines and cosines of falling frequencies, (1, `num_positions`, `channels`) float32.

    Source: Attention Is All You Need, Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    places = torch.arange(num_positions, dtype=torch.float64)[:, None]
    exponents = torch.arange(channels, dtype=torch.float64).div(2, rounding_mode="floor") * 2 / channels
    angles = places / 10000**exponents
    angles[:, 0::2] = angles[:, 0::2].sin()
    angles[:, 1::2] = angles[:, 1::2].cos()
    return angles.float()[None]
