"""Batch norms of any number of dimensions: of one process, and over the batches of all processes on a CPU.

Torch's own `SyncBatchNorm` is an error on a CPU where processes train together, and no layer that
exporters know where a process trains alone.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.distributed import is_distributed


class _SumOverProcesses(torch.autograd.Function):
    """The sum of all processes' tensors, in each of them."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class BatchNormXd(_BatchNorm):
    """`torch.nn.BatchNorm1d`, `2d` and `3d` in one: (B, C, ...) -> (B, C, ...)."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"a batch norm needs an input of 2 or more axes, got shape {tuple(input.shape)}")


class CpuSyncBatchNorm(BatchNormXd):
    """`torch.nn.SyncBatchNorm` for processes on CPUs; in evaluation a plain batch norm."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, C, ...), normalised over the batches of all processes."""
        self._check_input_dim(x)
        if not self.training or not is_distributed():
            result: Tensor = super().forward(x)
            return result
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        dims, shape = [0, *range(2, x.dim())], (1, -1, *([1] * (x.dim() - 2)))
        count = _SumOverProcesses.apply(values.new_tensor(x.numel() / x.shape[1]))
        mean = _SumOverProcesses.apply(values.sum(dims)) / count
        centred = values - mean.view(shape)
        variance = _SumOverProcesses.apply(centred.square().sum(dims)) / count
        self._track(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            normal = normal * self.weight.view(shape)
        if self.bias is not None:
            normal = normal + self.bias.view(shape)
        return normal.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise_batch_norms(module: nn.Module, *, every: bool = True) -> None:
    """Replace batch norms inside a module, at any depth; parameters and buffers stay the same objects.

    Args:
        module: what holds them, on a CPU.
        every: False: only `torch.nn.SyncBatchNorm`s, which train on GPUs only.
    """
    _replace(module, _BatchNorm if every else nn.SyncBatchNorm, CpuSyncBatchNorm)


def separate_batch_norms(module: nn.Module) -> None:
    """Replace each `torch.nn.SyncBatchNorm` inside a module by a batch norm that needs no other processes.

    Parameters and buffers stay the same objects.
    """
    _replace(module, nn.SyncBatchNorm, BatchNormXd)


def _replace(module: nn.Module, kind: type[nn.Module], new: type[BatchNormXd]) -> None:
    for name, child in module.named_children():
        if isinstance(child, kind) and not isinstance(child, new):
            setattr(module, name, replaced(child, new))
        else:
            _replace(child, kind, new)


def replaced(norm: Any, kind: type[BatchNormXd]) -> BatchNormXd:
    """A batch norm of another kind with the parameters and buffers of `norm`."""
    new = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        setattr(new, name, getattr(norm, name))
    return new.train(norm.training)
