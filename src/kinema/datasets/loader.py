"""A data loader whose samples are functions of (seed, epoch, index).

The loader hands the workers not an index but (epoch, index); around each sample the global Python,
numpy and torch generators are set from (seed, epoch, index) and restored afterwards. So the number
of workers and processes changes nothing, and a transform that calls `np.random` is reproducible
too.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader

from kinema.datasets.broken import BrokenAwareCollate, BrokenSample, Failure, LoadedBatch, SeededDataset, WhenBroken
from kinema.datasets.forking import beginning_context
from kinema.datasets.handover import SHARED_MEMORY, Message, Packing, shared_memory_size
from kinema.datasets.positions import KeyedBatches, Pass, is_endless, num_batches, sampler_of
from kinema.datasets.workers import WatchedIterator, WorkerStart
from kinema.distributed import get_world_size

logger = logging.getLogger("kinema")

MAX_BROKEN_SHARE = 0.05
_CONTEXT = "_DataLoader__multiprocessing_context"


class WatchedLoader(DataLoader):
    """A `torch.utils.data.DataLoader` whose processes are watched; see `kinema.datasets.workers`."""

    def _get_iterator(self) -> Any:
        # DataLoader refuses to have some attributes assigned, hence the way through vars().
        if not self.num_workers:
            return super()._get_iterator()
        own = vars(self)
        start, context = own["worker_init_fn"], own[_CONTEXT]
        own["worker_init_fn"], own[_CONTEXT] = WorkerStart(start), beginning_context(context)
        try:
            return WatchedIterator(self)
        finally:
            own["worker_init_fn"], own[_CONTEXT] = start, context


class ReproducibleLoader(WatchedLoader):
    """A `torch.utils.data.DataLoader` over a map-style dataset whose samples are functions of (seed, epoch, index).

    Every iteration is an epoch: 0, 1, ... and the sampler's `set_epoch` is called with it.
    `set_epoch` of the loader, or of the sampler, chooses the next one.

    A sample whose video cannot be read (a `VideoError`) is replaced in training by the next one of
    the dataset that can, seeded by its own index, so that also then a batch is a function of (seed,
    epoch, index). In evaluation, which is what a dataset in test mode is for, nothing is replaced:
    the error is raised, or the sample is left out. `broken` holds them.

    Args:
        dataset: map-style dataset.
        seed: of the samples' random numbers.
        allow_broken: of a dataset for evaluation: leave broken samples out of their batches.
            Default: raise the error.
        max_broken_share: share of the dataset's samples, in [0, 1], that may be broken before a run
            stops; default 0.05, or all where `allow_broken` is set. The runner makes use of it, not
            the loader.
        keywords: of `torch.utils.data.DataLoader`.

    Attributes:
        broken: the broken samples of this epoch, of this process, up to the batch that was given
            last.
        on_broken: called in the main process with each of them; by default logs the first of a
            file.

    Raises:
        ValueError: `max_broken_share` is out of range.
    """

    _has_said_slow = False

    def __init__(
        self,
        dataset: Any,
        *,
        seed: int,
        allow_broken: bool | None = None,
        max_broken_share: float | None = None,
        **keywords: Any,
    ) -> None:
        if max_broken_share is None:
            max_broken_share = 1.0 if allow_broken else MAX_BROKEN_SHARE
        if not 0 <= max_broken_share <= 1:
            raise ValueError(f"max_broken_share must be a share from 0 to 1, got {max_broken_share}")
        self.seed = seed
        self.allow_broken = allow_broken
        self.max_broken_share = max_broken_share
        self.replaces_broken = allow_broken is None and not getattr(dataset, "test_mode", False)
        self.broken: list[BrokenSample] = []
        self.on_broken: Callable[[BrokenSample], None] = _FirstOfAFile()
        self._pass = Pass()
        self._next_epoch: int | None = None
        self._next_start: tuple[int, int | None] = (0, None)
        self._seeds_generator = keywords.get("generator") is None
        if self._seeds_generator:
            keywords["generator"] = torch.Generator()  # else torch draws from the global one
        super().__init__(dataset, **keywords)

    @property
    def epoch(self) -> int:
        """The epoch that the loader is in; -1 before the first."""
        return self._pass.epoch

    @property
    def epoch_samples(self) -> int:
        """Samples of this epoch, of all processes, up to the batch that was given last.

        As many as the sampler gave: one that was broken counts.
        """
        return self._pass.epoch_samples

    @property
    def is_endless(self) -> bool:
        """Has an epoch no end, as with `InfiniteSampler`?"""
        return is_endless(self.batch_sampler)

    def num_batches(self, batch: int = 0, *, epoch_samples: int | None = None) -> int | float:
        """How many batches `from_position` gives; infinite where an epoch has no end."""
        return num_batches(self.batch_sampler, batch, epoch_samples)

    def set_epoch(self, epoch: int, batch: int = 0, *, epoch_samples: int | None = None) -> None:
        """Make the next iteration epoch `epoch`, from batch number `batch` on; see `from_position`."""
        self._next_epoch, self._next_start = epoch, (batch, epoch_samples)

    def twin(self) -> "ReproducibleLoader":
        """A loader of the same samples with an iteration of its own; both share their sampler."""
        copied = copy.copy(self)
        copied._pass, copied._iterator, copied.broken, copied.on_broken = Pass(), None, [], _FirstOfAFile()
        return copied

    def for_evaluation(self, *, allow_broken: bool) -> "ReproducibleLoader":
        """A loader of the same samples that never replaces one, whatever the mode of its dataset.

        Args:
            allow_broken: what to do about broken samples where this loader was built without it.
        """
        copied = self.twin()
        copied.replaces_broken = False
        copied.allow_broken = allow_broken if self.allow_broken is None else self.allow_broken
        return copied

    @property
    def when_broken(self) -> WhenBroken:
        """What is done about a broken sample."""
        if self.replaces_broken:
            return "replace"
        return "leave out" if self.allow_broken else "stop"

    def __iter__(self) -> Any:  # a generator in place of torch's iterator
        batch, epoch_samples = self._next_start
        return self.from_position(self._choose_epoch(), batch, epoch_samples=epoch_samples)

    def from_position(self, epoch: int, batch: int = 0, *, epoch_samples: int | None = None) -> Iterator[Any]:
        """Iterate over epoch `epoch` from batch number `batch` on, as if those before it had been read.

        None of them is, so that it takes no longer than to start at the first. The next iteration
        is a whole epoch again.

        Args:
            epoch: number of the epoch.
            batch: batches of this epoch that are done, of each process.
            epoch_samples: samples of this epoch that are done, of all processes together. With
                these, a run may resume with another number of processes or another batch size: the
                rest are the same samples in the same order, each once. It needs a sampler of ours,
                or one that is a `kinema.datasets.positions.StartingSampler`.

        Raises:
            ValueError: a number is below 0.
            ConfigError: the sampler cannot start where `epoch_samples` says.
        """
        if min(epoch, batch, epoch_samples or 0) < 0:
            raise ValueError(f"a position has no numbers below 0, got {epoch=}, {batch=}, {epoch_samples=}")
        self._next_epoch, self._next_start = None, (0, None)
        for sampler in self._samplers():
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
        generator = self.generator if self._seeds_generator else None
        self._pass.begin(self.batch_sampler, epoch, batch, epoch_samples, self.seed, generator)
        self.broken = []
        return self._batches(super().__iter__(), self._pass.done, self._pass.epoch_samples)

    def indices_at(self, epoch: int, batch: int, *, epoch_samples: int | None = None) -> list[int]:
        """Indices of the batch that `from_position` would give first, without reading it.

        The pass that is under way is not disturbed. The sampler's order must be a function of the
        epoch.
        """
        current, generator = Pass(), self.generator if self._seeds_generator else None
        kept = None if generator is None else generator.get_state()
        try:
            current.begin(self.batch_sampler, epoch, batch, epoch_samples, self.seed, generator)
            return list(next(current.batches, []))
        finally:
            if generator is not None and kept is not None:
                generator.set_state(kept)

    def read_batch(self, epoch: int, indices: Sequence[int]) -> Any:
        """The batch of what `indices_at` returned, read by this process: the same one as in the epoch."""
        samples = SeededDataset(self.dataset, self.seed, self.when_broken)
        collate = BrokenAwareCollate(self.collate_fn, self.seed)
        loaded = collate([samples[epoch, index] for index in indices])
        if isinstance(loaded, Failure):
            raise loaded.error
        return loaded.data

    def _samplers(self) -> list[Any]:
        return list({id(sampler): sampler for sampler in (self.batch_sampler, sampler_of(self.batch_sampler))}.values())

    def _batches(self, batches: Iterator[Any], asked: int, epoch_samples: int) -> Iterator[Any]:
        done = asked
        while (batch := next(batches, None)) is not None:
            if isinstance(batch, Message):
                self._say_once_if_slow(batch)
                batch = batch.unpack()
            for record in batch.broken:
                record = replace(record, place=asked + record.place)
                self.broken.append(record)
                self.on_broken(record)
            if isinstance(batch, Failure):
                del batches, self  # else the traceback keeps the workers alive
                raise batch.error
            assert isinstance(batch, LoadedBatch)
            asked += batch.num_asked
            self._pass.epoch_samples = epoch_samples + (asked - done) * get_world_size()
            if batch.num_left:
                yield batch.data

    def _say_once_if_slow(self, message: Message) -> None:
        if message.had_no_room and not ReproducibleLoader._has_said_slow:
            ReproducibleLoader._has_said_slow = True  # once, not for each loader
            logger.warning(
                "%s (%.0f MB) has too little room for batches of %.1f MB from %d processes, or they are too many open"
                " files: they go through pipes, which is slower; give more (docker run --shm-size=2g, ulimit -n), or"
                " use fewer --workers",
                *(SHARED_MEMORY, shared_memory_size() / 2**20, message.num_bytes / 2**20, self.num_workers),
            )

    def _choose_epoch(self) -> int:
        if self._next_epoch is not None:
            return self._next_epoch
        for sampler in self._samplers():
            chosen = getattr(sampler, "epoch", None)
            if isinstance(chosen, int) and chosen > 0 and chosen != self.epoch:
                return chosen  # the sampler's set_epoch was called
        return self.epoch + 1

    @property
    def _index_sampler(self) -> Any:
        return KeyedBatches(self._pass, super()._index_sampler)

    def _get_iterator(self) -> Any:
        # The workers get the seeded view and the loader keeps the user's own dataset and collate
        # function. DataLoader refuses to have its dataset assigned, hence the way through vars().
        own = vars(self)
        dataset, collate = own["dataset"], own["collate_fn"]
        own["dataset"] = SeededDataset(dataset, self.seed, self.when_broken)
        own["collate_fn"] = Packing(
            BrokenAwareCollate(collate, self.seed), self.num_workers * (self.prefetch_factor or 1)
        )
        try:
            return super()._get_iterator()
        finally:
            own["dataset"], own["collate_fn"] = dataset, collate


class _FirstOfAFile:
    """Logs a broken sample when its file is met for the first time."""

    def __init__(self) -> None:
        self.met: set[str] = set()

    def __call__(self, record: BrokenSample) -> None:
        if record.path not in self.met:
            self.met.add(record.path)
            logger.warning("%s", describe_broken(record))


def describe_broken(record: BrokenSample) -> str:
    """One line about a broken sample: what is wrong, and what took its place."""
    done = "" if record.replaced_by is None else f", replaced by sample {record.replaced_by}"
    return f"broken{done}: {record.error}"
