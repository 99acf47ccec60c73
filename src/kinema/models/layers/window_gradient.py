"""Attention in windows with a trained bias, in little memory on a CPU.

torch's fused kernel gives no gradient of what is added to the comparisons, so with a trained bias it
computes by matrices of all pairs of tokens and keeps them for the backward pass. Here the fused
kernel computes the forward pass, and the backward pass computes these matrices again, of a few
windows at a time, so that they stay in the processor's cache: less time and less memory. Where
gradients of gradients are asked for, torch's kernels compute them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_PAIRS_TOGETHER = 2**19  # compared at a time: three such matrices of float32 take 6 MB


class AttentionOfWindows(torch.autograd.Function):
    """`attend(qkv, bias)` whose backward pass keeps no matrix of pairs.

    `attend` is `attend_in_windows` for these tensors, without dropout. `kinds` are pairs of the rows of
    qkv that are windows of one kind, and what is added to the comparisons in them besides the bias.
    """

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        bias: Tensor,
        num_heads: int,
        scale: float,
        kinds: Sequence[tuple[Tensor, Tensor | None]],
        attend: Callable[[Tensor, Tensor], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(qkv, bias)
        ctx.settings, ctx.attend = (num_heads, scale, kinds), attend
        return attend(qkv.detach(), bias.detach())  # with a gradient the kernel would take all pairs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        qkv, bias = ctx.saved_tensors
        if torch.is_grad_enabled():  # for gradients of gradients
            asked = [tensor for tensor, is_asked in zip((qkv, bias), ctx.needs_input_grad, strict=False) if is_asked]
            of_asked = iter(torch.autograd.grad(ctx.attend(qkv, bias), asked, grad, create_graph=True))
            return (
                *(next(of_asked) if is_asked else None for is_asked in ctx.needs_input_grad[:2]),
                None,
                None,
                None,
                None,
            )
        num_heads, scale, kinds = ctx.settings
        tokens = qkv.shape[1]
        together = max(1, _PAIRS_TOGETHER // (num_heads * tokens * tokens))
        of_qkv, of_bias = torch.empty_like(qkv), torch.zeros_like(bias, memory_format=torch.contiguous_format)
        matrices = qkv.new_empty(3, together * num_heads, tokens, tokens)
        for rows, far in kinds:
            added = bias if far is None else bias + far
            for some in rows.split(together):
                part = matrices[:, : len(some) * num_heads]
                of_qkv[some], of_pairs = _gradients(qkv[some], grad[some], added, num_heads, scale, part)
                for of_window in of_pairs:
                    of_bias += of_window
        return of_qkv, of_bias, None, None, None, None


def _gradients(
    qkv: Tensor, grad: Tensor, added: Tensor, num_heads: int, scale: float, matrices: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of `qkv` (R, N, 3 C), and of the comparisons (R, heads, N, N).

    Args:
        qkv: queries, keys and values of R windows.
        grad: (R, N, C) of the result.
        added: (heads, N, N), is added to the comparisons.
        num_heads: heads.
        scale: of the products of queries and keys.
        matrices: (3, R * heads, N, N), are written; the gradient of the comparisons is among them.
    """
    rows, tokens, width = qkv.shape
    split = (rows, tokens, 3, num_heads, width // 3 // num_heads)
    query, key, value = qkv.view(split).permute(2, 0, 3, 1, 4).contiguous().flatten(1, 2)
    query = query * scale
    grad = grad.view(rows, tokens, num_heads, -1).transpose(1, 2).reshape(value.shape)
    compared, weights, of_weights = matrices
    torch.bmm(query, key.transpose(1, 2), out=compared)
    compared.view(rows, num_heads, tokens, tokens).add_(added)
    torch.softmax(compared, -1, out=weights)
    torch.bmm(grad, value.transpose(1, 2), out=of_weights)
    of_compared = torch.ops.aten._softmax_backward_data.out(of_weights, weights, -1, torch.float32, grad_input=compared)
    of_parts = (
        torch.bmm(of_compared, key).mul_(scale),
        torch.bmm(of_compared.transpose(1, 2), query),
        torch.bmm(weights.transpose(1, 2), grad),
    )
    of_qkv = torch.stack(of_parts).view(3, rows, num_heads, tokens, -1).permute(1, 3, 0, 2, 4).reshape(qkv.shape)
    return of_qkv, of_compared.view(rows, num_heads, tokens, tokens)
