"""Two linear layers around a GELU: values and gradients of the modules, less memory, and when the modules run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinema.models.layers import matrix_products
from kinema.models.layers.bricks.attention import FFN
from kinema.models.layers.cpu_convolution import default_kernels
from kinema.models.layers.gelu_linear import activate
from kinema.models.layers.mlp import Mlp

BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "Mlp": lambda: Mlp(6, 24, 10),
    "tanh": lambda: Mlp(6, 24, act_cfg={"type": "GELU", "approximate": "tanh"}),
    "quick": lambda: Mlp(6, 24, act_cfg={"type": "QuickGELU"}),
    "FFN": lambda: FFN(6, 24, act_cfg={"type": "GELU"}),
}


def values_and_gradients(block: nn.Module, x: Tensor) -> list[Tensor]:
    """The result, and the gradients of input and parameters."""
    x = x.clone().requires_grad_()
    out = block(x)
    return [out, *torch.autograd.grad(out.square().sum(), [x, *block.parameters()])]


def saved_by(block: nn.Module, x: Tensor) -> int:
    """Values that a pass keeps for its gradients, without those of the parameters."""
    parameters = {parameter.data_ptr() for parameter in block.parameters()}
    kept: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        kept[saved.data_ptr()] = saved.numel()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = block(x)  # noqa: F841 - it holds what is kept
    return sum(size for place, size in kept.items() if place not in parameters)


@pytest.mark.parametrize("name", BLOCKS)
def test_values_and_gradients_are_those_of_the_modules(name: str) -> None:
    torch.manual_seed(0)
    block = BLOCKS[name]().train()
    x = torch.randn(2, 7, 6)
    actual = values_and_gradients(block, x)
    with default_kernels():
        expected = values_and_gradients(block, x)
    torch.testing.assert_close(actual, expected)
    with torch.no_grad():
        assert torch.equal(block(x), expected[0])
        assert torch.equal(block(x), expected[0])


def test_results_may_be_changed_in_place_and_inputs_be_single_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_products, "is_onednn_faster", lambda: True)
    monkeypatch.setattr(matrix_products, "_FEWEST", 1)
    block, x = BLOCKS["Mlp"](), torch.randn(2, 7, 6)
    first, second = (batch.requires_grad_() for batch in (x.clone(), x.clone()))
    block(first).sum().backward()
    block(second).mul_(2).sum().backward()
    torch.testing.assert_close(second.grad, 2 * first.grad)
    torch.testing.assert_close(block(x[0, 0]), block(x)[0, 0])
    block(x[0, 0]).sum().backward()


def test_evaluation_leaves_the_input_as_it_is() -> None:
    x = torch.randn(2, 7, 6)
    before = x.clone()
    with torch.no_grad():
        Mlp(6, 24).eval()(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", BLOCKS)
def test_training_keeps_the_values_between_the_layers_once(name: str) -> None:
    block = BLOCKS[name]().train()
    x = torch.randn(2, 7, 6)
    between = 2 * 7 * 24
    with default_kernels():
        usual = saved_by(block, x)
    assert usual - saved_by(block, x) == between


@pytest.mark.parametrize("act", ["GELU", "QuickGELU"])
def test_gradients_of_gradients_are_right(act: str) -> None:
    torch.manual_seed(0)
    block = Mlp(3, 4, act_cfg={"type": act})
    x = torch.randn(2, 3, requires_grad=True)

    def second() -> Tensor:
        (first,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    actual = second()
    with default_kernels():
        torch.testing.assert_close(actual, second())


def test_frozen_weights_get_no_gradient() -> None:
    block = Mlp(3, 4)
    block.fc2.requires_grad_(False)
    block(torch.randn(2, 3)).sum().backward()
    assert block.fc2.weight.grad is None
    assert block.fc2.bias.grad is None
    assert block.fc1.weight.grad is not None


@pytest.mark.parametrize("part", ["fc1", "act", "drop", "fc2"])
@pytest.mark.parametrize("is_training", [False, True])
def test_hooks_see_what_the_modules_give(part: str, is_training: bool) -> None:
    block = Mlp(3, 4).train(is_training)
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: Any, out: Tensor) -> None:
        seen.append(out)

    getattr(block, part).register_forward_hook(look)
    with torch.set_grad_enabled(is_training):
        out = block(torch.randn(2, 3))
    assert len(seen) == (2 if part == "drop" else 1)
    if part == "fc1":
        hidden = block.act(seen[0])
        torch.testing.assert_close(block.fc2(hidden), out)


def test_dropout_between_the_layers_drops() -> None:
    block = Mlp(3, 4, drop=0.999999).train()
    assert not block(torch.randn(2, 3)).any()


def test_a_layer_of_another_kind_is_called() -> None:
    class Twice(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    block = Mlp(3, 4)
    x = torch.randn(2, 3)
    expected = 2 * block(x)
    other = Twice(4, 3)
    other.load_state_dict(block.fc2.state_dict())
    block.fc2 = other
    torch.testing.assert_close(block(x), expected)


def test_a_convolution_is_activated_in_place_without_gradients_alone() -> None:
    conv, act = nn.Conv3d(3, 4, 1), nn.GELU()
    hidden = conv(torch.randn(1, 3, 2, 2, 2)).detach()
    expected = act(hidden)
    assert activate(hidden, conv, act) is not hidden
    with torch.no_grad():
        activated = activate(hidden, conv, act)
    assert activated is hidden
    assert torch.equal(activated, expected)
