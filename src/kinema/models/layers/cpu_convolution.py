"""Convolutions with torch's names, weights and gradients that are faster for float32 on a CPU.

Three things are done, none of which keeps anything that could grow stale:

- `arrange` puts the channels of a network's input last in memory, but for the smallest inputs in
  evaluation; layers keep that order. `Backbone` calls it for every backbone.
- torch computes small float32 convolutions by an implementation that first unfolds the whole input.
  `Conv2d` and `Conv3d` give those of channels-last input to oneDNN, which torch uses for large
  ones; a kernel over space alone, or over time alone, becomes a 2D convolution of the same memory
  where that has the faster gradient; a kernel over a single position, or over time alone, where
  there are few positions, the product of two matrices, which needs no rearranged weights.
- In evaluation a batch norm is an affine map. `convolve_and_normalize` multiplies it into the
  weights of the convolution in front of it where these are fewer than the values that the norm
  would read and write.

All else uses torch's default kernels: other devices and types, tracing, export, autocast,
transforms of `torch.func`, and modules with hooks. `benchmarks/models.py` measures both.
"""

import functools
import math
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.matrix_products import linear

# oneDNN arranges the weights anew for each call. Where a layer has more than so many weights for
# each value that it computes, that takes longer than the convolution.
_WEIGHTS_PER_OUTPUT = 16
# Up to so many positions a kernel of one position is faster as a product of matrices.
_POSITIONS_OF_PRODUCT = 512
# Without gradients, a network with less than so many positions for each weight is faster with its
# channels first.
_POSITIONS_PER_WEIGHT = 0.008

# What torch has no public name for: whether it records or transforms what is computed, whether
# hooks are registered for all modules, and a convolution by oneDNN. A torch that lacks one of them
# uses its default kernels.
_GLOBAL_HOOKS = tuple(f"_global_{kind}_hooks" for kind in ("forward", "forward_pre", "backward", "backward_pre"))
PRIVATE_NAMES = (
    "_C._len_torch_dispatch_stack",
    "_C._functorch.peek_interpreter_stack",
    "autograd.forward_ad._current_level",
    *(f"nn.modules.module.{name}" for name in _GLOBAL_HOOKS),
    "ops.aten._softmax_backward_data",
    "ops.aten.mkldnn_convolution",
)

_defaults: ContextVar[bool] = ContextVar("defaults", default=False)


@contextmanager
def default_kernels() -> Iterator[None]:
    """Within this context torch's default kernels compute everything: for comparisons of speed and values."""
    token = _defaults.set(True)
    try:
        yield
    finally:
        _defaults.reset(token)


