"""Where a data loader spends its time: each transform, decoding, collating, measured in the workers themselves."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader

from kinema.datasets.inspection.timing import Clocked, Kind, MeasuredCollate, MeasuredDataset, Record
from kinema.datasets.loader import ReproducibleLoader
from kinema.errors import ConfigError

# ---- results


@dataclass(frozen=True)
class Stage:
    """A step on a clip's way through a worker.

    Attributes:
        name: of the transform; a second one of the same name is "Resize (2)".
        kind: what it does: take the sample from the list, open the video, decode frames, transform,
            collate.
        milliseconds: a clip, on average.
        cpu_share: processor time over time; below 1 it waits: for the disk, or for a core that
            others use.
    """

    name: str
    kind: Kind
    milliseconds: float
    cpu_share: float


@dataclass(frozen=True)
class EpochProfile:
    """One pass over the clips.

    Attributes:
        num_clips: clips that were loaded; broken ones do not count.
        seconds: from the start of the first clip to the arrival of the last batch.
        stages: in the order of the way; broken clips left out.
    """

    num_clips: int
    seconds: float
    stages: tuple[Stage, ...]

    @property
    def clips_per_second(self) -> float:
        """Clips a second over all workers."""
        return self.num_clips / self.seconds if self.seconds else 0.0

    @property
    def milliseconds(self) -> float:
        """Time of one worker for one clip."""
        return sum(stage.milliseconds for stage in self.stages)


@dataclass(frozen=True)
class FrameFacts:
    """What the pipeline asks of the videos: averages a clip.

    Attributes:
        num_wanted: different frames asked for.
        num_walked: frames that the decoder must go through for them, from key frames on.
        decoded_short_side: of the frames as decoded, pixels.
        used_short_side: of the frames after resizing, pixels; as decoded when the first change of
            size is a crop.
    """

    num_wanted: float
    num_walked: float
    decoded_short_side: float
    used_short_side: float


@dataclass(frozen=True)
class LoaderProfile:
    """What `profile_loader` measured.

    Attributes:
        num_workers: processes that read clips; 0: the training process itself.
        batch_size: clips of the largest batch.
        start_seconds: until the first worker began with its first clip.
        epochs: one entry a pass; the first is cold: files that nothing read lately come from the
            disk.
        broken: error by path of the clips that could not be read.
        frames: None when the pipeline decodes no video.
    """

    num_workers: int
    batch_size: int
    start_seconds: float
    epochs: tuple[EpochProfile, ...]
    broken: Mapping[str, str]
    frames: FrameFacts | None


# ---- measuring


def profile_loader(
    loader: DataLoader,
    *,
    num_clips: int = 256,
    epochs: int = 2,
    num_workers: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> LoaderProfile:
    """Load clips as `loader` would and measure where the time goes.

    The samples are those of training: the same order, and random numbers from (seed, epoch, index).
    Broken clips are counted and left out. A dataset without a `Compose` as its `pipeline` is
    measured as one step.

    Args:
        loader: of a map-style dataset, as `build_dataloader` gives it.
        num_clips: clips a pass, at most; the first of the epoch's order.
        epochs: passes.
        num_workers: in place of the loader's own number.
        on_batch: called after each batch with the number of its clips.

    Raises:
        ConfigError: the loader has no batches of indices, or no batch at all.
        ValueError: `num_clips` or `epochs` is below 1.
    """
    if num_clips < 1 or epochs < 1:
        raise ValueError(f"need at least 1 clip and 1 epoch, got {num_clips=}, {epochs=}")
    if not isinstance(loader, ReproducibleLoader) or loader.batch_sampler is None:
        raise ConfigError(
            f"{type(loader.dataset).__name__}: only a dataset with numbered samples, read in batches, can be measured"
        )
    workers = loader.num_workers if num_workers is None else num_workers
    measuring = _measuring_loader(loader, num_clips, workers)
    passes = []
    with _epoch_kept(loader.sampler) as set_epoch:
        for epoch in range(epochs):
            set_epoch(epoch)
            measuring.set_epoch(epoch)
            passes.append(_pass_over(measuring, on_batch))
    records = [record for epoch in passes for record in epoch.records]
    return LoaderProfile(
        num_workers=workers,
        batch_size=max(epoch.batch_size for epoch in passes),
        start_seconds=passes[0].start_seconds,
        epochs=tuple(epoch.profile for epoch in passes),
        broken={record.path: record.error for record in records if record.error is not None},
        frames=_frame_facts(records),
    )


@contextlib.contextmanager
def _epoch_kept(sampler: Any) -> Iterator[Callable[[int], None]]:
    """Gives the function that sets the sampler's epoch, and restores the epoch afterwards."""
    if not hasattr(sampler, "set_epoch"):
        yield lambda epoch: None
        return
    before = getattr(sampler, "epoch", 0)
    try:
        yield sampler.set_epoch
    finally:
        sampler.set_epoch(before)


