"""Collective operations of `mmengine.dist`; each also works in one process without torch.distributed."""

from typing import Any, Literal

import torch
import torch.distributed as torch_dist

from kinema.distributed import get_rank, get_world_size, init_from_environment


def is_distributed() -> bool:
    """Whether torch.distributed is set up in this process."""
    return torch_dist.is_available() and torch_dist.is_initialized()


def get_dist_info(group: Any = None) -> tuple[int, int]:
    """(rank, number of processes)."""
    return get_rank(), get_world_size()


def init_dist(launcher: Literal["pytorch", "none"] = "pytorch", backend: str | None = None) -> None:
    """Set torch.distributed up from what `torchrun` put into the environment.

    Raises:
        ValueError: another launcher.
    """
    if launcher not in ("pytorch", "none"):
        raise ValueError(f"processes are started by torchrun: launcher must be 'pytorch' or 'none', got {launcher!r}")
    if launcher == "pytorch":
        init_from_environment(backend)


def all_gather(data: torch.Tensor, group: Any = None) -> list[torch.Tensor]:
    """The tensor of every process, in order of rank; the shapes must agree."""
    if not is_distributed():
        return [data]
    gathered = [torch.empty_like(data) for _ in range(get_world_size())]
    torch_dist.all_gather(gathered, data.contiguous(), group=group)
    return gathered


def all_reduce(data: torch.Tensor, op: str = "sum", group: Any = None) -> None:
    """Replace `data`, in place, by its sum (`"mean"`, `"max"`, `"min"`, `"product"`) over all processes.

    Raises:
        ValueError: another `op`.
    """
    operations = ("sum", "mean", "max", "min", "product")
    if op not in operations:
        raise ValueError(f"op must be one of {', '.join(operations)}, got {op!r}")
    if not is_distributed():
        return
    torch_dist.all_reduce(data, getattr(torch_dist.ReduceOp, "SUM" if op == "mean" else op.upper()), group=group)
    if op == "mean":
        data.div_(get_world_size())


def broadcast(data: torch.Tensor, src: int = 0, group: Any = None) -> None:
    """Replace `data`, in place, by that of process `src`."""
    if is_distributed():
        torch_dist.broadcast(data, src, group=group)
