"""Lists of samples held by column, so that a million of them cost little memory and worker processes share it."""

import os
import pickle
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

SHARED_BYTES = 1 << 20  # a smaller array is cheaper to copy than to share
SHARED_MEMORY = Path("/dev/shm")  # where Linux keeps it; containers often limit it to 64 MB

Indices = Sequence[int] | np.ndarray


class WorkerShared:
    """An object whose large arrays worker processes share.

    A forked worker shares them as it is: no Python object lies in them whose reference count would
    be written. For a worker that is started anew they move into shared memory, once for all
    workers; where that has no room, each worker gets a copy.
    """

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name != "_tensors"}
        if get_spawning_popen() is None:
            return state
        large = {
            name: value
            for name, value in state.items()
            if isinstance(value, np.ndarray) and value.nbytes >= SHARED_BYTES
        }
        tensors = vars(self).setdefault("_tensors", {})
        for name, array in large.items():
            if name not in tensors and has_room(array.nbytes):
                tensors[name] = _in_shared_memory(array)
                setattr(self, name, tensors[name].numpy())  # the process's own copy goes
        return state | tensors

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: value.numpy() if hasattr(value, "numpy") else value for name, value in state.items()})


def has_room(num_bytes: int) -> bool:
    """Can shared memory take so much and keep as much again free for batches?"""
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > 2 * num_bytes


def _in_shared_memory(array: np.ndarray) -> Any:
    import torch  # here, as reading annotations needs none

    tensor = torch.empty(array.shape, dtype=getattr(torch, array.dtype.name)).share_memory_()
    tensor.numpy()[...] = array
    return tensor


class Column(Protocol):
    """The values of one key for all samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...

    def take(self, places: Indices) -> Self:
        """The column with only these samples, in this order."""
        ...


class TextColumn(WorkerShared):
    """Texts in one buffer of UTF-8 bytes; `folder` is put before each where it is a relative path.

    Args:
        buffer: (bytes,) uint8.
        starts: (N,) int64, where in `buffer` each text begins.
        lengths: (N,) int32, its bytes.
        folder: see `join_path`.
    """

    def __init__(self, buffer: np.ndarray, starts: np.ndarray, lengths: np.ndarray, folder: str = "") -> None:
        self.buffer = buffer
        self.starts = starts
        self.lengths = lengths
        self.folder = folder
        self._before = os.path.join(folder, "") if folder else ""  # noqa: PTH118 - with the slash at its end

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Self:
        """Copy the texts into one buffer."""
        buffer, lengths = bytearray(), []
        for text in texts:
            content = text.encode("utf-8", "surrogateescape")  # names of files may be no UTF-8
            buffer += content
            lengths.append(len(content))
        return cls.from_lengths(buffer, np.array(lengths, dtype=np.int32))

    @classmethod
    def from_lengths(cls, buffer: bytearray | memoryview, lengths: np.ndarray) -> Self:
        """Texts that lie one behind the other in `buffer`."""
        starts = np.zeros(len(lengths), dtype=np.int64)
        np.cumsum(lengths[:-1], out=starts[1:])
        return cls(np.frombuffer(buffer, dtype=np.uint8), starts, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, place: int) -> str:
        start = self.starts.item(place)  # arithmetic on numpy's integers would take twice as long
        text = self.buffer[start : start + self.lengths.item(place)].tobytes().decode("utf-8", "surrogateescape")
        if not self._before:
            return text
        if text[:1] in ("", "/") or ":" in text:  # may be absolute, or a URL
            path: str = join_path(self.folder, text)
            return path
        return self._before + text

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def take(self, places: Indices) -> Self:
        return type(self)(self.buffer, self.starts[places], self.lengths[places], self.folder)

    def below(self, folder: str) -> "TextColumn":
        """The same texts, as paths below `folder`."""
        return TextColumn(self.buffer, self.starts, self.lengths, folder)


class NumberColumn(WorkerShared):
    """One number a sample, (N,)."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> int | float:
        number: int | float = self.numbers.item(place)
        return number

    def take(self, places: Indices) -> Self:
        return type(self)(self.numbers[places])


