"""From a file of `torch.save` to its content: the pieces of this package put together."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from kinema.checkpoints.unpickling.bounds import TIMES_OBJECTS, TIMES_WEIGHTS, Budget, check_nesting
from kinema.checkpoints.unpickling.containers import read_legacy, read_zip
from kinema.checkpoints.unpickling.machine import PickleMachine
from kinema.checkpoints.unpickling.names import Names, set_state
from kinema.errors import CheckpointError
from kinema.printable import first_line, printable

MOST_SHOWN = 500  # characters of a message, of which names in the file may be a part


@dataclass(frozen=True)
class Unpickled:
    """What a file of `torch.save` holds.

    Attributes:
        content: the object, usually a dict.
        inert: names of the classes whose objects became shells, sorted.
    """

    content: Any
    inert: tuple[str, ...]


class _Reader:
    """Runs the pickles of one file."""

    def __init__(self, stream: BinaryIO, file_bytes: int, times: int = TIMES_WEIGHTS) -> None:
        self._stream = stream
        self.file_bytes = file_bytes
        self._inner_bytes = file_bytes  # so many may the files in the file have together
        self._budget = Budget(file_bytes, times)
        self.names = Names(file_bytes, self._budget)

    def run(self, program: bytes | None, persistent: Callable[[Any], Any] | None) -> Any:
        """Run a pickle: `program`, or what follows in the file."""
        stream = self._stream if program is None else io.BytesIO(program)
        end = self.file_bytes if program is None else len(program)
        machine = PickleMachine(
            stream, end, self._budget, find=self.names.find, set_state=set_state, persistent=persistent
        )
        content = machine.run()
        check_nesting(content)
        return content

    def read_plain(self) -> Any:
        """The object of a pickle that `pickle.dump` wrote, with the files of `torch.save` that its tensors are in."""
        self.names.add("torch.storage._load_from_bytes", self._storage_of)
        return self.run(None, None)

    def _storage_of(self, data: Any) -> Any:
        if type(data) is not bytes:
            raise CheckpointError(f"reads a storage of a {type(data).__name__}, not of bytes")
        self._inner_bytes -= len(data)
        if self._inner_bytes < 0:
            raise CheckpointError("reads the same storage again and again, which pickles do not do")
        stream = io.BytesIO(data)
        inner = _Reader(stream, len(data))  # its names lead to no further files
        return read_legacy(stream, len(data), inner.run)


def load_restricted(file: Path, *, map_location: str | torch.device = "cpu") -> Unpickled:
    """Read a file of `torch.save`, in its zip format or the older one, and run nothing of it.

    A file cannot make this run or import anything, crash, or use much more time and memory than a
    file of its size needs.

    Args:
        file: the file.
        map_location: device of the tensors.

    Raises:
        CheckpointError: the file calls something unknown, is damaged, is a TorchScript program, or
            no file of `torch.save` at all.
    """
    device = torch.device(map_location)

    def read(stream: BinaryIO, reader: _Reader) -> Any:
        if stream.read(2) == b"PK":
            return read_zip(stream, reader.file_bytes, device, reader.run)
        return _moved(read_legacy(stream, reader.file_bytes, reader.run), device)

    return _read(file, read, TIMES_WEIGHTS)


def load_restricted_pickle(file: Path) -> Unpickled:
    """Read a file of `pickle.dump`, such as a list of dicts of tensors, and run nothing of it.

    Args:
        file: the file; see `load_restricted`.

    Raises:
        CheckpointError: the file calls something unknown, or is damaged.
    """
    return _read(file, lambda stream, reader: reader.read_plain(), TIMES_OBJECTS)


def _read(file: Path, read: Callable[[BinaryIO, _Reader], Any], times: int) -> Unpickled:
    try:
        with file.open("rb") as stream:
            file_bytes = stream.seek(0, 2)
            stream.seek(0)
            reader = _Reader(stream, file_bytes, times)
            content = read(stream, reader)
    except CheckpointError as error:
        raise CheckpointError(f"{file} {_explained(printable(str(error)[:MOST_SHOWN]))}") from None
    except Exception as error:
        # Garbage meets the reader with whatever it stumbles over.
        raise CheckpointError(f"{file} is not a checkpoint: {first_line(error)}") from error
    return Unpickled(content, tuple(sorted(reader.names.inert)))


def _explained(what: str) -> str:
    if what.startswith(("is damaged", "is cut off", "is a damaged")):
        return f"is not a checkpoint: it {what}"
    return what if what.startswith("is ") else f"{what}. Save its state_dict alone, where it was made"


def _moved(content: Any, device: torch.device) -> Any:
    """Tensors of nested dicts, lists and tuples on `device`."""
    if device.type == "cpu":
        return content
    if isinstance(content, torch.Tensor):
        return content.to(device)
    if isinstance(content, dict):
        return type(content)((key, _moved(value, device)) for key, value in content.items())
    if type(content) in (list, tuple):
        return type(content)(_moved(value, device) for value in content)
    return content