class PreparedConv(nn.Module):
    """A convolution of a prepared input, `net(prepare(x))`; frames may be shifted first, for example.

    A subclass has `net` or overrides `last`, and defines `prepare`.
    """

    net: nn.Module

    @property
    def last(self) -> nn.Module:
        """The convolution."""
        return self.net

    def prepare(self, x: Tensor) -> Tensor:
        """The input of the convolution."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.prepare(x))
        return out


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`, see the head of this file."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_fast(self, input, weight, bias):
            return super()._conv_forward(input, weight, bias)
        x = input.contiguous(memory_format=torch.channels_last)
        if _has_few_positions(self, x):
            return super()._conv_forward(x.contiguous(), weight, bias).contiguous(memory_format=torch.channels_last)
        return _convolve(x, weight, bias, self.padding, self.stride, self.dilation, self.groups)


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`, see the head of this file."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _is_fast(self, input, weight, bias):
            return super()._conv_forward(input, weight, bias)
        x = input.contiguous(memory_format=torch.channels_last_3d)
        padding = cast(tuple[int, int, int], self.padding)  # no name of a mode, see `_is_fast`
        (pad_t, *pad), (step_t, *step), (spacing_t, *spacing) = padding, self.stride, self.dilation
        batch, _, frames, height, width = x.shape
        places = x.permute(0, 2, 3, 4, 1)  # as it lies in memory
        is_over_time = (self.kernel_size[1:], step, pad) == ((1, 1), [1, 1], [0, 0])
        if _has_few_positions(self, x):
            if is_over_time and spacing_t == self.groups == 1:
                seen = F.pad(places, (0, 0, 0, 0, 0, 0, pad_t, pad_t)).unfold(1, self.kernel_size[0], step_t)
                return linear(seen.flatten(-2), weight.flatten(1), bias).movedim(-1, 1)
            out = super()._conv_forward(x.contiguous(), weight, bias)
            return out.contiguous(memory_format=torch.channels_last_3d)
        if (self.kernel_size[0], step_t, pad_t) == (1, 1, 0):
            # Each frame by itself.
            images = places.reshape(batch * frames, height, width, -1).permute(0, 3, 1, 2)
            out = _convolve(images, weight[:, :, 0], bias, pad, step, spacing, self.groups)
            height, width = out.shape[2:]
        elif is_over_time and _is_single(x):
            # Each place by itself: time is one side of an image, all places the other.
            images = places.reshape(batch, frames, height * width, -1).permute(0, 3, 1, 2)
            out = _convolve(images, weight.flatten(3), bias, (pad_t, 0), (step_t, 1), (spacing_t, 1), self.groups)
            frames = out.shape[2]
        else:
            return _convolve(x, weight, bias, self.padding, self.stride, self.dilation, self.groups)
        return out.permute(0, 2, 3, 1).reshape(batch, frames, height, width, -1).permute(0, 4, 1, 2, 3)


class PlanarConv3d(Conv3d):
    """A convolution of clips over space or over time alone, with the weight of a `Conv2d`.

    Over space the weight is (O, I, rows, columns), over time (O, I, frames, 1).

    Args:
        in_channels: I.
        out_channels: O.
        kernel_size: (1, rows, columns), or (frames, 1, 1).
        **settings: further arguments of `torch.nn.Conv3d`.

    Raises:
        ValueError: the kernel is over space and time.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: tuple[int, int, int], **settings: Any) -> None:
        if kernel_size[0] > 1 and kernel_size[1:] != (1, 1):
            raise ValueError(f"a planar convolution is over space or over time, got a kernel of {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, **settings)
        self._flat = 2 if kernel_size[0] == 1 else 4  # the side of the kernel that the weight does without
        self.weight = nn.Parameter(self.weight.detach().squeeze(self._flat))

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight.unsqueeze(self._flat), bias)


_CONVS = (Conv2d, Conv3d, PlanarConv3d)
_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def arrange(x: Tensor, network: nn.Module) -> Tensor:
    """The input of a network in the layout that `best_layout` names: itself, or a copy."""
    layout = best_layout(x, network)
    return x if layout == torch.preserve_format else x.contiguous(memory_format=layout)


def best_layout(x: Tensor, network: nn.Module) -> torch.memory_format:
    """How the input of a network should lie in memory.

    Args:
        x: (B, C, H, W) or (B, C, T, H, W).
        network: what it goes into, made of this file's convolutions.

    Returns:
        On a CPU channels-last, but channels-first without gradients and for so few positions that
        arranging the weights would take longer than it saves; as it lies for input of other
        dimensions, on other devices, and while a network is traced or exported.
    """
    if not is_plain_cpu(x) or x.dim() not in (4, 5) or x.numel() == 0:
        return torch.preserve_format
    if torch.is_grad_enabled():
        return _layout(x)
    positions = x.numel() // x.shape[1]
    fewest = _POSITIONS_PER_WEIGHT / 8 if _is_single(x) else _POSITIONS_PER_WEIGHT
    return torch.contiguous_format if positions < fewest * _dense_weights(network) else _layout(x)


