"""Linear layers by the library that is fastest on this processor, see `matrix_products`.

What records or transforms a network, and other devices and types, get the layers as they are.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers import matrix_products
from kinema.models.layers.cpu_convolution import is_plain_cpu, is_watched


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`."""
    if matrix_products.is_onednn_faster() and is_plain_cpu(x) and is_plain_cpu(weight):
        return matrix_products.linear(x, weight, bias)
    return F.linear(x, weight, bias)


def apply_linear(layer: nn.Module, x: Tensor) -> Tensor:
    """`layer(x)`: fast where it is a linear layer that nothing watches."""
    if type(layer) is nn.Linear and matrix_products.is_onednn_faster() and not is_watched(layer):
        return linear(x, layer.weight, layer.bias)
    out: Tensor = layer(x)
    return out
