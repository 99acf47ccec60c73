"""Processes and their groups, and where data lies: `mmengine.dist.utils`."""

import os
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.distributed as torch_dist
from torch import Tensor

from kinema.distributed import init_from_environment, is_distributed

_local_group: Any = None


def get_rank(group: Any = None) -> int:
    """Number of this process in the group; 0 outside a distributed run."""
    return torch_dist.get_rank(group) if is_distributed() else 0


def get_world_size(group: Any = None) -> int:
    """Number of processes of the group; 1 outside a distributed run."""
    return torch_dist.get_world_size(group) if is_distributed() else 1


def get_dist_info(group: Any = None) -> tuple[int, int]:
    """(rank, number of processes)."""
    return get_rank(group), get_world_size(group)


def is_main_process(group: Any = None) -> bool:
    """Whether this is the first process of the group."""
    return get_rank(group) == 0


def barrier(group: Any = None) -> None:
    """Wait until every process of the group is here."""
    if is_distributed():
        torch_dist.barrier(group)


def get_backend(group: Any = None) -> str | None:
    """Name of the group's backend; None outside a distributed run."""
    return str(torch_dist.get_backend(group)) if is_distributed() else None


def get_default_group() -> Any:
    """The group of all processes.

    Raises:
        ValueError: this is no distributed run.
    """
    return torch_dist.distributed_c10d._get_default_group()


def init_local_group(node_rank: int, num_gpus_per_node: int) -> None:
    """Make the group of the processes of one machine.

    Args:
        node_rank: number of the machine.
        num_gpus_per_node: processes of each machine.
    """
    global _local_group
    first = node_rank * num_gpus_per_node
    _local_group = torch_dist.new_group(list(range(first, first + num_gpus_per_node)))


def get_local_group() -> Any:
    """The group that `init_local_group` made; None outside a distributed run.

    Raises:
        ValueError: it was not made.
    """
    if not is_distributed():
        return None
    if _local_group is None:
        raise ValueError("there is no group of this machine yet: call init_local_group first")
    return _local_group


def get_local_size() -> int:
    """Number of processes of this machine; 1 outside a distributed run."""
    return torch_dist.get_world_size(get_local_group()) if is_distributed() else 1


def get_local_rank() -> int:
    """Number of this process among those of this machine; 0 outside a distributed run."""
    return torch_dist.get_rank(get_local_group()) if is_distributed() else 0


def infer_launcher() -> str:
    """What started this process, by its environment: "pytorch", "slurm", "mpi" or "none"."""
    if "WORLD_SIZE" in os.environ:
        return "pytorch"
    if "SLURM_NTASKS" in os.environ:
        return "slurm"
    return "mpi" if "OMPI_COMM_WORLD_LOCAL_RANK" in os.environ else "none"


def init_dist(
    launcher: Literal["pytorch", "slurm", "mpi", "none"] = "pytorch",
    backend: str | None = None,
    init_backend: Literal["torch"] = "torch",
) -> None:
    """Set torch.distributed up from what `torchrun`, `srun` or `mpirun` put into the environment.

    Args:
        launcher: which of them started this process.
        backend: "nccl", "gloo", ...; "nccl" becomes "gloo" where there is no CUDA.
        init_backend: who sets it up: torch.

    Raises:
        ValueError: another launcher or another `init_backend`.
        ConfigError: the launcher did not start this process.
    """
    if launcher not in ("pytorch", "slurm", "mpi", "none"):
        raise ValueError(f"launcher must be 'pytorch', 'slurm', 'mpi' or 'none', got {launcher!r}")
    if init_backend != "torch":
        raise ValueError(f"init_backend must be 'torch', got {init_backend!r}")
    if launcher == "none":
        return
    init_from_environment(backend, launcher="none" if launcher == "pytorch" else launcher)


# ---- devices


def get_comm_device(group: Any = None) -> torch.device:
    """The device that the group's backend moves data from."""
    return torch.device("cuda", torch.cuda.current_device()) if get_backend(group) == "nccl" else torch.device("cpu")


def get_data_device(data: Any) -> torch.device:
    """The device of a tensor, or of all tensors in a dict or list.

    Raises:
        TypeError: there is something else in it.
        ValueError: it is empty, or on several devices.
    """
    if isinstance(data, Tensor):
        return data.device
    if not isinstance(data, Mapping | list | tuple):
        raise TypeError(f"expected a tensor, or a dict or list of tensors, got {type(data).__name__}")
    devices = {get_data_device(entry) for entry in (data.values() if isinstance(data, Mapping) else data)}
    if len(devices) != 1:
        raise ValueError(f"expected tensors of one device, got {sorted(map(str, devices)) or 'no tensors'}")
    return devices.pop()


def cast_data_device(data: Any, device: torch.device, out: Any = None) -> Any:
    """A tensor, or the tensors in a dict or list, on another device.

    Args:
        data: tensors.
        device: where they go.
        out: tensors of the same structure that get the values instead.

    Raises:
        TypeError: there is something else in it, or `out` is of another structure.
        ValueError: `out` has other keys or another length.
    """
    if out is not None and type(data) is not type(out):
        raise TypeError(f"out must be of the type of data, {type(data).__name__}, got {type(out).__name__}")
    if isinstance(data, Tensor):
        moved = data.to(device) if data.device != device else data
        return moved if out is None else out.copy_(moved)
    if isinstance(data, Mapping):
        if out is not None and set(out) != set(data):
            raise ValueError(f"out must have the keys {sorted(data)}, got {sorted(out)}")
        moved_entries = {key: cast_data_device(data[key], device, None if out is None else out[key]) for key in data}
        return type(data)(moved_entries)  # type: ignore[call-arg]
    if isinstance(data, list | tuple):
        if out is not None and len(out) != len(data):
            raise ValueError(f"out must have {len(data)} entries, got {len(out)}")
        targets = [None] * len(data) if out is None else out
        return type(data)(cast_data_device(entry, device, target) for entry, target in zip(data, targets, strict=True))
    raise TypeError(f"expected a tensor, or a dict or list of tensors, got {type(data).__name__}")
