"""Two linear layers with a GELU between them, in less memory on a CPU.

The values between the layers are the largest of a transformer. In evaluation the GELU replaces
them in place. In training the second layer would keep their activation besides them for its
gradient; here it is computed again, which takes less time than the system takes to provide
memory for it.

All else uses the modules as they are: other devices and types, tracing, export, autocast,
transforms of `torch.func`, other activations and layers, dropout in training, modules with hooks.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.cpu_convolution import is_plain_cpu, is_watched


def map_twice(x: Tensor, first: nn.Module, act: nn.Module, drop: nn.Module, last: nn.Module) -> Tensor:
    """`last(drop(act(first(x))))`.

    Args:
        x: (..., C) float.
        first: a linear layer.
        act: the activation.
        drop: dropout of what it gives.
        last: a linear layer.

    Returns:
        (..., E), E of `last`.
    """
    hidden: Tensor = first(x)
    weights = _weights(hidden, first, act, drop, last)
    if weights is None:
        out: Tensor = last(drop(act(hidden)))
        return out
    if torch.is_grad_enabled():
        return _LinearOfGelu.apply(hidden, *weights, act.approximate)
    return F.linear(torch.ops.aten.gelu_(hidden, approximate=act.approximate), *weights)


def _weights(
    hidden: Tensor, first: nn.Module, act: nn.Module, drop: nn.Module, last: nn.Module
) -> tuple[Tensor, Tensor | None] | None:
    """Weight and bias of `last`, where the modules can be replaced; None: they cannot."""
    if not (type(act) is nn.GELU and type(first) is nn.Linear and type(last) is nn.Linear):
        return None
    if not is_plain_cpu(hidden) or any(map(is_watched, (first, act, drop, last))):
        return None
    keeps_all = type(drop) is nn.Identity or (type(drop) is nn.Dropout and not (drop.training and drop.p))
    return (last.weight, last.bias) if keeps_all else None


class _LinearOfGelu(torch.autograd.Function):
    """A linear layer of the GELU of `hidden`, which alone is kept besides the weights."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, approximate: str) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.approximate = approximate
        return F.linear(F.gelu(hidden, approximate=approximate), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        of_hidden = of_weight = of_bias = None
        rows = grad.flatten(0, -2)
        if ctx.needs_input_grad[1]:
            of_weight = rows.t() @ F.gelu(hidden, approximate=ctx.approximate).flatten(0, -2)
        if ctx.needs_input_grad[2]:
            of_bias = rows.sum(0)
        if ctx.needs_input_grad[0]:
            of_hidden = torch.ops.aten.gelu_backward(grad @ weight, hidden, approximate=ctx.approximate)
        return of_hidden, of_weight, of_bias, None
