"""Batches: collate functions, and a data loader whose samples are functions of (seed, epoch, index).

The loader hands the workers not an index but (epoch, index); around each sample the global Python,
numpy and torch generators are set from (seed, epoch, index) and restored afterwards. So the number
of workers and processes changes nothing, and a transform that calls `np.random` is reproducible
too.
"""

import copy
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import default_collate as torch_default_collate

from kinema.datasets.broken import BrokenAwareCollate, BrokenSample, Failure, LoadedBatch, SeededDataset, WhenBroken
from kinema.datasets.handover import SHARED_MEMORY, Message, Packing, shared_memory_size
from kinema.datasets.positions import KeyedBatches, Pass, is_endless, num_batches, sampler_of
from kinema.datasets.samplers import DefaultSampler, draw_shared_seed
from kinema.datasets.workers import WatchedIterator, WorkerStart
from kinema.datasets.wrappers import FirstSamples
from kinema.distributed import get_world_size
from kinema.errors import ConfigError
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS, check_arguments
from kinema.structures import BaseDataElement

logger = logging.getLogger("kinema")

MAX_BROKEN_SHARE = 0.05

# ---- collating


@FUNCTIONS.register_module()
def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Batch samples without stacking: dicts become a dict of lists, sequences a list of tuples.

    Args:
        data_batch: samples, all of one structure.

    Raises:
        RuntimeError: sequences of different lengths.
    """
    first = data_batch[0]
    if isinstance(first, str | bytes | BaseDataElement):
        return data_batch
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(pseudo_collate(entries) for entries in zip(*data_batch, strict=True)))
    if isinstance(first, Sequence):
        _require_equal_lengths(data_batch)
        return [pseudo_collate(entries) for entries in zip(*data_batch, strict=True)]
    if isinstance(first, Mapping):
        return type(first)({key: pseudo_collate([sample[key] for sample in data_batch]) for key in first})  # type: ignore[call-arg]
    return data_batch


@FUNCTIONS.register_module(name="default_collate")
def default_collate(data_batch: Sequence[Any]) -> Any:
    """Batch samples by stacking: tensors get a batch axis; data samples and strings are listed.

    Args:
        data_batch: samples, all of one structure.

    Raises:
        RuntimeError: sequences of different lengths, or tensors of different shapes.
    """
    first = data_batch[0]
    if isinstance(first, str | bytes | BaseDataElement):
        return data_batch
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(entries) for entries in zip(*data_batch, strict=True)))
    if isinstance(first, Sequence):
        _require_equal_lengths(data_batch)
        return [default_collate(entries) for entries in zip(*data_batch, strict=True)]
    if isinstance(first, Mapping):
        return type(first)({key: default_collate([sample[key] for sample in data_batch]) for key in first})  # type: ignore[call-arg]
    return torch_default_collate(list(data_batch))


def _require_equal_lengths(data_batch: Sequence[Any]) -> None:
    if len({len(sample) for sample in data_batch}) > 1:
        raise RuntimeError(
            f"the samples of a batch must have equal lengths, got {[len(sample) for sample in data_batch]}"
        )


# ---- loading


class WatchedLoader(DataLoader):
    """A `torch.utils.data.DataLoader` whose processes are watched; see `kinema.datasets.workers`."""

    def _get_iterator(self) -> Any:
        # DataLoader refuses to have some attributes assigned, hence the way through vars().
        own = vars(self)
        start = own["worker_init_fn"]
        own["worker_init_fn"] = WorkerStart(start)
        try:
            return WatchedIterator(self) if self.num_workers else super()._get_iterator()
        finally:
            own["worker_init_fn"] = start


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


def _start_worker(worker_id: int, then: Callable[[int], None] | None = None) -> None:
    """Worker processes use one thread each, and leave Ctrl-C to the main one.

    OpenCV's pool of threads would only compete with theirs.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if then is not None:
        then(worker_id)