def convolve_and_normalize(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """`norm(conv(x))`, as one convolution where that is less work."""
    if is_plain_cpu(x):  # before any look at sizes, which are symbols while exporting
        if isinstance(conv, PreparedConv) and not is_watched(conv):
            return convolve_and_normalize(conv.last, norm, conv.prepare(x))
        if isinstance(conv, _CONVS) and isinstance(norm, _BATCH_NORMS) and _can_fold(conv, norm, x):
            return conv._conv_forward(x, *_folded(conv, norm))
    return norm(conv(x))


def is_plain_cpu(x: Tensor) -> bool:
    """Is `x` a plain float32 tensor on the CPU: not traced, exported, counted or transformed?"""
    return bool(
        not torch.compiler.is_compiling()  # first: a compiler need not look at the rest
        and type(x) in (Tensor, nn.Parameter)  # second: the rest reads from it what stand-ins of tracers do not have
        and _is_supported()
        and not _defaults.get()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_dispatch_stack() == 0
        and not is_transformed()
    )


def is_transformed() -> bool:
    """Does `torch.jit` trace what is computed, or `torch.func` or a forward gradient transform it?

    Functions with gradients of their own cannot be called then. True if this torch cannot tell.
    """
    return bool(
        torch.jit.is_tracing()
        or not _has_private_names()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def missing_private_names() -> list[str]:
    """Those of `PRIVATE_NAMES` that this torch does not have."""
    missing = []
    for name in PRIVATE_NAMES:
        try:
            operator.attrgetter(name)(torch)
        except AttributeError:
            missing.append(name)
    return missing


@functools.cache
def _is_supported() -> bool:
    """Has this torch oneDNN, and all that is asked of it here?"""
    return torch.backends.mkldnn.is_available() and _has_private_names()


@functools.cache
def _has_private_names() -> bool:
    return not missing_private_names()


def is_watched(module: nn.Module) -> bool:
    """Does anything but its class see calls of a module: hooks, of it or of all, or a new forward?"""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or any(getattr(torch.nn.modules.module, name) for name in _GLOBAL_HOOKS)
        or "forward" in module.__dict__
    )


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d


def _has_channels_last(x: Tensor) -> bool:
    """Are the channels of a position neighbours in memory, be there gaps between positions or not?"""
    return x.is_contiguous(memory_format=_layout(x)) or (x.stride(1) == 1 < x.shape[1] and not x.is_contiguous())


def _is_single(x: Tensor) -> bool:
    """One clip, or one thread.

    For these torch unfolds the input in more convolutions, and in more of their gradients.
    """
    return len(x) == 1 or torch.get_num_threads() == 1


def _dense_weights(network: nn.Module) -> int:
    """Number of the weights that see several positions and channels, which oneDNN would arrange anew."""
    convs = (module for module in network.modules() if isinstance(module, _CONVS))
    return sum(conv.weight.numel() for conv in convs if conv.groups == 1 and max(conv.kernel_size) > 1)


def _num_outputs(conv: Conv2d | Conv3d, x: Tensor) -> int:
    """How many values the convolution of `x` has, padding aside."""
    return x.numel() // conv.in_channels * conv.out_channels // math.prod(conv.stride)


def _is_fast(conv: Conv2d | Conv3d, x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """May the convolution of `x` go to oneDNN? Not where types differ: torch has a message for that."""
    return (
        is_plain_cpu(x)
        and weight.dtype == x.dtype
        and (bias is None or bias.dtype == x.dtype)
        and x.dim() == weight.dim()
        and x.numel() > 0
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and _has_channels_last(x)
    )


def _can_fold(conv: Conv2d | Conv3d, norm: nn.BatchNorm2d | nn.BatchNorm3d, x: Tensor) -> bool:
    """May the norm go into the convolution's weights, and is that less work?"""
    return (
        not norm.training
        and not torch.is_grad_enabled()
        and norm.running_mean is not None
        and type(conv) in _CONVS  # what derives from them may compute something else
        and type(norm) in _BATCH_NORMS
        and conv.weight.numel() <= _num_outputs(conv, x)
        and all(part.dtype == x.dtype for part in (*conv.parameters(), *norm.parameters(), norm.running_mean))
        and not is_watched(conv)
        and not is_watched(norm)
    )


def _folded(conv: Conv2d | Conv3d, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that is a convolution and the norm behind it."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)  # see `_can_fold`
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale *= norm.weight
    shift = mean if conv.bias is None else mean - conv.bias
    shift = -shift * scale if norm.bias is None else norm.bias - shift * scale
    return conv.weight * scale.view(-1, *[1] * (conv.weight.dim() - 1)), shift


def _has_few_positions(conv: Conv2d | Conv3d, x: Tensor) -> bool:
    """Would oneDNN take longer to arrange the weights than to convolve?"""
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
        return linear(places, weight.flatten(1), bias).movedim(-1, 1)
    return torch.ops.aten.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)
