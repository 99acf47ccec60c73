"""Samplers: in which order, and on which process, the samples of a dataset come."""

import itertools
import math
from collections.abc import Iterator, Sized
from typing import Self

import torch
from torch.utils.data import Sampler

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
        if round_up:
            self.num_samples = math.ceil(len(dataset) / self.world_size)
            self.total_size = self.num_samples * self.world_size
        else:
            self.num_samples = math.ceil((len(dataset) - self.rank) / self.world_size)
            self.total_size = len(dataset)

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.shuffle:
            order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed + self.epoch)).tolist()
        else:
            order = list(range(count))
        if self.round_up and count:
            order = (order * math.ceil(self.total_size / count))[: self.total_size]
        return iter(order[self.rank : self.total_size : self.world_size])

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

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.dataset = dataset
        self.shuffle = shuffle
        self.rank, self.world_size = get_rank(), get_world_size()
        self.seed = draw_shared_seed() if seed is None else seed

    def _all(self) -> Iterator[int]:
        count = len(self.dataset)
        generator = torch.Generator().manual_seed(self.seed)
        for time in itertools.count():
            order = torch.randperm(count, generator=generator).tolist() if self.shuffle else range(count)
            yield from (RepeatedIndex(index, time) for index in order) if time else order

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._all(), self.rank, None, self.world_size)

    def __len__(self) -> int:
        return len(self.dataset)


def draw_shared_seed() -> int:
    """A random seed, the same on all processes; leaves the global generators alone."""
    return int(broadcast_object(torch.Generator().seed() % 2**31))
