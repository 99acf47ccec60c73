"""Products by oneDNN: values and gradients of torch's own, and when they are used."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.models.layers import matrix_products
from kinema.models.layers.cpu_convolution import default_kernels
from kinema.models.layers.linear import apply_linear


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """On any processor large products, here all, are oneDNN's; the sizes of its results so far."""
    results = []
    multiply = matrix_products._multiply

    def noted(*tensors: Tensor | None) -> Tensor:
        results.append(multiply(*tensors).shape)
        return multiply(*tensors)

    monkeypatch.setattr(matrix_products, "is_onednn_faster", lambda: True)
    monkeypatch.setattr(matrix_products, "is_onednn_faster_transposed", lambda: True)
    monkeypatch.setattr(matrix_products, "_FEWEST", 1)
    monkeypatch.setattr(matrix_products, "_multiply", noted)
    return results


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_layer(bias: bool, used: list[torch.Size]) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 10, bias=bias), torch.randn(2, 5, 6).transpose(0, 1).requires_grad_()

    def all_of(out: Tensor) -> list[Tensor]:
        return [out, *torch.autograd.grad(out.sin().sum(), [x, *layer.parameters()])]

    torch.testing.assert_close(all_of(apply_linear(layer, x)), all_of(layer(x)))
    assert used == [(10, 10), (10, 6), (10, 6)]
    with torch.no_grad():
        torch.testing.assert_close(apply_linear(layer, x), layer(x))


def test_gradients_are_left_to_torch_where_it_is_faster(
    used: list[torch.Size], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix_products, "is_onednn_faster_transposed", lambda: False)
    layer, x = nn.Linear(6, 10), torch.randn(5, 6, requires_grad=True)
    apply_linear(layer, x).sum().backward()
    assert used == [(5, 10)]
    assert torch.allclose(x.grad, layer.weight.sum(0).expand(5, 6))


@pytest.mark.parametrize(
    ("capability", "vendor", "expected"),
    [
        ("AVX512_VNNI", "AuthenticAMD", (True, True)),
        ("AVX2", "AuthenticAMD", (True, False)),
        ("DEFAULT", "AuthenticAMD", (False, False)),
        ("AVX512", "GenuineIntel", (False, False)),
    ],
)
def test_the_processor_decides(
    capability: str, vendor: str, expected: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"vendor_id : {vendor}\n")
    monkeypatch.setattr(matrix_products, "_CPU_FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    choices = (matrix_products.is_onednn_faster, matrix_products.is_onednn_faster_transposed)
    for choice in choices:
        choice.cache_clear()
    assert tuple(choice() for choice in choices) == expected
    for choice in choices:
        choice.cache_clear()


def test_results_may_be_changed_in_place_and_inputs_be_single_rows(used: list[torch.Size]) -> None:
    layer, x = nn.Linear(4, 6), torch.randn(2, 3, 4, requires_grad=True)
    out = apply_linear(layer, x)
    out[:, 0] = 0
    out.sum().backward()
    assert not x.grad[:, 0].any()
    assert torch.allclose(x.grad[:, 1], layer.weight.sum(0))
    assert used
    assert torch.equal(apply_linear(layer, x[0, 0]), layer(x[0, 0]))


def test_gradients_of_gradients_are_those_of_the_layer(used: list[torch.Size]) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(4, 6), torch.randn(3, 4, requires_grad=True)
    results = []
    for out in (apply_linear(layer, x), layer(x)):
        (first,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(first.square().sum(), [x, layer.weight]))
    torch.testing.assert_close(*results)
    assert used


def test_watched_layers_and_other_types_are_left_as_they_are(used: list[torch.Size]) -> None:
    layer, x = nn.Linear(4, 6), torch.randn(3, 4)
    with default_kernels():
        apply_linear(layer, x)
    apply_linear(nn.Linear(4, 6).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        apply_linear(layer, x)
    seen = []
    layer.register_forward_hook(lambda *_: seen.append(1))
    apply_linear(layer, x)
    assert seen
    assert not used
