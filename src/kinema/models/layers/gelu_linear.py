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

from kinema.models.layers.activations import QUICK, QuickGELU
from kinema.models.layers.cpu_convolution import is_plain_cpu, is_watched
from kinema.models.layers.linear import apply_linear
from kinema.models.layers.matrix_products import gradient_of_input, gradient_of_weight, linear


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
    hidden = apply_linear(first, x)
    can_recompute = torch.is_grad_enabled() and hidden.dim() > 1 and _can_replace(hidden, first, act)
    if can_recompute and _is_plain_linear(last, drop):
        rows: Tensor = _LinearOfGelu.apply(hidden, last.weight, last.bias, _kind(act))
        return rows.view(*hidden.shape[:-1], rows.shape[-1])  # as in `matrix_products.linear`
    return apply_linear(last, drop(activate(hidden, first, act)))


def activate(hidden: Tensor, first: nn.Module, act: nn.Module) -> Tensor:
    """`act(hidden)`, in place where nothing else sees it.

    Args:
        hidden: what `first` gave.
        first: a linear layer or convolution.
        act: the activation.
    """
    if torch.is_grad_enabled() or not _can_replace(hidden, first, act):
        out: Tensor = act(hidden)
        return out
    if isinstance(act, QuickGELU):
        return F.silu(hidden.mul_(QUICK), inplace=True).div_(QUICK)
    in_place: Tensor = torch.ops.aten.gelu_(hidden, approximate=act.approximate)
    return in_place


def _can_replace(hidden: Tensor, first: nn.Module, act: nn.Module) -> bool:
    """Is `act` a GELU, and does nothing else see what `first` gave, or what `act` gives?"""
    known = type(act) in (nn.GELU, QuickGELU) and type(first) in (nn.Linear, nn.Conv3d)
    return known and is_plain_cpu(hidden) and not is_watched(first) and not is_watched(act)


def _is_plain_linear(last: nn.Module, drop: nn.Module) -> bool:
    """Is `last` a linear layer behind a dropout that drops nothing, neither with hooks?"""
    keeps_all = type(drop) is nn.Identity or (type(drop) is nn.Dropout and not (drop.training and drop.p))
    return keeps_all and type(last) is nn.Linear and not is_watched(drop) and not is_watched(last)


def _kind(act: nn.Module) -> str:
    return "quick" if isinstance(act, QuickGELU) else str(act.approximate)


def _gelu(hidden: Tensor, kind: str) -> Tensor:
    if kind == "quick":
        return F.silu(QUICK * hidden, inplace=True).div_(QUICK)
    return F.gelu(hidden, approximate=kind)


def _gelu_backward(grad: Tensor, hidden: Tensor, kind: str) -> Tensor:
    if kind == "quick" and torch.is_grad_enabled():  # torch's has no gradient, for gradients of gradients
        gate = torch.sigmoid(QUICK * hidden)
        return grad * gate * (1 + QUICK * hidden * (1 - gate))
    result: Tensor = (
        torch.ops.aten.silu_backward(grad, QUICK * hidden)
        if kind == "quick"
        else torch.ops.aten.gelu_backward(grad, hidden, approximate=kind)
    )
    return result


class _LinearOfGelu(torch.autograd.Function):
    """A linear layer of the GELU of `hidden`, which alone is kept besides the weights: (..., C) -> (rows, E)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, kind: str) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        ctx.kind = kind
        return linear(_gelu(hidden, kind).reshape(-1, hidden.shape[-1]), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        of_hidden = of_weight = of_bias = None
        if ctx.needs_input_grad[1]:
            of_weight = gradient_of_weight(grad, _gelu(hidden, ctx.kind))
        if ctx.needs_input_grad[2]:
            of_bias = grad.sum(0)
        if ctx.needs_input_grad[0]:
            of_hidden = _gelu_backward(gradient_of_input(grad, weight).view_as(hidden), hidden, ctx.kind)
        return of_hidden, of_weight, of_bias, None
