import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.layers import TemporalShift


def slow_shift(x: torch.Tensor, frames: int, shift_div: int) -> torch.Tensor:
    """Value by value, as the paper says it."""
    out = torch.zeros_like(x)
    fold = x.shape[1] // shift_div
    for row in range(len(x)):
        clip, time = divmod(row, frames)
        for channel in range(x.shape[1]):
            source = time + 1 if channel < fold else time - 1 if channel < 2 * fold else time
            if 0 <= source < frames:
                out[row, channel] = x[clip * frames + source, channel]
    return out


@pytest.mark.parametrize(("frames", "shift_div"), [(3, 3), (6, 8), (2, 4), (1, 2), (3, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shift_is_exact_keeps_the_memory_layout_and_has_the_gradient_of_its_definition(
    frames, shift_div, layout
) -> None:
    x = torch.randn(6, 9, 2, 3).contiguous(memory_format=layout)
    result = TemporalShift.shift(x, frames, shift_div)
    assert torch.equal(result, slow_shift(x, frames, shift_div))
    assert result.is_contiguous(memory_format=layout)
    ours, slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    factor = torch.randn_like(x)
    (TemporalShift.shift(ours, frames, shift_div) * factor).sum().backward()
    (slow_shift(slow, frames, shift_div) * factor).sum().backward()
    assert torch.equal(ours.grad, slow.grad)


def test_gradients_of_gradients_are_right() -> None:
    x = torch.randn(4, 4, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda one: TemporalShift.shift(one, 2, 4).pow(3), x)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")  # torch 2.14 would rather export
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit warns of its own age
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # of the check that T divides the frames
def test_traces_and_transforms_of_functions_see_the_shift() -> None:
    x = torch.randn(4, 8, 2, 3, requires_grad=True)
    traced = torch.jit.trace(TemporalShift(nn.Identity(), 2), x)
    other = torch.randn(8, 8, 2, 3)
    assert torch.equal(traced(other), slow_shift(other, 2, 8))
    factor = torch.randn(4, 8, 2, 3)
    gradient = torch.func.grad(lambda frames: (TemporalShift.shift(frames, 2, 4) * factor).sum())(x)
    (slow_shift(x, 2, 4) * factor).sum().backward()
    assert torch.equal(gradient, x.grad)
    tangent = torch.func.jvp(lambda frames: TemporalShift.shift(frames, 2, 4), (x,), (factor,))[1]
    assert torch.equal(tangent, slow_shift(factor, 2, 4))


def test_the_net_gets_the_shifted_frames() -> None:
    x = torch.randn(4, 8, 2, 2)
    layer = TemporalShift(nn.Conv2d(8, 3, 1), num_segments=4)
    assert torch.equal(layer(x), layer.net(slow_shift(x, 4, 8)))


@pytest.mark.slow
def test_it_exports() -> None:
    layer = TemporalShift(nn.Conv2d(8, 3, 1), num_segments=4).eval()
    x = torch.randn(4, 8, 2, 2)
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), layer(x))


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_segments=4 of the backbone does not divide the 6 frames of the batch"):
        TemporalShift(nn.Identity(), 4)(torch.rand(6, 8, 1, 1))
    with pytest.raises(ConfigError, match="a temporal shift needs num_segments and shift_div from 1, got 0, 8"):
        TemporalShift(nn.Identity(), 0)
