"""Attention whose logits are capped by a tanh, without ever holding the logits of all heads.

Torch's fused kernels cap no logits. Here parts of the heads and queries are computed one after
another, and once more in the backward pass, so that memory stays bounded and results exact.

Source: Gemma 2, Riviere et al. 2024, arXiv:2408.00118, section 2; the gradient is derived here.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.layers.cpu_convolution import is_transformed

# Logits at a time: 16 MB in float32.
LOGITS = 1 << 22


def soft_capped_attend(
    query: Tensor, key: Tensor, value: Tensor, cap: float | None, scale: float | None = None
) -> Tensor:
    """softmax(cap tanh(scale q k' / cap)) v, for each head by itself.

    Args:
        query: (B, H, N, D).
        key: (B, H, M, D).
        value: (B, H, M, D).
        cap: the logits stay between minus and plus this; None: they are not capped.
        scale: of the products of queries and keys; None: one over the root of D.

    Returns:
        (B, H, N, D).
    """
    if cap is None:
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    # A compiler plans memory itself, also for sizes that it does not know.
    if torch.compiler.is_compiling() or is_transformed():
        return _attend_at_once(query, key, value, cap, scale)
    needs_grad = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    attend = _SoftCapped.apply if needs_grad else _attend
    out: Tensor = attend(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), cap, scale)
    return out.unflatten(0, query.shape[:2])


def _weights(query: Tensor, key: Tensor, cap: float, scale: float) -> Tensor:
    """(K, N, D), (K, M, D) -> (K, N, M), in float32 whatever the inputs are."""
    return _capped(query, key, cap, scale).mul_(cap).softmax(-1)


def _capped(query: Tensor, key: Tensor, cap: float, scale: float) -> Tensor:
    """The logits as parts of the cap, from -1 to 1."""
    return ((query * (scale / cap)) @ key.transpose(1, 2)).float().tanh_()


def _attend_at_once(query: Tensor, key: Tensor, value: Tensor, cap: float, scale: float) -> Tensor:
    logits = (query * (scale / cap)) @ key.transpose(-1, -2)
    return (logits.float().tanh() * cap).softmax(-1).to(value.dtype) @ value


def _attend(query: Tensor, key: Tensor, value: Tensor, cap: float, scale: float) -> Tensor:
    out = torch.empty_like(query)
    for heads, rows in _parts(query, key):
        weights = _weights(query[heads, rows], key[heads], cap, scale)
        out[heads, rows] = weights.to(value.dtype) @ value[heads]
    return out


def _parts(query: Tensor, key: Tensor) -> Iterator[tuple[slice, slice]]:
    """Parts of the heads and of their queries that have at most `LOGITS` logits, where one query has no more."""
    heads, queries = query.shape[:2]
    rows = min(queries, max(1, LOGITS // key.shape[1]))
    together = max(1, LOGITS // (rows * key.shape[1]))
    for first in range(0, heads, together):
        for row in range(0, queries, rows):
            yield slice(first, first + together), slice(row, row + rows)


class _SoftCapped(torch.autograd.Function):
    """Keeps queries, keys and values for the backward pass, not the weights."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, cap: float, scale: float) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.cap, ctx.scale = cap, scale
        return _attend(query, key, value, cap, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        if torch.is_grad_enabled():  # for gradients of gradients
            asked = [
                part for part, is_asked in zip((query, key, value), ctx.needs_input_grad, strict=False) if is_asked
            ]
            out = _attend_at_once(query, key, value, ctx.cap, ctx.scale)
            of_asked = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
            return *(next(of_asked) if is_asked else None for is_asked in ctx.needs_input_grad[:3]), None, None
        of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for heads, rows in _parts(query, key):
            capped = _capped(query[heads, rows], key[heads], ctx.cap, ctx.scale)
            weights = (capped * ctx.cap).softmax(-1)
            of_value[heads] += weights.to(grad.dtype).transpose(1, 2) @ grad[heads, rows]
            change = (grad[heads, rows] @ value[heads].transpose(1, 2)).float()  # of the loss by the weights
            change -= (change * weights).sum(-1, keepdim=True)
            change = change.mul_(weights).mul_(1 - capped.square_()).mul_(ctx.scale).to(query.dtype)
            of_query[heads, rows] = change @ key[heads]
            of_key[heads] += change.transpose(1, 2) @ query[heads, rows]
        return of_query, of_key, of_value, None, None