def _measuring_loader(loader: ReproducibleLoader, num_clips: int, workers: int) -> ReproducibleLoader:
    options: dict[str, Any] = {"pin_memory": loader.pin_memory, "worker_init_fn": loader.worker_init_fn}
    if workers:
        options["persistent_workers"] = loader.persistent_workers
        options["prefetch_factor"] = loader.prefetch_factor
        options["multiprocessing_context"] = loader.multiprocessing_context
    return ReproducibleLoader(
        MeasuredDataset(loader.dataset),
        seed=loader.seed,
        batch_sampler=_FirstBatches(loader.batch_sampler, num_clips),
        collate_fn=MeasuredCollate(loader.collate_fn),
        num_workers=workers,
        **options,
    )


class _Pass(NamedTuple):
    """One pass over the clips, with what is kept of it until all are done."""

    profile: EpochProfile
    records: list[Record]
    batch_size: int
    start_seconds: float


def _pass_over(measuring: ReproducibleLoader, on_batch: Callable[[int], None] | None) -> _Pass:
    records: list[Record] = []
    collating, batch_size, started = Clocked("collate", "collate"), 0, perf_counter()
    for batch in measuring:
        records += batch.records
        collating.add(batch.collating)
        batch_size = max(batch_size, len(batch.records))
        if on_batch is not None:
            on_batch(len(batch.records))
    ended = perf_counter()
    if not records:
        raise ConfigError("the data loader gives no batch: there are fewer clips than a batch takes, or none")
    # The clock is one for all processes of a machine.
    first_start = min(record.start for record in records)
    good = [record for record in records if record.error is None]
    profile = EpochProfile(len(good), ended - first_start, _averages(good, collating))
    return _Pass(profile, records, batch_size, first_start - started)


class _FirstBatches:
    """The batches of another batch sampler up to a number of clips; the last is cut."""

    def __init__(self, batches: Any, num_clips: int) -> None:
        self.batches = batches
        self.num_clips = num_clips

    def __iter__(self) -> Iterator[list[int]]:
        left = self.num_clips
        for batch in self.batches:
            yield list(batch)[:left]
            left -= len(batch)
            if left <= 0:
                return


# ---- averaging


def _averages(records: Sequence[Record], collating: Clocked) -> tuple[Stage, ...]:
    """Stages by name, in the order in which they were met first, collating last."""
    sums: dict[str, Clocked] = {}
    for record in records:
        for step in record.clocked:
            total = sums.setdefault(step.name, Clocked(step.name, step.kind))
            total.add(step)
    if not records:
        return ()
    return tuple(
        Stage(step.name, step.kind, 1000 * step.wall / len(records), step.cpu / step.wall if step.wall else 0.0)
        for step in [*sums.values(), collating]
    )


def _frame_facts(records: Sequence[Record]) -> FrameFacts | None:
    decoded = [record for record in records if record.error is None and record.num_wanted]
    if not decoded:
        return None
    rows = [
        (
            record.num_wanted,
            record.num_walked,
            record.decoded_short_side,
            record.used_short_side or record.decoded_short_side,
        )
        for record in decoded
    ]
    wanted, walked, decoded_side, used_side = np.mean(rows, axis=0).tolist()
    return FrameFacts(wanted, walked, decoded_side, used_side)
