"""A pass over the data can be entered at any batch: the rest of it is the same, and nothing before it is read."""

import itertools
import logging
import math
import random

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, Sampler

from kinema.datasets import ClassBalancedSampler, DefaultSampler, InfiniteSampler, build_dataloader
from kinema.datasets.loader import ReproducibleLoader
from kinema.datasets.positions import iterate_from
from kinema.errors import ConfigError, VideoError
from kinema.randomness import seed_everything

SEED = 5
WORKERS = [dict(num_workers=0), dict(num_workers=2), dict(num_workers=2, persistent_workers=True)]


class Draws(Dataset):
    """Samples that hold their index and the random numbers they saw; `read` holds the indices in order."""

    metainfo = {"classes": ["a", "b"]}

    def __init__(self, count=13):
        self.count = count
        self.read = []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        return index, round(random.random(), 6), round(float(np.random.rand()), 6), round(torch.rand(1).item(), 6)

    def get_cat_ids(self, index):
        return [int(index % 4 == 0)]


class Reversed(DefaultSampler):
    """A user's sampler that replaces the order of another."""

    def __iter__(self):
        return reversed(list(super().__iter__()))


class GloballyShuffled(Sampler):
    """A user's sampler that draws from a global generator."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __iter__(self):
        order = list(range(len(self.dataset)))
        random.shuffle(order)
        return iter(order)

    def __len__(self):
        return len(self.dataset)


class Pairs(Sampler):
    """A user's batch sampler: batches of different sizes, an order of its own each epoch."""

    def __init__(self, count=13):
        self.count, self.epoch = count, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        indices = iter(np.random.default_rng(self.epoch).permutation(self.count).tolist())
        for size in itertools.cycle([1, 2, 3]):
            batch = list(itertools.islice(indices, size))
            if not batch:
                return
            yield batch

    def __len__(self):
        return sum(1 for _ in self)


SAMPLERS = {
    "default": lambda dataset: DefaultSampler(dataset, seed=SEED),
    "in order": lambda dataset: DefaultSampler(dataset, shuffle=False),
    "balanced": lambda dataset: ClassBalancedSampler(dataset, seed=SEED),
    "balanced, many": lambda dataset: ClassBalancedSampler(dataset, seed=SEED, num_samples=31),
    "torch's": RandomSampler,
    "torch's, repeated": lambda dataset: RandomSampler(dataset, replacement=True, num_samples=40),
    "user's": GloballyShuffled,
    "user's subclass": lambda dataset: Reversed(dataset, seed=SEED),
}


def loader_of(sampler="default", *, batch_size=3, dataset=None, **options):
    dataset = dataset or Draws()
    settings = dict(dataset=dataset, sampler=SAMPLERS[sampler](dataset), batch_size=batch_size, collate_fn=list)
    return build_dataloader(settings | options, seed=SEED)


def rest_of(loader, *position, **options):
    return list(loader.from_position(*position, **options))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_position_of_a_pass_gives_the_rest_of_it(sampler, drop_last) -> None:
    whole = [list(loader) for loader in itertools.repeat(loader_of(sampler, drop_last=drop_last), 3)]
    assert whole[0] != whole[1] or sampler == "in order"
    for epoch, batches in enumerate(whole):
        for batch in range(len(batches) + 1):
            fresh = loader_of(sampler, drop_last=drop_last)
            assert rest_of(fresh, epoch, batch) == batches[batch:]
            assert fresh.num_batches(batch) == len(batches) - batch
            assert fresh.epoch == epoch


@pytest.mark.parametrize("sampler", ["default", pytest.param("torch's", marks=pytest.mark.slow)])
@pytest.mark.parametrize("workers", WORKERS)
def test_later_passes_are_whole_after_a_position_and_workers_change_nothing(sampler, workers) -> None:
    plain = loader_of(sampler)
    whole = [list(plain) for _ in range(4)]
    loader = loader_of(sampler, **workers)
    assert rest_of(loader, 1, 2) == whole[1][2:]
    assert len(loader) == len(whole[1])
    assert list(loader) == whole[2]
    assert rest_of(loader, 1, 4) == whole[1][4:]
    loader.set_epoch(0)
    assert [list(loader), list(loader)] == whole[:2]
    assert rest_of(loader, 2, len(loader)) == []
    assert list(loader) == whole[3]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_pass_can_be_left_and_resumed_twice(workers) -> None:
    whole = list(loader_of())
    loader = loader_of(**workers)
    seen = list(itertools.islice(loader, 1))
    seen += itertools.islice(loader.from_position(0, 1), 2)
    seen += itertools.islice(loader.from_position(0, 3), 1)
    assert seen + rest_of(loader, 0, 4) == whole


def test_what_is_before_a_position_is_not_read() -> None:
    for sampler in ("default", "balanced", "torch's", "user's"):
        dataset = Draws()
        rest = rest_of(loader_of(sampler, dataset=dataset), 0, 3)
        assert dataset.read == [index for batch in rest for index, *_ in batch]
        assert len(dataset.read) == len(dataset) - 9


