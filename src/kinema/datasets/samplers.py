"""Samplers: in which order, and on which process, the samples of a dataset come."""

import math
from collections.abc import Iterator, Sequence, Sized
from typing import Self

import torch
from torch.utils.data import Sampler

from kinema.datasets.positions import places_from
from kinema.distributed import broadcast_object, get_rank, get_world_size
from kinema.registry import DATA_SAMPLERS


class RepeatedIndex(int):
    """A sample's index that a sampler gives again in the same epoch.

    Attributes:
        repeat: how often it came before. It enters the sample's random numbers, so that it is
            augmented in another way each time.
    """

    repeat: int

    def __new__(cls, index: int, repeat: int = 0) -> Self:
        key = super().__new__(cls, index)
        key.repeat = repeat
        return key


@DATA_SAMPLERS.register_module()
class DefaultSampler(Sampler[int]):
    """All samples once an epoch, shared evenly by the processes: process r of W takes places r, r + W, r + 2W, ...

    Args:
        dataset: anything with a length.
        shuffle: a new order each epoch, a function of (seed, epoch).
        seed: of the order; None draws one that all processes share.
        round_up: repeat the first samples so that all processes get the same number.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.rank, self.world_size = get_rank(), get_world_size()
        self.seed = draw_shared_seed() if seed is None else seed
        self.epoch = 0
        self.round_up = round_up
        self.num_samples = self.num_from(0)
        self.total_size = self.num_samples * self.world_size if round_up else len(dataset)

    def __iter__(self) -> Iterator[int]:
        return self.iterate_from(0)

    def iterate_from(self, place: int) -> Iterator[int]:
        """This process's indices from place `place` of the epoch on; places count the samples of all processes."""
        count = len(self.dataset)
        order = _order(count, self.seed + self.epoch if self.shuffle else None)
        return (order[own % count] for own in self._places(place))

    def num_from(self, place: int) -> int:
        """How many indices `iterate_from` gives."""
        return len(self._places(place))

    def _places(self, place: int) -> range:
        return places_from(place, len(self.dataset), self.rank, self.world_size, round_up=self.round_up)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch` from the next iteration on."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class InfiniteSampler(Sampler[int]):
    """All samples again and again without end, shared by the processes: for training by steps.

    Args:
        dataset: anything with a length.
        shuffle: a new order each time through, a function of (seed, time).
        seed: of the order; None draws one that all processes share.
    """

    is_endless = True

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.rank, self.world_size = get_rank(), get_world_size()
        self.seed = draw_shared_seed() if seed is None else seed

    def __iter__(self) -> Iterator[int]:
        return self.iterate_from(0)

    def iterate_from(self, place: int) -> Iterator[int]:
        """This process's indices from place `place` on; places count the samples of all processes."""
        count = len(self.dataset)
        time, within = divmod(place + self.rank, count) if count else (0, 0)
        while count:
            order = _order(count, self.seed + time if self.shuffle else None)
            while within < count:
                yield RepeatedIndex(order[within], time) if time else order[within]
                within += self.world_size
            passed, within = divmod(within, count)
            time += passed

    @property
    def size(self) -> int:
        """Number of samples of the dataset."""
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: there are no epochs in an endless order."""

    def num_from(self, place: int) -> float:
        """How many indices `iterate_from` gives."""
        return math.inf if len(self.dataset) else 0

    def __len__(self) -> int:
        return len(self.dataset)


def _order(count: int, seed: int | None) -> Sequence[int]:
    """0 to count - 1, shuffled unless `seed` is None."""
    if seed is None:
        return range(count)
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    return order


def draw_shared_seed() -> int:
    """A random seed, the same on all processes; leaves the global generators alone."""
    return int(broadcast_object(torch.Generator().seed() % 2**31))
