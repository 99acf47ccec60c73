"""Products of linear layers in float32 on a CPU, by oneDNN where it is faster than torch's default.

Torch multiplies float32 matrices by MKL, which knows Intel's processors. On those of AMD oneDNN takes
half the time where they have AVX-512, which MKL does not use there, and nine tenths with AVX2, except
for products of transposed matrices, which gradients are. What is chosen depends on the processor and
the sizes only, so a run gives the same values again.
"""

import functools
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST = 2**22  # multiply-adds from which on the choice of a library matters
_CPU_FACTS = Path("/proc/cpuinfo")


@functools.cache
def is_onednn_faster() -> bool:
    """Does oneDNN use more of this processor than MKL?"""
    return (
        torch.backends.mkl.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith(("AVX2", "AVX512"))
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and _CPU_FACTS.is_file()
        and "AuthenticAMD" in _CPU_FACTS.read_text()
    )


@functools.cache
def is_onednn_faster_transposed() -> bool:
    """Is it so for products of transposed matrices, too?"""
    return is_onednn_faster() and torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` of plain float32 tensors on a CPU, see `is_plain_cpu`, with its gradients."""
    if not _is_large(x, weight.shape[0]):
        return F.linear(x, weight, bias)
    tensors = (x, weight) if bias is None else (x, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        rows: Tensor = _Linear.apply(x, weight, bias)
        return rows.view(*x.shape[:-1], len(weight))  # a view out of the function could not be changed in place
    return _multiply(x, weight, bias)


def gradient_of_input(grad: Tensor, weight: Tensor) -> Tensor:
    """(..., E) gradient of a linear layer's result, (E, C) -> (..., C)."""
    return _multiply(grad, weight.t()) if _can_transpose() and _is_large(grad, weight.shape[1]) else grad @ weight


def gradient_of_weight(grad: Tensor, x: Tensor) -> Tensor:
    """(..., E) gradient of a linear layer's result, (..., C) its input -> (E, C)."""
    rows, places = grad.flatten(0, -2), x.flatten(0, -2)
    # oneDNN is the slower one where many rows are added up for a small result.
    is_wide = rows.shape[1] * places.shape[1] >= 4 * len(rows)
    if is_wide and _can_transpose() and _is_large(rows, places.shape[1]):
        return _multiply(rows.t(), places.t())
    return rows.t() @ places


def _can_transpose() -> bool:
    """May oneDNN multiply for a gradient? Its product has none, for gradients of gradients."""
    return is_onednn_faster_transposed() and not torch.is_grad_enabled()


def _is_large(x: Tensor, outputs: int) -> bool:
    return is_onednn_faster() and x.dim() > 1 and x.numel() * outputs >= _FEWEST


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


class _Linear(torch.autograd.Function):
    """(..., C), (E, C), (E) -> (rows, E)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x.flatten(0, -2), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            gradient_of_input(grad, weight).view_as(x) if needs_x else None,
            gradient_of_weight(grad, x) if needs_weight else None,
            grad.sum(0) if needs_bias else None,
        )