def test_an_iterator_keeps_its_pass_when_the_loader_is_put_elsewhere_before_its_first_batch() -> None:
    expected = loader_of()
    first, second = list(expected), list(expected)
    loader = loader_of()
    early = iter(loader)
    late = loader.from_position(1, 2)
    assert list(early) == first
    assert list(late) == second[2:]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_position_draws_nothing_from_the_global_generators(workers) -> None:
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(1)
    expected = draw()
    for sampler in SAMPLERS:
        seed_everything(1)
        rest_of(loader_of(sampler, **workers if sampler in ("default", "torch's") else {}), 1, 1)
        assert draw() == expected


def test_the_order_does_not_depend_on_what_was_drawn_before() -> None:
    for sampler in SAMPLERS:
        seed_everything(1)
        expected = rest_of(loader_of(sampler), 2, 1)
        seed_everything(2)
        assert rest_of(loader_of(sampler), 2, 1) == expected


@pytest.mark.parametrize("inner", [False, True])
def test_batch_samplers_of_users_are_asked_for_their_epoch_and_skipped(inner) -> None:
    def fresh():
        batches = OfSampler(DefaultSampler(range(13), seed=SEED)) if inner else Pairs()
        return ReproducibleLoader(Draws(), seed=SEED, batch_sampler=batches, collate_fn=list)

    class OfSampler(BatchSampler):
        def __init__(self, sampler):
            super().__init__(sampler, 3, False)

    loader = fresh()
    whole = [list(loader) for _ in range(3)]
    assert whole[1] != whole[0] != whole[2]
    assert [[len(batch) for batch in epoch] for epoch in whole] == [[len(batch) for batch in whole[0]]] * 3
    for epoch, batch in itertools.product(range(3), range(len(whole[0]) + 1)):
        resumed = fresh()
        assert rest_of(resumed, epoch, batch) == whole[epoch][batch:]
        assert resumed.num_batches(batch) == len(whole[epoch]) - batch
        assert resumed.epoch_samples == 13


# ---- passes without end


def test_a_pass_without_end_is_entered_at_any_batch() -> None:
    def fresh():
        dataset = Draws(5)
        settings = dict(dataset=dataset, sampler=InfiniteSampler(dataset, seed=SEED), batch_size=3, collate_fn=list)
        return build_dataloader(settings, seed=SEED)

    loader = fresh()
    assert loader.is_endless
    assert not loader_of().is_endless
    assert loader.num_batches(7) == math.inf
    whole = list(itertools.islice(loader, 40))
    indices = [index for batch in whole for index, *_ in batch]
    assert all(sorted(indices[place : place + 5]) == list(range(5)) for place in range(0, 120, 5))
    assert indices[:5] != indices[5:10]
    for batch in (0, 1, 2, 5, 33):
        assert list(itertools.islice(fresh().from_position(0, batch), 40 - batch)) == whole[batch:]


