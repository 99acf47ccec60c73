"""The norm by the root of the mean square."""

import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` whose weight takes the type of the input, without which torch's fused kernel does not serve.

    Source: Root Mean Square Layer Normalization, Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(x.dtype)
        return F.rms_norm(x, self.normalized_shape, weight, self.eps)
