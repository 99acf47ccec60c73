"""Attention in windows that is trained on a CPU: the gradients of torch's kernels, without matrices of all pairs."""

import pytest
import torch
from torch import Tensor

from kinema.models.layers.cpu_convolution import default_kernels
from kinema.models.layers.windows import Size, attend_in_windows, shifted_kinds

CLIP, WINDOW, HEADS, CHANNELS = (4, 6, 6), (2, 3, 3), 2, 4
WINDOWS, TOKENS = 2 * 8, 18  # of two clips


def trained(shift: Size) -> tuple[list[Tensor], int]:
    """Result and gradients, and the largest number of values that is kept for the backward pass."""
    kinds = shifted_kinds(CLIP, WINDOW, shift, torch.device("cpu")) if any(shift) else ()
    torch.manual_seed(0)
    qkv = torch.randn(WINDOWS, TOKENS, 3 * HEADS * CHANNELS, requires_grad=True)
    bias = torch.randn(TOKENS, TOKENS, HEADS).permute(2, 0, 1).requires_grad_()  # as a table gives it
    kept = []

    def keep(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = attend_in_windows(qkv, HEADS, bias, scale=0.5, kinds=kinds)
    return [out, *torch.autograd.grad(out.sin().sum(), [qkv, bias])], max(kept)


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 1, 1), (0, 1, 1)])
@pytest.mark.parametrize("pairs", [2**19, 1])
def test_gradients_are_those_of_all_pairs(shift: Size, pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.models.layers.window_gradient._PAIRS_TOGETHER", pairs)
    ours, kept = trained(shift)
    with default_kernels():
        expected, kept_by_torch = trained(shift)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    assert kept < WINDOWS * HEADS * TOKENS**2 <= kept_by_torch or any(shift)
    assert kept == WINDOWS * TOKENS * 3 * HEADS * CHANNELS


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 1, 1)])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_gradients_have_gradients(shift: Size, is_frozen: bool) -> None:
    kinds = shifted_kinds(CLIP, WINDOW, shift, torch.device("cpu")) if any(shift) else ()

    def penalties() -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        qkv = torch.randn(WINDOWS, TOKENS, 3 * HEADS * CHANNELS, requires_grad=not is_frozen)
        bias = torch.randn(HEADS, TOKENS, TOKENS, requires_grad=True)
        trained = [bias] if is_frozen else [qkv, bias]
        out = attend_in_windows(qkv, HEADS, bias, scale=0.5, kinds=kinds)
        gradients = torch.autograd.grad(out.sin().sum(), trained, create_graph=True)
        return torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients), trained)

    ours = penalties()
    with default_kernels():
        torch.testing.assert_close(ours, penalties(), atol=1e-5, rtol=1e-4)
