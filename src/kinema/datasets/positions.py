"""Places in a pass over the data: what is left of it from there on, without reading what is before.

A place counts the samples of one pass over all processes, in the sampler's order. Process r of W
takes places r, r + W, r + 2W, ..., so that a pass that one number of processes began can be ended
by another.
"""

import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import BatchSampler

from kinema.distributed import get_world_size, is_main_process
from kinema.errors import ConfigError
from kinema.randomness import seeded

logger = logging.getLogger("kinema")

_ORDER = 2  # last word of the key of an order's random numbers, which no sample has


@runtime_checkable
class StartingSampler(Protocol):
    """A sampler that can start at any place of a pass.

    Attributes:
        world_size: processes that share the pass.
    """

    world_size: int

    def iterate_from(self, place: int) -> Iterator[int]:
        """This process's indices from place `place` of the pass on."""

    def num_from(self, place: int) -> int | float:
        """How many `iterate_from` gives; infinite where the pass has no end."""


def places_from(place: int, count: int, rank: int, world_size: int, *, round_up: bool = True) -> range:
    """The places of a pass that process `rank` takes, from `place` on.

    Args:
        place: first place that is not done.
        count: samples of the whole pass.
        rank: number of the process.
        world_size: number of processes, W.
        round_up: as many for each process; places of `count` and above then repeat the pass from
            its beginning.

    Returns:
        place + rank, place + rank + W, ...
    """
    rounds = math.ceil(max(count - place, 0) / world_size)
    return range(place + rank, place + rounds * world_size if round_up else count, world_size)


def is_endless(batches: Any) -> bool:
    """Has the pass of a batch sampler no end?"""
    return bool(getattr(sampler_of(batches), "is_endless", False))


def sampler_of(batches: Any) -> Any:
    """The sampler of indices inside a batch sampler; itself where it has none."""
    return getattr(batches, "sampler", batches)


def place_of(batches: Any, batch: int, epoch_samples: int | None) -> int | None:
    """The place of a batch, where its sampler can start at any place.

    Args:
        batches: a batch sampler.
        batch: number of the batch.
        epoch_samples: the place, where it is known; it wins over `batch`.

    Returns:
        None: batches before it must be left out one by one.
    """
    sampler = sampler_of(batches)
    if type(batches) is not BatchSampler or not _can_start(sampler):
        return None
    return batch * batches.batch_size * sampler.world_size if epoch_samples is None else epoch_samples


def _can_start(sampler: Any) -> bool:
    """Does `iterate_from` give the order of `__iter__`?

    Not in a subclass that only replaces the latter.
    """
    if not isinstance(sampler, StartingSampler):
        return False
    first = next(kind for kind in type(sampler).__mro__ if {"__iter__", "iterate_from"} & vars(kind).keys())
    return "iterate_from" in vars(first)


def num_batches(batches: Any, batch: int, epoch_samples: int | None) -> int | float:
    """How many batches of a pass are left from a position on; infinite where it has no end."""
    if is_endless(batches):
        return math.inf
    place = place_of(batches, batch, epoch_samples)
    if place is None:
        return max(len(batches) - batch, 0)
    samples = sampler_of(batches).num_from(place)
    return int(samples // batches.batch_size if batches.drop_last else math.ceil(samples / batches.batch_size))


# ---- passes


@dataclass
class Pass:
    """The pass that a loader is in.

    An object of its own: an iterator that held its loader would make a cycle, whose collection lets
    torch wait seconds for each worker to end.

    Attributes:
        epoch: its number; -1 before the first.
        batches: index lists that are left of it.
        done: samples of this process before them.
        epoch_samples: samples of all processes up to the batch that was given last.
    """

    epoch: int = -1
    batches: Iterator[list[int]] = field(default_factory=lambda: iter(()))
    done: int = 0
    epoch_samples: int = 0

    def begin(self, batches: Any, epoch: int, batch: int, epoch_samples: int | None, seed: int, generator: Any) -> None:
        """Go to a position; the arguments are those of `ReproducibleLoader.from_position`.

        Args:
            batches: the batch sampler, its epoch set.
            epoch: number of the pass.
            batch: batches that are done.
            epoch_samples: samples of all processes that are done.
            seed: of the order that a sampler without a seed draws.
            generator: of torch, which such a sampler and the workers' seeds are drawn from; seeded.
                None: none is.

        Raises:
            ConfigError: the sampler cannot start there.
        """
        place = place_of(batches, batch, epoch_samples)
        with seeded(seed, epoch, 0, 0, _ORDER):
            if generator is not None:
                generator.manual_seed(int(torch.randint(2**62, ())))
        if place is not None:
            samples = sampler_of(batches).iterate_from(place)
            self.batches = iter(BatchSampler(samples, batches.batch_size, batches.drop_last))
            self.done, self.epoch_samples = place // sampler_of(batches).world_size, place
        else:
            self.batches = _with_seeded_order(batches, seed, epoch)
            self.done = sum(map(len, itertools.islice(self.batches, batch)))
            self.epoch_samples = self.done * get_world_size()
            if epoch_samples not in (None, self.epoch_samples) and is_main_process():
                raise ConfigError(
                    f"{type(sampler_of(batches)).__name__} cannot resume with another number of processes or another"
                    f" batch size: {batch} batches of this run are {self.epoch_samples} samples, but {epoch_samples}"
                    " are done; use those of the run before, or a sampler that has iterate_from and num_from, such as"
                    " DefaultSampler"
                )
        self.epoch = epoch


def _with_seeded_order(batches: Iterable[list[int]], seed: int, epoch: int) -> Iterator[list[int]]:
    """The batches of a sampler; what it draws when it starts is a function of (seed, epoch)."""
    with seeded(seed, epoch, 0, 0, _ORDER):
        lists = iter(batches)
        first = list(itertools.islice(lists, 1))
    return itertools.chain(first, lists)


class KeyedBatches:
    """A batch sampler's index lists with the loader's epoch put beside each index, from the loader's position on."""

    def __init__(self, current: Pass, batches: Any) -> None:
        self.current = current
        self.batches = batches

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.current.epoch  # now: the loader may be in another one when a batch is asked for
        return ([(epoch, index) for index in batch] for batch in self.current.batches)

    def __len__(self) -> int:
        return len(self.batches)


def iterate_from(loader: Any, epoch: int, batch: int = 0, *, epoch_samples: int | None = None) -> Iterator[Any]:
    """Iterate over a pass of any data loader from a batch on.

    A loader without `from_position`, such as torch's own, reads the batches before it and throws
    them away: that takes as long as the first time, and its order is the same only where it is a
    function of the epoch, or of generators that were restored to where they were when the pass
    began.

    Args:
        loader: the loader; its `set_epoch`, its sampler's and its dataset's are called where they
            have one.
        epoch: number of the pass.
        batch: batches of the pass that are done.
        epoch_samples: samples of all processes that are done; see
            `ReproducibleLoader.from_position`. Other loaders have no use for it.
    """
    if hasattr(loader, "from_position"):
        return iter(loader.from_position(epoch, batch, epoch_samples=epoch_samples))
    for part in (loader, *(getattr(loader, name, None) for name in ("sampler", "batch_sampler", "dataset"))):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)
    batches = iter(loader)
    if batch:
        logger.warning(
            "%s cannot start inside an epoch: the %d batches before the position are read again, which takes as long"
            " as the first time (a data loader that is built from a config does not)",
            *(type(loader).__name__, batch),
        )
        next(itertools.islice(batches, batch, batch), None)
    return batches
