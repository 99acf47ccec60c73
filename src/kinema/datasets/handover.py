"""How a batch gets from the process that read it to the main one.

Through shared memory, and through a pipe where there is too little.

Torch moves every tensor of a batch into `/dev/shm` in a thread beside the worker, and a failure
there is lost: the main process waits for ever. A container has 64 MB of it by default. Here a batch
is packed in the worker itself: small tensors travel in the message, large ones in shared memory if
there is room for them and for the files that they keep open, else in the message too.
"""

import io
import os
import pickle
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

SHARED_MEMORY = "/dev/shm"
SMALL_BYTES = 32 * 1024  # a file in shared memory costs more than a copy of so much


class Message:
    """A packed batch.

    Args:
        content: the pickled batch, with places for its tensors.
        tensors: what is in those places: a tensor in shared memory, or what `_as_bytes` made of it.

    Attributes:
        num_bytes: size of the tensors.
        had_no_room: large tensors travel in the message, for lack of shared memory.
    """

    def __init__(self, content: bytes, tensors: list[Any]) -> None:
        self.content = content
        self.tensors = tensors
        self.num_bytes = sum(_num_bytes(entry) if isinstance(entry, Tensor) else len(entry[3]) for entry in tensors)
        self.had_no_room = any(not isinstance(entry, Tensor) and len(entry[3]) > SMALL_BYTES for entry in tensors)
        self._batch: Any = None

    def unpack(self) -> Any:
        """The batch."""
        return _Unpickler(self).load() if self._batch is None else self._batch

    def pin_memory(self) -> "Message":
        """Unpack it into pinned memory; the thread of torch's loader that pins calls this."""
        from torch.utils.data._utils.pin_memory import pin_memory

        self._batch = pin_memory(self.unpack())
        self.tensors = []
        return self


class Packing:
    """A collate function whose batches are packed where a worker calls it.

    Args:
        collate: from a list of samples to a batch.
        num_waiting: batches that may wait for the main process at a time, those of all workers
            together.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], num_waiting: int) -> None:
        self.collate = collate
        self.num_waiting = num_waiting

    def __call__(self, samples: list[Any]) -> Any:
        batch = self.collate(samples)
        return batch if get_worker_info() is None else pack(batch, self.num_waiting)


def pack(batch: Any, num_waiting: int = 1) -> Message:
    """Pack a batch; see `Packing`."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(batch)
    tensors: list[Any] = pickler.tensors
    small = [_num_bytes(tensor) <= SMALL_BYTES for tensor in tensors]
    large = [tensor for tensor, is_small in zip(tensors, small, strict=True) if not is_small]
    if large and not _move_to_shared_memory(large, num_waiting):
        small = [True] * len(tensors)
    entries = [
        _as_bytes(tensor) if flag and _is_plain(tensor) else tensor for tensor, flag in zip(tensors, small, strict=True)
    ]
    return Message(buffer.getvalue(), entries)


class _Pickler(ForkingPickler):
    """Collects the tensors of what it pickles."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[Tensor] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        if type(obj) is not Tensor:
            return None
        if id(obj) not in self._places:
            self._places[id(obj)] = len(self.tensors)
            self.tensors.append(obj)
        return self._places[id(obj)]


class _Unpickler(pickle.Unpickler):
    """Puts the tensors back. It reads what a process of the same run wrote."""

    def __init__(self, message: Message) -> None:
        super().__init__(io.BytesIO(message.content))
        self._tensors = [entry if isinstance(entry, Tensor) else _from_bytes(*entry) for entry in message.tensors]

    def persistent_load(self, pid: Any) -> Any:
        return self._tensors[pid]


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size() if tensor.layout is torch.strided else 0


def _is_plain(tensor: Tensor) -> bool:
    """Can its bytes be copied? What cannot is sent as torch sends it."""
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and not (tensor.requires_grad or tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _as_bytes(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...], tuple[int, ...], bytearray]:
    """Type, shape and order of the axes in memory, and the bytes in that order."""
    order = tuple(sorted(range(tensor.ndim), key=lambda axis: (-tensor.stride()[axis], axis)))
    ordered = tensor.permute(order).contiguous()
    content = bytearray(ordered.reshape(-1).view(torch.uint8).numpy().data) if ordered.numel() else bytearray()
    return tensor.dtype, tuple(ordered.shape), order, content


def _from_bytes(dtype: torch.dtype, shape: tuple[int, ...], order: tuple[int, ...], content: bytearray) -> Tensor:
    ordered = torch.frombuffer(content, dtype=dtype).reshape(shape) if content else torch.empty(shape, dtype=dtype)
    back = sorted(range(len(order)), key=lambda place: order[place])
    return ordered.permute(back)


def _move_to_shared_memory(tensors: list[Tensor], num_waiting: int) -> bool:
    """False when there is no room; the tensors are whole in any case."""
    needed = sum(map(_num_bytes, tensors))
    if needed * 2 > free_shared_memory() or len(tensors) * num_waiting * 2 > _max_open_files():
        return False
    try:
        for tensor in tensors:
            tensor.share_memory_()
    except (RuntimeError, OSError):  # others were faster
        return False
    return True


def free_shared_memory() -> float:
    """Bytes free in /dev/shm; infinite where the system has no such folder."""
    return _shared_memory("f_bavail")


def shared_memory_size() -> float:
    """Bytes of /dev/shm altogether; infinite where the system has no such folder."""
    return _shared_memory("f_blocks")


def _shared_memory(blocks: str) -> float:
    try:
        state = os.statvfs(SHARED_MEMORY)
    except (OSError, AttributeError):
        return float("inf")
    return float(getattr(state, blocks) * state.f_frsize)


def _max_open_files() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit
