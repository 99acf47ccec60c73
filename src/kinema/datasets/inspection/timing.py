"""A dataset, its transforms and a collate function that clock themselves: what a data loader is measured with."""

import contextlib
import copy
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any, Literal, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from kinema.datasets.wrappers import with_innermost
from kinema.errors import VideoError
from kinema.transforms import Compose
from kinema.video import VideoReader

Kind = Literal["list", "open", "decode", "transform", "collate"]


@dataclass
class Clocked:
    """Time of one step: seconds on the clock, and of the processor by all threads of the process."""

    name: str
    kind: Kind
    wall: float = 0.0
    cpu: float = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Add the time of the block."""
        cpu, wall = process_time(), perf_counter()  # the first is a system call, so it stays outside of what is timed
        try:
            yield
        finally:
            self.wall += perf_counter() - wall
            self.cpu += process_time() - cpu

    def add(self, other: "Clocked") -> None:
        """Add the time of another."""
        self.wall += other.wall
        self.cpu += other.cpu


@dataclass
class Record:
    """What was measured of one sample."""

    path: str
    start: float = 0.0
    clocked: list[Clocked] = field(default_factory=list)
    in_pipeline: Clocked = field(default_factory=lambda: Clocked("pipeline", "transform"))
    error: str | None = None
    num_wanted: int = 0
    num_walked: int = 0
    decoded_short_side: int = 0
    used_short_side: int = 0


class MeasuredBatch(NamedTuple):
    """A batch with its measurements; a named tuple, for torch pins the memory of what is in one."""

    batch: Any
    records: list[Record]
    collating: Clocked


class MeasuredDataset(Dataset):
    """A dataset whose samples come with their measurements; one that cannot be read comes as None."""

    def __init__(self, dataset: Any) -> None:
        self.record = Record("")  # of the sample that is being made
        self.dataset = with_innermost(dataset, self._with_clocks)

    def _with_clocks(self, dataset: Any) -> Any:
        clocked = copy.copy(dataset)
        clocked.pipeline = _ClockedCompose(dataset.pipeline, self)
        return clocked

    def __getitem__(self, index: int) -> tuple[Any, Record]:
        record = self.record = Record(f"sample {index}", perf_counter())
        listing = Clocked("sample list", "list")
        sample = None
        with listing.running():
            try:
                sample = self.dataset[index]
            except VideoError as error:
                record.error = " ".join(str(error).split())
        listing.wall -= record.in_pipeline.wall
        listing.cpu -= record.in_pipeline.cpu
        record.clocked.insert(0, listing)
        return sample, record

    def __len__(self) -> int:
        return len(self.dataset)


class _ClockedCompose(Compose):
    """The transforms of another `Compose`, each clocked."""

    def __init__(self, pipeline: Compose, measured: MeasuredDataset) -> None:
        super().__init__(pipeline.transforms)
        self.names = transform_names(pipeline.transforms)
        self.measured = measured

    def __call__(self, data: Any) -> Any:
        record = self.measured.record
        if isinstance(data, Mapping):
            record.path = str(data.get("filename", data.get("frame_dir", record.path)))
        with record.in_pipeline.running():
            for name, transform in zip(self.names, self.transforms, strict=True):
                before = _State.of(data)
                clocked = Clocked(name, "transform")
                record.clocked.append(clocked)
                with clocked.running():
                    data = transform(data)
                if data is None:
                    return None
                clocked.kind = _note(record, before, _State.of(data))
        return data


def transform_names(transforms: Sequence[Callable[[Any], Any]]) -> list[str]:
    """A name for each transform: its class's or its own; the second of a name has " (2)" behind it."""
    seen: dict[str, int] = defaultdict(int)
    names = []
    for transform in transforms:
        while isinstance(transform, functools.partial):
            transform = transform.func
        name = getattr(transform, "__name__", type(transform).__name__)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


class _State(NamedTuple):
    """How far a sample has come in its pipeline, also with transforms of the user's own.

    It holds no reader: dropping the last reference to one takes time, which belongs to the step
    that does it.
    """

    has_reader: bool = False
    has_images: bool = False
    shape: tuple[int, int] | None = None
    is_scaled: bool = False
    num_wanted: int = 0
    num_walked: int = 0

    @classmethod
    def of(cls, sample: Any) -> "_State":
        if not isinstance(sample, Mapping):
            return cls()
        shape, reader, has_images = sample.get("img_shape"), sample.get("video_reader"), "imgs" in sample
        wanted: np.ndarray = np.zeros(0, dtype=np.int64)
        num_walked = 0
        if isinstance(reader, VideoReader) and "frame_inds" in sample and not has_images:
            with contextlib.suppress(ValueError):  # readers of other libraries have no index
                num_walked = frames_to_decode(sample["frame_inds"], reader.index.key_frames)
                wanted = np.unique(sample["frame_inds"])
        return cls(
            reader is not None,
            has_images,
            None if shape is None else (int(shape[0]), int(shape[1])),
            "scale_factor" in sample,
            len(wanted),
            num_walked,
        )


def _note(record: Record, before: _State, after: _State) -> Kind:
    """Write down what a transform did to a sample, and return of which kind that is."""
    if after.has_images and not before.has_images:
        record.num_wanted, record.num_walked = before.num_wanted, before.num_walked
        record.decoded_short_side = min(after.shape) if after.shape else 0
        return "decode"
    if before.shape and after.shape and before.shape != after.shape and not record.used_short_side:
        record.used_short_side = min(after.shape) if _is_resize(before, after) else record.decoded_short_side
    return "open" if after.has_reader and not before.has_reader else "transform"


def _is_resize(before: _State, after: _State) -> bool:
    """Is this a picture made smaller, not a part of it? Only our own resizing says so; else its shape decides."""
    assert before.shape is not None
    assert after.shape is not None
    ratios = [height / width for height, width in (before.shape, after.shape)]
    return (after.is_scaled and not before.is_scaled) or abs(ratios[0] / ratios[1] - 1) < 0.03


class MeasuredCollate:
    """Collate the samples that could be read, and hand on the measurements of all."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, measured: list[tuple[Any, Record]]) -> MeasuredBatch:
        samples = [sample for sample, record in measured if record.error is None]
        collating = Clocked("collate", "collate")
        with collating.running():
            batch = self.collate(samples) if samples else None
        return MeasuredBatch(batch, [record for _, record in measured], collating)


def frames_to_decode(wanted: Sequence[int] | np.ndarray, key_frames: Sequence[int] | np.ndarray) -> int:
    """How many frames a decoder goes through to give some.

    Args:
        wanted: (N,) numbers of frames, in any order.
        key_frames: (K,) numbers of the frames at which decoding can start, ascending.

    Returns:
        The sum, over the stretches between key frames that hold wanted ones, of the frames up to
        the last wanted one.
    """
    last_wanted: dict[int, int] = {}
    keys = np.asarray(key_frames, dtype=np.int64)
    for frame in np.unique(np.asarray(wanted, dtype=np.int64)).tolist():
        place = int(np.searchsorted(keys, frame, side="right")) - 1
        last_wanted[int(keys[place]) if place >= 0 else 0] = frame
    return sum(last - start + 1 for start, last in last_wanted.items())
