"""Attention with capped logits, computed in parts."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.layers import soft_capped_attention
from kinema.models.layers.soft_capped_attention import soft_capped_attend


def definition(query: Tensor, key: Tensor, value: Tensor, cap: float, scale: float) -> Tensor:
    logits = torch.einsum("bhnd,bhmd->bhnm", query, key) * scale
    return torch.einsum("bhnm,bhmd->bhnd", (cap * torch.tanh(logits / cap)).softmax(-1), value)


def parts(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, count, 4, dtype=dtype, requires_grad=True) for count in (7, 5, 5)]


@pytest.mark.parametrize("most", [1, 11, 40, 1 << 22])
def test_attention_and_its_gradient_are_exact_in_parts_of_any_size(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_capped_attention, "LOGITS", most)
    # Keeping the logits in float32 costs digits that only float64 has.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    own, expected = parts(), parts()
    out = soft_capped_attend(*own, cap=2.0)
    by_definition = definition(*expected, cap=2.0, scale=0.5)
    torch.testing.assert_close(out, by_definition)
    torch.testing.assert_close(soft_capped_attend(*[part.detach() for part in own], cap=2.0), out.detach())
    change = torch.randn_like(out)
    out.backward(change)
    by_definition.backward(change)
    for ours, right in zip(own, expected, strict=True):
        torch.testing.assert_close(ours.grad, right.grad)


@pytest.mark.parametrize("asked", [(0, 1, 2), (1,)])
def test_gradients_have_gradients(asked: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)

    def penalties(attend: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        tensors = [part if number in asked else part.detach() for number, part in enumerate(parts())]
        trained = [tensors[number] for number in asked]
        gradients = torch.autograd.grad(attend(*tensors, cap=2.0, scale=0.5).sin().sum(), trained, create_graph=True)
        return torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients), trained)

    torch.testing.assert_close(penalties(soft_capped_attend), penalties(definition))


def test_without_a_cap_it_is_ordinary_attention_and_a_large_cap_changes_little() -> None:
    query, key, value = (part.detach() for part in parts(torch.float32))
    ordinary = F.scaled_dot_product_attention(query, key, value)
    assert torch.equal(soft_capped_attend(query, key, value, None), ordinary)
    torch.testing.assert_close(soft_capped_attend(query, key, value, 1e4), ordinary, atol=1e-5, rtol=0)
    assert not torch.allclose(soft_capped_attend(query, key, value, 1.0), ordinary, atol=1e-2)


def test_half_precision_keeps_the_logits_in_single() -> None:
    query, key, value = (part.detach().bfloat16() for part in parts(torch.float32))
    out = soft_capped_attend(query, key, value, 50.0, scale=1 / math.sqrt(4))
    assert out.dtype == torch.bfloat16
    exact = definition(query.double(), key.double(), value.double(), 50.0, 0.5)
    torch.testing.assert_close(out.double(), exact, atol=3e-2, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = soft_capped_attend(*parts(torch.float32), 50.0)
    single.sum().backward()
    assert single.dtype == torch.float32


def test_a_compiler_gets_the_same_without_parts() -> None:
    class Attend(torch.nn.Module):
        def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return soft_capped_attend(query, key, value, 3.0)

    inputs = tuple(part.detach() for part in parts(torch.float32))
    exported = torch.export.export(Attend(), inputs).module()
    torch.testing.assert_close(exported(*inputs), soft_capped_attend(*inputs, 3.0), atol=1e-6, rtol=0)


def test_transforms_of_functions_give_the_gradient() -> None:
    query, key, value = parts(torch.float64)
    gradient = torch.func.grad(lambda query: soft_capped_attend(query, key, value, 3.0).square().sum())(query)
    soft_capped_attend(query, key, value, 3.0).square().sum().backward()
    torch.testing.assert_close(gradient, query.grad, atol=1e-6, rtol=0)  # logits are float32