@accepts_openmmlab_keywords
def build_dataloader(dataloader: DataLoader | Mapping[str, Any], seed: int | None = None) -> DataLoader:
    """Build a data loader from a config; a loader that is built already is returned as it is.

    Args:
        dataloader: `dict(batch_size=..., dataset=dict(type=...), sampler=dict(type="DefaultSampler",
            shuffle=True), num_workers=..., collate_fn=..., worker_init_fn=..., ...)`, where
            `collate_fn` is "pseudo_collate", "default_collate", a function or `dict(type=...)`; the
            rest are keywords of `ReproducibleLoader` (`allow_broken`, `max_broken_share`) and of
            torch's `DataLoader`; `num_batch_per_epoch=N` uses only the first samples, as many as N
            batches need. Without a sampler: shuffled unless the dataset is in test mode;
            without `collate_fn`: the dataset's own, where it has one, else `pseudo_collate`.
        seed: of the order and of the samples' random numbers; None draws one that all processes
            share.

    Raises:
        ConfigError: no such dataset, sampler or collate function, or no such keyword.
        TypeError: `dataloader` is neither config nor loader.
    """
    if isinstance(dataloader, DataLoader):
        return dataloader
    if not isinstance(dataloader, Mapping):
        raise TypeError(
            f"a data loader must be a dict or a DataLoader, got {type(dataloader).__name__}: {dataloader!r}"
        )
    keywords = dict(dataloader)
    seed = draw_shared_seed() if seed is None else seed
    dataset = keywords.pop("dataset", None)
    if isinstance(dataset, Mapping):
        dataset = DATASETS.build(dataset)
    if dataset is None or isinstance(dataset, str | int | float):
        given = "" if dataset is None else f", got {type(dataset).__name__}: {dataset!r}"
        raise TypeError(f"a data loader needs 'dataset': a dataset or dict(type=...){given}")
    if hasattr(dataset, "full_init"):
        dataset.full_init()  # in this process: the workers share the list
    collate = _build_function(keywords.pop("collate_fn", None)) or getattr(dataset, "collate_fn", pseudo_collate)
    if keywords.get("num_workers", 0) == 0:
        keywords.pop("persistent_workers", None)
        keywords.pop("prefetch_factor", None)
    keywords["worker_init_fn"] = partial(_start_worker, then=_build_function(keywords.pop("worker_init_fn", None)))
    if isinstance(dataset, IterableDataset):
        keywords.pop("sampler", None)
        check_arguments(DataLoader, {"dataset": dataset, **keywords}, "a data loader")
        return WatchedLoader(dataset, collate_fn=collate, **keywords)
    wanted = keywords.pop("num_batch_per_epoch", None)
    if wanted is not None:
        if not isinstance(wanted, int) or wanted < 1:
            raise ConfigError(f"num_batch_per_epoch must be a whole number of at least 1, got {wanted!r}")
        dataset = FirstSamples(dataset, wanted * keywords.get("batch_size", 1) * get_world_size())
    own: dict[str, Any] = {key: keywords.pop(key) for key in ("allow_broken", "max_broken_share") if key in keywords}
    check_arguments(DataLoader, {"dataset": dataset, **keywords}, "a data loader")
    keywords |= own
    sampler = _build_sampler(_no_text(keywords.pop("sampler", None), "sampler"), dataset, seed)
    batch_sampler = _no_text(keywords.pop("batch_sampler", None), "batch_sampler")
    if isinstance(batch_sampler, Mapping):
        batch_sampler = DATA_SAMPLERS.build(
            batch_sampler, default_args={"sampler": sampler, "batch_size": keywords.pop("batch_size")}
        )
    if batch_sampler is not None:
        return ReproducibleLoader(dataset, seed=seed, batch_sampler=batch_sampler, collate_fn=collate, **keywords)
    return ReproducibleLoader(dataset, seed=seed, sampler=sampler, collate_fn=collate, **keywords)


def _no_text(value: Any, name: str) -> Any:
    """A sampler; a text would be iterated letter by letter."""
    if isinstance(value, str | int | float):
        raise TypeError(f"{name} must be a dict with 'type', or give indices, got {type(value).__name__}: {value!r}")
    return value


def _build_sampler(sampler: Any, dataset: Any, seed: int) -> Any:
    if sampler is None:
        return DefaultSampler(dataset, shuffle=not getattr(dataset, "test_mode", False), seed=seed)
    if isinstance(sampler, Mapping):
        return DATA_SAMPLERS.build(sampler, default_args={"dataset": dataset, "seed": seed})
    return sampler


def _build_function(function: Any) -> Callable[..., Any] | None:
    """A function given as it is, by its name, or as `dict(type=..., keyword=value)`."""
    options: dict[str, Any] = {}
    if isinstance(function, Mapping):
        options = {key: value for key, value in function.items() if key != "type"}
        function = function["type"]
    if isinstance(function, str):
        registered = FUNCTIONS.get(function)
        if registered is None:
            raise FUNCTIONS.unknown(function)
        function = registered
    return partial(function, **options) if options else function
