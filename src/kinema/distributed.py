"""What the parts need of `torch.distributed`; everything works alike in a single process that never set it up."""

import atexit
import functools
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
import torch.distributed as dist

from kinema import peers
from kinema.errors import ConfigError
from kinema.launching import Place, place_of

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def is_distributed() -> bool:
    """Has this process joined a distributed run?"""
    return dist.is_available() and dist.is_initialized()


def get_rank() -> int:
    """Number of this process, 0 outside a distributed run."""
    return dist.get_rank() if is_distributed() else 0


def get_world_size() -> int:
    """Number of processes, 1 outside a distributed run."""
    return dist.get_world_size() if is_distributed() else 1


def is_main_process() -> bool:
    """True in the process that writes files and logs."""
    return get_rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if not is_distributed():
        return
    if "nccl" in dist.get_backend():
        dist.barrier(device_ids=[torch.cuda.current_device()])
    else:
        dist.barrier()


def gather_objects(obj: Any) -> list[Any]:
    """The objects of all processes, in the order of their ranks, in every process.

    Objects must be picklable.
    """
    if get_world_size() == 1:  # also within a run: nccl would make the host wait
        return [obj]
    gathered: list[Any] = [None] * get_world_size()
    dist.all_gather_object(gathered, obj)
    return gathered


def broadcast_object(obj: Any, source: int = 0) -> Any:
    """The object of process `source`, in every process. It must be picklable."""
    if get_world_size() == 1:
        return obj
    objects = [obj]
    dist.broadcast_object_list(objects, src=source)
    return objects[0]


def init_from_environment(
    backend: str | None = None,
    *,
    launcher: str = "none",
    device: str = "auto",
    timeout_seconds: float | None = None,
    port: int | None = None,
) -> bool:
    """Join the run that `torchrun`, `srun` or `mpirun` started this process for, and leave it at exit.

    From then on the first error of all processes is shown once and ends all of them, and so does
    a process that is killed (`kinema.peers`).

    Args:
        backend: "nccl", "gloo", ...; default: nccl where there is CUDA, gloo elsewhere. "nccl" is
            gloo where the run does not use CUDA.
        launcher: see `kinema.launching.place_of`.
        device: that the run will use: on "cpu" the default backend is gloo.
        timeout_seconds: how long an exchange waits for the other processes; default: torch's, 10
            minutes with nccl and 30 with gloo.
        port: where process 0 listens, unless `MASTER_PORT` says it.

    Returns:
        True in a distributed run, False when the environment describes none.

    Raises:
        ConfigError: the launcher did not start this process, there is no such backend, no GPU of
            its own, or the others cannot be reached.
    """
    if is_distributed():
        return True
    place = place_of(os.environ, launcher)
    if place is None:
        return False
    if port is not None and not os.environ.get("MASTER_PORT"):
        place = replace(place, port=port)
    os.environ.update(place.environment())
    backend = _usable((backend or "nccl").lower(), device)
    if "nccl" in backend:
        check_own_gpu(place.local_rank, torch.cuda.device_count(), device if place.world_size > 1 else "auto")
        torch.cuda.set_device(place.local_rank)
    timeout = None if timeout_seconds is None else timedelta(seconds=timeout_seconds)
    try:
        dist.init_process_group(backend, timeout=timeout)
    except dist.DistError as error:
        raise ConfigError(
            f"process {place.rank} of {place.world_size} cannot reach process 0 at {place.address}:{place.port}:"
            f" {str(error).splitlines()[0]}"
        ) from error
    if backend == "gloo":
        atexit.register(_leave)
    if place.world_size > 1:
        _watch_peers(place)  # after `_leave`: what is registered last is called first
    return True


def _usable(backend: str, device: str) -> str:
    """The backend, or gloo in place of nccl where the run uses no CUDA.

    Raises:
        ConfigError: torch has no such backend here.
    """
    if backend == "nccl" and (device == "cpu" or not torch.cuda.is_available()):
        return "gloo"
    for name in backend.split(","):  # such as "cpu:gloo,cuda:nccl"
        if not dist.is_backend_available(name.rpartition(":")[2]):
            raise ConfigError(f"torch has no backend {name!r} here, by which processes could communicate: use 'gloo'")
    return backend


def check_own_gpu(local_rank: int, num_gpus: int, device: str = "auto") -> None:
    """Check that a process that communicates by nccl has a GPU of its own.

    Args:
        local_rank: number of the process on its machine.
        num_gpus: that it sees.
        device: that the run will use.

    Raises:
        ConfigError: there are more processes than GPUs, or the device is the GPU of another process.
    """
    if local_rank >= num_gpus:
        raise ConfigError(
            f"process {local_rank} of this machine has no GPU: it sees {num_gpus}; start a process a GPU"
            f" (--nproc-per-node {num_gpus}), or use the device 'cpu'"
        )
    if device.startswith("cuda:") and device != f"cuda:{local_rank}":
        raise ConfigError(
            f"the device {device!r} is not the GPU of process {local_rank} of this machine: with several processes use"
            " 'cuda' or 'auto', so that each has its own"
        )


def _watch_peers(place: Place) -> None:
    # torchrun keeps the store; without it process 0 does.
    keeps_store = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    port = int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(place.address, port, is_master=False, timeout=timedelta(seconds=60))
    prefixed = dist.PrefixStore(f"kinema/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    atexit.register(peers.watch(prefixed, place.rank, place.world_size, keeps_store=keeps_store).leave)
    if place.rank and not sys.warnoptions:
        warnings.simplefilter("ignore")  # the first process shows them


def auto_device() -> str:
    """What "auto" stands for: CUDA where there is any, else the CPU. Touches no device."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_device(device: str) -> torch.device:
    """The device of a name.

    "auto" is that of `auto_device`, and CUDA without a number is that of this process
    (`LOCAL_RANK`).

    Raises:
        ConfigError: it cannot be used here.
    """
    if device == "auto":
        device = auto_device()
    if device == "cuda" and torch.cuda.is_available():
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', 0))}"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"the device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error


def _leave() -> None:
    """Leave the run that this process joined, while there is still an interpreter.

    A thread of gloo lets go of an exchange's tensors a moment after the exchange is over, and needs
    the interpreter for it. One that finds the interpreter on its way out aborts the process; one
    that a wrapped model's end waits for, holding the interpreter, never ends (torch 2.13). NCCL's
    goodbye may wait for processes that have failed: it is left alone.
    """
    if is_distributed():
        time.sleep(0.2)  # lets threads that wait for the interpreter have it
        dist.destroy_process_group()


def main_process_only(function: Callable[Arguments, Result]) -> Callable[Arguments, Result | None]:
    """Decorator: the function runs in the main process; in the others it does nothing and returns None."""

    @functools.wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result | None:
        return function(*args, **kwargs) if is_main_process() else None

    return guarded