class LabelColumn(WorkerShared):
    """The class indices of each sample: none, one or several.

    Args:
        values: (total,) class indices, sample after sample.
        ends: (N,) where in `values` each sample's end; None when each has exactly one.
        several: `[place]` gives the list of class indices; else the first, -1 where there is none.
    """

    def __init__(self, values: np.ndarray, ends: np.ndarray | None = None, *, several: bool = False) -> None:
        self.values = values
        self.ends = ends
        self.several = several

    @classmethod
    def from_counts(cls, values: np.ndarray, counts: np.ndarray) -> Self:
        """`values` sample after sample, `counts` of them each."""
        values = values.astype(np.int32) if not len(values) or values.max() < 2**31 else values
        return cls(values, None if (counts == 1).all() else np.cumsum(counts, dtype=np.int64))

    @classmethod
    def from_lists(cls, labels: Iterable[Sequence[int]]) -> Self:
        """The class indices of each sample, one list after the other."""
        values: list[int] = []
        counts: list[int] = []
        for of_sample in labels:
            values.extend(of_sample)
            counts.append(len(of_sample))
        return cls.from_counts(np.array(values, dtype=np.int64), np.array(counts, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.values) if self.ends is None else len(self.ends)

    def __getitem__(self, place: int) -> Any:
        if self.several:
            return self._values_of(place).tolist()
        if self.ends is None:
            return self.values.item(place)
        return next(iter(self.of(place)), -1)

    def _values_of(self, place: int) -> np.ndarray:
        place = range(len(self))[place]  # counts from the end below 0; IndexError beyond it
        if self.ends is None:
            return self.values[place : place + 1]
        return self.values[self.ends[place - 1] if place else 0 : self.ends[place]]

    def of(self, place: int) -> tuple[int, ...]:
        """All class indices of sample `place` (not negative)."""
        return tuple(self._values_of(place).tolist())

    def counts(self) -> np.ndarray:
        """(N,) how many labels each sample has."""
        return np.ones(len(self), dtype=np.int64) if self.ends is None else np.diff(self.ends, prepend=0)

    def owners(self) -> np.ndarray:
        """(total,) the sample that each of `values` belongs to."""
        return np.arange(len(self)) if self.ends is None else np.repeat(np.arange(len(self)), self.counts())

    def take(self, places: Indices) -> Self:
        if self.ends is None:
            return type(self)(self.values[places], several=self.several)
        counts = self.counts()[places]
        ends = np.cumsum(counts, dtype=np.int64)
        begins = self.ends[places] - counts
        within = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
        return type(self)(self.values[np.repeat(begins, counts) + within], ends, several=self.several)

    def as_lists(self) -> "LabelColumn":
        """The same labels, given out as lists of class indices."""
        return LabelColumn(self.values, self.ends, several=True)


class ColumnSamples:
    """Samples as columns: `[i]` makes the dict of sample i.

    Args:
        columns: the values of each key, all of one length.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {key: column[place] for key, column in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether `other`, such as a list of dicts, has the same samples."""
        return list(self) == list(other) if isinstance(other, ColumnSamples | list | tuple) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def take(self, places: Indices) -> "ColumnSamples":
        """These samples, in this order."""
        return ColumnSamples({key: column.take(places) for key, column in self.columns.items()})


class PickledSamples(WorkerShared):
    """Samples of any form, pickled one after the other into one buffer: `[i]` unpickles sample i."""

    def __init__(self, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        self.buffer = buffer
        self.starts = starts
        self.ends = ends

    @classmethod
    def from_dicts(cls, samples: Iterable[Mapping[str, Any]]) -> Self:
        """Pickle the samples."""
        buffer, ends = bytearray(), []
        for sample in samples:
            buffer += pickle.dumps(sample, protocol=pickle.HIGHEST_PROTOCOL)
            ends.append(len(buffer))
        numbers = np.array(ends, dtype=np.int64)
        return cls(np.frombuffer(buffer, dtype=np.uint8), np.concatenate([[0], numbers])[:-1], numbers)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> dict[str, Any]:
        sample: dict[str, Any] = pickle.loads(self.buffer[self.starts[place] : self.ends[place]].data)
        return sample

    def take(self, places: Indices) -> Self:
        """These samples, in this order."""
        return type(self)(self.buffer, self.starts[places], self.ends[places])

    def packed(self) -> tuple[np.ndarray, np.ndarray]:
        """The bytes of all samples without gaps, uint8, and where each sample ends in them."""
        ends = np.cumsum(self.ends - self.starts)
        if np.array_equal(ends, self.ends):
            return self.buffer, ends
        parts = [self.buffer[start:end] for start, end in zip(self.starts, self.ends, strict=True)]
        return np.concatenate(parts) if parts else self.buffer[:0], ends


def join_path(folder: str, path: Any) -> Any:
    """`path` below `folder`; absolute paths, URLs and what is no string stay as they are."""
    if not isinstance(path, str | os.PathLike):
        return path
    path = os.fspath(path)
    if not folder or not path or os.path.isabs(path) or "://" in path:  # noqa: PTH117 - a URL must not pass through Path
        return path or folder
    return os.path.join(folder, path)  # noqa: PTH118 - keeps './' and forward slashes of list files as users wrote them