def test_any_number_of_processes_takes_the_same_places_of_a_pass_without_end() -> None:
    for count, shuffle in ((5, True), (6, False), (1, True)):
        dataset = range(count)
        whole = list(itertools.islice(InfiniteSampler(dataset, shuffle, seed=SEED), 60))
        for world_size, place in itertools.product((1, 2, 3, 7), (0, 1, 13)):
            ranks = []
            for rank in range(world_size):
                sampler = InfiniteSampler(dataset, shuffle, seed=SEED)
                sampler.rank, sampler.world_size = rank, world_size
                ranks.append(itertools.islice(sampler.iterate_from(place), 6))
            merged = [index for step in zip(*ranks, strict=True) for index in step]
            assert merged == whole[place : place + len(merged)]
            repeats = [getattr(index, "repeat", 0) for index in merged]
            assert repeats == [(place + i) // count for i in range(len(merged))]
    assert list(InfiniteSampler(range(0))) == []


# ---- another number of processes, another batch size


def run_steps(sampler, world_size, batch_size, steps, epoch_samples, *, epoch=1, batch=0, count=13):
    """The samples of `steps` steps of several processes in the order of their places, and the new `epoch_samples`."""
    loaders = []
    for rank in range(world_size):
        loader = loader_of(sampler, batch_size=batch_size, dataset=Draws(count))
        loader.sampler.rank, loader.sampler.world_size = rank, world_size
        loaders.append(loader)
    iterators = [loader.from_position(epoch, batch, epoch_samples=epoch_samples) for loader in loaders]
    assert len({loader.num_batches(batch, epoch_samples=epoch_samples) for loader in loaders}) == 1
    samples = []
    for _ in range(steps) if steps is not None else itertools.count():
        batches = [next(iterator, []) for iterator in iterators]
        if not batches[0]:
            break
        samples += [sample for round_ in zip(*batches, strict=True) for sample in round_]
    return samples


@pytest.mark.parametrize("sampler", ["default", "in order", "balanced"])
@pytest.mark.parametrize("count", [13, 16, 17])
@pytest.mark.parametrize("legs", [[(2, 2, 2), (1, 3, 1), (2, 1, None)], [(1, 4, 1), (3, 1, 2), (2, 3, None)]])
def test_other_processes_and_batch_sizes_see_the_same_samples_in_the_same_order_each_once(sampler, count, legs) -> None:
    whole = run_steps(sampler, 1, 1, None, 0, count=count)
    assert len(whole) == count
    seen = []
    for world_size, batch_size, steps in legs:
        seen += run_steps(sampler, world_size, batch_size, steps, len(seen), count=count)
    assert seen[:count] == whole
    assert len(seen) - count < legs[-1][0]  # the last processes need as many each
    assert [index for index, *_ in seen[count:]] == [index for index, *_ in whole[: len(seen) - count]]


def test_the_samples_that_are_done_count_those_of_all_processes() -> None:
    loader = loader_of()
    assert loader.epoch_samples == 0
    iterator = loader.from_position(1, 2)
    counts = [(next(iterator), loader.epoch_samples)[1] for _ in range(3)]
    assert counts == [9, 12, 13]
    list(loader.from_position(1, 2, epoch_samples=12))
    assert loader.epoch_samples == 13
    iter(loader)
    assert loader.epoch_samples == 0


@pytest.mark.parametrize("sampler", ["torch's", "user's", "user's subclass"])
def test_a_sampler_that_cannot_start_anywhere_resumes_with_the_same_processes_and_batch_size_only(sampler) -> None:
    loader = loader_of(sampler)
    whole = list(loader)
    assert rest_of(loader, 0, 2, epoch_samples=6) == whole[2:]
    name = type(loader.sampler).__name__
    with pytest.raises(
        ConfigError,
        match=f"^{name} cannot resume with another number of processes or another batch size: 2 batches of this run are"
        " 6 samples, but 12 are done; use those of the run before, or a sampler that has iterate_from and num_from",
    ):
        loader.from_position(0, 2, epoch_samples=12)
    assert rest_of(loader, 0) == whole


def test_positions_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="no numbers below 0, got epoch=0, batch=-1, epoch_samples=None"):
        loader_of().from_position(0, -1)


# ---- broken samples


class SomeBroken(Draws):
    def __getitem__(self, index):
        if index in (3, 8, 12):
            raise VideoError(f"{index}.mp4: broken")
        return super().__getitem__(index)


@pytest.mark.parametrize("sampler", ["in order", "torch's"])
def test_broken_samples_keep_the_place_numbers_of_the_whole_pass(sampler) -> None:
    loader = loader_of(sampler, dataset=SomeBroken())
    whole = list(loader)
    records = list(loader.broken)
    assert len(records) >= 3
    for batch in range(len(whole) + 1):
        assert rest_of(loader, 0, batch) == whole[batch:]
        assert loader.broken == [record for record in records if record.place >= 3 * batch]


# ---- loaders of torch


class Stream(IterableDataset):
    def __init__(self):
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(range(100 * self.epoch, 100 * self.epoch + 10))


def test_a_loader_of_ours_is_entered_at_a_position_without_a_word(caplog) -> None:
    whole = list(loader_of())
    assert list(iterate_from(loader_of(), 0, 2)) == whole[2:]
    assert list(itertools.chain(*iterate_from(loader_of(batch_size=2), 0, epoch_samples=6))) == list(
        itertools.chain(*whole[2:])
    )
    assert not caplog.records


@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_of_torchs_loader_are_read_and_left_out(caplog, num_workers) -> None:
    dataset = Draws()
    sampler = DefaultSampler(dataset, seed=SEED)
    loader = DataLoader(dataset, sampler=sampler, batch_size=3, collate_fn=list, num_workers=num_workers)
    sampler.set_epoch(4)
    expected = [[index for index, *_ in batch] for batch in loader]
    sampler.set_epoch(0)
    with caplog.at_level(logging.WARNING, logger="kinema"):
        rest = list(iterate_from(loader, 4, 2))
    assert [[index for index, *_ in batch] for batch in rest] == expected[2:]
    assert [record.message for record in caplog.records] == [
        "DataLoader cannot start inside an epoch: the 2 batches before the position are read again, which takes as long"
        " as the first time (a data loader that is built from a config does not)"
    ]
    caplog.clear()
    assert len(list(iterate_from(loader, 4))) == len(loader)
    assert not caplog.records


def test_a_stream_of_samples_is_read_up_to_the_position() -> None:
    loader = build_dataloader(dict(dataset=Stream(), batch_size=4, collate_fn=list), seed=SEED)
    assert list(iterate_from(loader, 3, 1)) == [[304, 305, 306, 307], [308, 309]]
    assert list(iterate_from(loader, 3, 9)) == []
