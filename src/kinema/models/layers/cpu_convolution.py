"""Convolutions that take the fast way on a CPU, with torch's names, weights and gradients.

Three things are done, none of which keeps anything that could grow stale:

- Backbones hold features with the channels last in memory (`best_layout`), but for the smallest inputs in evaluation.
- torch hands small float32 convolutions to an implementation that unfolds the whole input first. `Conv2d` and `Conv3d`
  hand those over channels-last input to oneDNN, the library that torch has for large ones; a kernel over space alone, or
  over time alone, as a 2D convolution of the same memory where that has the faster gradient; a kernel over a single
  position, or over time alone, where there are few positions, as the product of two matrices, which takes the weights as they lie.
- In evaluation a batch norm is an affine map, and goes into the weights of the convolution in front of it where these are
  fewer than the values that the norm would read and write (`convolve_and_normalize`).

`benchmarks/models.py` measures what that brings. All else, other devices and types, tracing, export, autocast, transforms
of `torch.func`, goes torch's usual way.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Without oneDNN, or in a torch that does not tell whether somebody watches, all goes the usual way.
_SUPPORTED = (
    torch.backends.mkldnn.is_available()
    and hasattr(torch._C, "_len_torch_dispatch_stack")
    and hasattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack")
    and hasattr(torch.autograd.forward_ad, "_current_level")
)
# A layer over fewer positions than this share of its weights spends its time on arranging the weights for oneDNN.
_WEIGHTS_PER_OUTPUT = 16
# Up to so many positions a kernel of one position is faster as a product of matrices.
_POSITIONS_OF_PRODUCT = 512
# Without gradients a network over fewer positions than this share of its weights is better off with the channels first.
_POSITIONS_PER_WEIGHT = 0.008


_usual: ContextVar[bool] = ContextVar("usual", default=False)


@contextmanager
def torchs_usual_way() -> Iterator[None]:
    """Within this context everything is computed as torch does it: the other side of a measurement, or of a doubt."""
    token = _usual.set(True)
    try:
        yield
    finally:
        _usual.reset(token)


class PreparedConv(nn.Module):
    """A convolution of a prepared input, `net(prepare(x))`: what shifts frames in front of a convolution, for example.

    A subclass has `net` or overrides `last`, and defines `prepare`.
    """

    @property
    def last(self) -> nn.Module:
        """The convolution."""
        return self.get_submodule("net")

    def prepare(self, x: Tensor) -> Tensor:
        """The input of the convolution."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.prepare(x))
        return out


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, see the head of this file."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_fast(self, input):
            return super()._conv_forward(input, weight, bias)
        if _has_few_positions(self, input):
            return super()._conv_forward(input.contiguous(), weight, bias).contiguous(memory_format=torch.channels_last)
        return _convolve(input, weight, bias, self.padding, self.stride, self.dilation, self.groups)


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`, see the head of this file."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_fast(self, input):
            return super()._conv_forward(input, weight, bias)
        padding = cast(tuple[int, int, int], self.padding)  # no name of a mode, see `_is_fast`
        (pad_t, *pad), (step_t, *step), (spacing_t, *spacing) = padding, self.stride, self.dilation
        batch, _, frames, height, width = input.shape
        places = input.permute(0, 2, 3, 4, 1)  # as it lies in memory
        is_over_time = (self.kernel_size[1:], step, pad) == ((1, 1), [1, 1], [0, 0])
        if _has_few_positions(self, input):
            if is_over_time and spacing_t == self.groups == 1:
                seen = F.pad(places, (0, 0, 0, 0, 0, 0, pad_t, pad_t)).unfold(1, self.kernel_size[0], step_t)
                return F.linear(seen.flatten(-2), weight.flatten(1), bias).movedim(-1, 1)
            out = super()._conv_forward(input.contiguous(), weight, bias)
            return out.contiguous(memory_format=torch.channels_last_3d)
        if (self.kernel_size[0], step_t, pad_t) == (1, 1, 0):
            # Each frame by itself.
            images = places.reshape(batch * frames, height, width, -1).permute(0, 3, 1, 2)
            out = _convolve(images, weight[:, :, 0], bias, pad, step, spacing, self.groups)
            height, width = out.shape[2:]
        elif is_over_time and _is_single(input):
            # Each place by itself: time is one side of an image, all places the other.
            images = places.reshape(batch, frames, height * width, -1).permute(0, 3, 1, 2)
            out = _convolve(images, weight.flatten(3), bias, (pad_t, 0), (step_t, 1), (spacing_t, 1), self.groups)
            frames = out.shape[2]
        else:
            return _convolve(input, weight, bias, self.padding, self.stride, self.dilation, self.groups)
        return out.permute(0, 2, 3, 1).reshape(batch, frames, height, width, -1).permute(0, 4, 1, 2, 3)


def best_layout(x: Tensor, network: nn.Module) -> torch.memory_format:
    """How the input of a network should lie in memory.

    Args:
        x: (B, C, H, W) or (B, C, T, H, W).
        network: what it goes into.

    Returns:
        On a CPU channels-last, but without gradients and for so few positions that arranging the weights would cost more than
        it brings channels-first; elsewhere, and while a network is traced or exported, as it lies.
    """
    if not is_plain_cpu(x):
        return torch.preserve_format
    if torch.is_grad_enabled():
        return _layout(x)
    positions = x.numel() // x.shape[1]
    fewest = _POSITIONS_PER_WEIGHT / 8 if _is_single(x) else _POSITIONS_PER_WEIGHT
    return torch.contiguous_format if positions < fewest * _dense_weights(network) else _layout(x)


def _is_single(x: Tensor) -> bool:
    """One clip, or one thread: for which torch unfolds the input in more convolutions, and in more of their gradients."""
    return len(x) == 1 or torch.get_num_threads() == 1


def arrange(x: Tensor, layout: torch.memory_format) -> Tensor:
    """`x` in a layout that `best_layout` gave: itself, or a copy."""
    return x if layout == torch.preserve_format else x.contiguous(memory_format=layout)


def _dense_weights(network: nn.Module) -> int:
    """Number of the weights that see several positions and channels, which are what has to be arranged anew."""
    convs = (one for one in network.modules() if isinstance(one, Conv2d | Conv3d))
    return sum(one.weight.numel() for one in convs if one.groups == 1 and max(one.kernel_size) > 1)


def convolve_and_normalize(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """`norm(conv(x))`, as one convolution where that is less work."""
    if isinstance(conv, PreparedConv) and not _has_hooks(conv):
        return convolve_and_normalize(conv.last, norm, conv.prepare(x))
    if (
        not isinstance(conv, Conv2d | Conv3d)
        or not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d)
        or norm.training
        or norm.running_mean is None
        or norm.running_var is None
        or torch.is_grad_enabled()
        or _has_hooks(conv)
        or _has_hooks(norm)
        or not is_plain_cpu(x)  # before any look at sizes, which are symbols while exporting
        or conv.weight.numel() > _num_outputs(conv, x)
    ):
        return norm(conv(x))
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale *= norm.weight
    shift = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
    shift = -shift * scale if norm.bias is None else norm.bias - shift * scale
    weight = conv.weight * scale.view(-1, *[1] * (conv.weight.dim() - 1))
    return conv._conv_forward(x, weight, shift)


def is_plain_cpu(x: Tensor) -> bool:
    """Is `x` a float32 tensor on the CPU that is just computed with: not traced, exported, counted or transformed?"""
    return bool(
        _SUPPORTED
        and not torch.compiler.is_compiling()  # first: a compiler need not look at the rest
        and not _usual.get()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and type(x) in (Tensor, nn.Parameter)
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch.autograd.forward_ad._current_level < 0
    )


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d


def _has_hooks(module: nn.Module) -> bool:
    """Does somebody watch what goes in or comes out?"""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _num_outputs(conv: Conv2d | Conv3d, x: Tensor) -> int:
    """About how many values the convolution of `x` has."""
    return x.numel() // conv.in_channels * conv.out_channels // math.prod(conv.stride)


def _is_fast(conv: Conv2d | Conv3d, x: Tensor) -> bool:
    """May the convolution of `x` go to oneDNN?"""
    return (
        is_plain_cpu(x)
        and x.dim() == conv.weight.dim()
        and x.numel() > 0
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and x.is_contiguous(memory_format=_layout(x))
    )


def _has_few_positions(conv: Conv2d | Conv3d, x: Tensor) -> bool:
    """Would oneDNN spend its time on arranging the weights?"""
    too_few = conv.weight.numel() > _WEIGHTS_PER_OUTPUT * _num_outputs(conv, x)
    return too_few and not _is_product(x, conv.weight, conv.padding, conv.stride, conv.groups)


def _is_product(x: Tensor, weight: Tensor, padding: Sequence[int | str], stride: Sequence[int], groups: int) -> bool:
    """Is this convolution best done as a product of matrices?"""
    return (
        math.prod(weight.shape[2:]) == 1
        and groups == 1
        and not any(padding)
        and x.numel() // x.shape[1] <= _POSITIONS_OF_PRODUCT * math.prod(stride)
    )


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: Sequence[int | str],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    if _is_product(x, weight, padding, stride, groups):
        places = x.movedim(1, -1)  # as it lies in memory
        if max(stride) > 1:
            places = places[(slice(None), *(slice(None, None, step) for step in stride))].contiguous()
        return F.linear(places, weight.flatten(1), bias).movedim(-1, 1)
    return torch.ops.aten.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
