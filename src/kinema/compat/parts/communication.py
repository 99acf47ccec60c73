"""Collective operations of `mmengine.dist`; each also works in one process without torch.distributed.

Tensors travel on the device of the backend and come back to their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as torch_dist
from torch import Tensor

from kinema.compat.parts.process_groups import cast_data_device, get_comm_device, get_rank, get_world_size
from kinema.distributed import is_distributed

_OPERATIONS = ("sum", "mean", "product", "min", "max", "band", "bor", "bxor")


def _operation(op: str) -> str:
    if op.lower() not in _OPERATIONS:
        raise ValueError(f"op must be one of {', '.join(_OPERATIONS)}, got {op!r}")
    return op.lower()


def all_reduce(data: Tensor, op: str = "sum", group: Any = None) -> None:
    """Replace `data`, in place, by its sum (`"mean"`, `"max"`, `"min"`, `"product"`, ...) over all processes.

    Raises:
        ValueError: another `op`.
    """
    operation = _operation(op)
    if get_world_size(group) == 1:
        return
    moved = cast_data_device(data, get_comm_device(group))
    reduction = getattr(torch_dist.ReduceOp, "SUM" if operation == "mean" else operation.upper())
    torch_dist.all_reduce(moved, reduction, group=group)
    if operation == "mean":
        moved = torch.true_divide(moved, get_world_size(group)).to(moved.dtype)
    cast_data_device(moved, data.device, out=data)


def all_reduce_dict(data: Mapping[str, Tensor], op: str = "sum", group: Any = None) -> None:
    """`all_reduce` of every tensor of a dict; all of one device."""
    for key in sorted(data):
        all_reduce(data[key], op, group)


def all_reduce_params(
    params: Iterable[Tensor], coalesce: bool = True, bucket_size_mb: int = -1, op: str = "sum", group: Any = None
) -> None:
    """`all_reduce` of parameters or gradients.

    Args:
        params: tensors.
        coalesce: accepted for code that says it: torch joins small exchanges.
        bucket_size_mb: likewise.
        op: see `all_reduce`.
        group: of the processes.
    """
    for parameter in params:
        all_reduce(parameter.data, op, group)


def all_gather(data: Tensor, group: Any = None) -> list[Tensor]:
    """The tensor of every process, in order of rank; the shapes must agree."""
    if get_world_size(group) == 1:
        return [data]
    moved = cast_data_device(data, get_comm_device(group)).contiguous()
    gathered = [torch.empty_like(moved) for _ in range(get_world_size(group))]
    torch_dist.all_gather(gathered, moved, group=group)
    return [cast_data_device(tensor, data.device) for tensor in gathered]


def gather(data: Tensor, dst: int = 0, group: Any = None) -> list[Tensor]:
    """In process `dst` the tensor of every process, in order of rank; elsewhere nothing."""
    gathered = all_gather(data, group)
    return gathered if get_rank(group) == dst or not is_distributed() else []


def broadcast(data: Tensor, src: int = 0, group: Any = None) -> None:
    """Replace `data`, in place, by that of process `src`."""
    if get_world_size(group) == 1:
        return
    moved = cast_data_device(data, get_comm_device(group)).contiguous()
    torch_dist.broadcast(moved, src, group)
    cast_data_device(moved, data.device, out=data)


def broadcast_object_list(data: list[Any], src: int = 0, group: Any = None) -> None:
    """Replace the entries of a list, in place, by those of process `src`; they must be picklable.

    Raises:
        TypeError: `data` is no list.
    """
    if not isinstance(data, list):
        raise TypeError(f"data must be a list, got {type(data).__name__}")
    if get_world_size(group) > 1:
        torch_dist.broadcast_object_list(data, src, group)


def all_gather_object(data: Any, group: Any = None) -> list[Any]:
    """The object of every process, in order of rank; it must be picklable."""
    if get_world_size(group) == 1:
        return [data]
    gathered: list[Any] = [None] * get_world_size(group)
    torch_dist.all_gather_object(gathered, data, group)
    return gathered


def gather_object(data: Any, dst: int = 0, group: Any = None) -> list[Any] | None:
    """In process `dst` the object of every process, in order of rank; elsewhere None."""
    gathered = all_gather_object(data, group)
    return gathered if get_rank(group) == dst or not is_distributed() else None


def sync_random_seed(group: Any = None) -> int:
    """A random number below 2**31 of numpy's generator, the first process's in all."""
    seed = int(np.random.randint(2**31))
    if get_world_size(group) == 1:
        return seed
    number = torch.tensor(seed, dtype=torch.int64, device=get_comm_device(group))
    torch_dist.broadcast(number, 0, group=group)
    return int(number.item())


def collect_results(results: list[Any], size: int, device: str = "cpu", tmpdir: str | None = None) -> list[Any] | None:
    """In the first process the results of all, dealt together in turns, the first `size` of them; elsewhere None.

    Args:
        results: of this process: those of samples rank, rank + processes, ...
        size: number of samples of the dataset.
        device: "cpu", "gpu", "npu", ...: they travel by torch.distributed in any case.
        tmpdir: accepted for code that says it; no folder is needed.

    Raises:
        ValueError: another device.
    """
    if device not in ("cpu", "gpu", "npu", "musa", "mlu"):
        raise ValueError(f"device must be 'cpu' or 'gpu', got {device!r}")
    gathered = gather_object(results)
    if gathered is None:
        return None
    longest = max(map(len, gathered))
    dealt = [part[place] for place in range(longest) for part in gathered if place < len(part)]
    return dealt[:size]


def collect_results_cpu(result_part: list[Any], size: int, tmpdir: str | None = None) -> list[Any] | None:
    """See `collect_results`."""
    return collect_results(result_part, size, "cpu", tmpdir)


def collect_results_gpu(result_part: list[Any], size: int) -> list[Any] | None:
    """See `collect_results`."""
    return collect_results(result_part, size, "gpu")
