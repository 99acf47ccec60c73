import random
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from kinema.datasets import BaseDataset, DefaultSampler, build_dataloader, default_collate, pseudo_collate
from kinema.errors import AnnotationError, PartArgumentError, RegistryError
from kinema.registry import DATASETS, FUNCTIONS
from kinema.structures import ActionDataSample


class Draws(Dataset):
    """Samples that tell which random numbers they saw."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return {"index": index, "draw": (random.random(), np.random.rand(), torch.rand(1).item())}


class Broken(Draws):
    """A dataset with a wrong list: not a matter of one video."""

    def __getitem__(self, index):
        if index == 3:
            raise AnnotationError("list.txt:4: no label")
        return super().__getitem__(index)


def epoch_of(loader):
    return [batch for batch in loader]  # noqa: C416 - runs the loader through


def loader_of(dataset=None, **options):
    settings = dict(batch_size=2, sampler=dict(type="DefaultSampler", shuffle=True), **options)
    return build_dataloader({**settings, "dataset": dataset or Draws()}, seed=5)


@pytest.mark.parametrize("workers", [dict(num_workers=2), dict(num_workers=2, persistent_workers=True)])
def test_the_number_of_workers_changes_nothing(workers) -> None:
    plain, parallel = loader_of(), loader_of(**workers)
    for _ in range(2):
        assert epoch_of(plain) == epoch_of(parallel)


def test_epochs_differ_and_can_be_chosen_again() -> None:
    loader = loader_of()
    first, second = epoch_of(loader), epoch_of(loader)
    assert first != second
    loader.set_epoch(0)
    assert epoch_of(loader) == first
    assert epoch_of(loader) == second
    other = loader_of()
    other.sampler.set_epoch(1)
    assert epoch_of(other) == second


def test_loading_leaves_the_global_generators_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    expected = (torch.rand(1).item(), np.random.rand(), random.random())
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    epoch_of(loader_of())
    assert (torch.rand(1).item(), np.random.rand(), random.random()) == expected


def test_a_sample_draws_the_same_numbers_in_any_order() -> None:
    shuffled = {
        batch["index"][i]: batch["draw"][j][i] for batch in loader_of() for i in range(len(batch["index"])) for j in [0]
    }
    plain = build_dataloader(
        dict(batch_size=7, dataset=Draws(), sampler=dict(type="DefaultSampler", shuffle=False)), seed=5
    )
    (batch,) = epoch_of(plain)
    assert {index: batch["draw"][0][i] for i, index in enumerate(batch["index"])} == shuffled


def noisy(samples):
    return {"index": [sample["index"] for sample in samples], "noise": (random.random(), torch.rand(2).tolist())}


@pytest.mark.parametrize("workers", [dict(num_workers=2), dict(num_workers=2, persistent_workers=True)])
def test_what_a_collate_function_draws_depends_on_the_batch_only(workers) -> None:
    plain, parallel = loader_of(collate_fn=noisy), loader_of(collate_fn=noisy, **workers)
    epochs = [epoch_of(plain), epoch_of(plain)]
    assert [epoch_of(parallel), epoch_of(parallel)] == epochs
    assert list(loader_of(collate_fn=noisy, **workers).from_position(1, 2)) == epochs[1][2:]
    assert len({str(batch["noise"]) for epoch in epochs for batch in epoch}) == sum(map(len, epochs))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_about_the_data_arrives_as_it_was_raised(num_workers) -> None:
    with pytest.raises(AnnotationError, match=r"^list\.txt:4: no label$"):
        epoch_of(loader_of(Broken(), num_workers=num_workers))


def test_the_loader_keeps_the_users_dataset_and_collate() -> None:
    dataset = Draws()
    loader = loader_of(dataset, collate_fn="default_collate")
    epoch_of(loader)
    assert loader.dataset is dataset
    assert loader.collate_fn is default_collate


def test_a_config_names_dataset_and_collate() -> None:
    class Listed(BaseDataset):
        def load_data_list(self):
            return [{"x": i} for i in range(4)]

    def keep_every(data_batch, step):
        return data_batch[::step]

    DATASETS.register_module(module=Listed)
    FUNCTIONS.register_module(module=keep_every)
    loader = build_dataloader(
        dict(batch_size=4, dataset=dict(type="Listed"), collate_fn=dict(type="keep_every", step=3))
    )
    assert len(loader) == 1
    assert len(epoch_of(loader)[0]) == 2


def test_a_built_loader_is_returned_as_it_is() -> None:
    loader = DataLoader(Draws())
    assert build_dataloader(loader) is loader


def test_training_is_shuffled_and_test_mode_is_not() -> None:
    class Listed(BaseDataset):
        def load_data_list(self):
            return [{"x": i} for i in range(50)]

    orders = {}
    for test_mode in (True, False):
        loader = build_dataloader(dict(batch_size=50, dataset=Listed(test_mode=test_mode)), seed=1)
        orders[test_mode] = epoch_of(loader)[0]["x"]
    assert orders[True] == list(range(50))
    assert orders[False] != orders[True]
    assert sorted(orders[False]) == orders[True]


def test_wrong_loader_configs_are_named() -> None:
    with pytest.raises(TypeError, match="a data loader must be a dict or a DataLoader, got list"):
        build_dataloader([])
    with pytest.raises(
        PartArgumentError, match=r"a data loader has no keyword 'batchsize' \(did you mean batch_size\?\)"
    ):
        build_dataloader(dict(batchsize=2, dataset=Draws()))
    with pytest.raises(TypeError, match=r"collate_fn, worker_init_fn: give a function, its name or dict.*, got 1"):
        build_dataloader(dict(dataset=[1, 2], batch_size=1, collate_fn=1))
    with pytest.raises(TypeError, match="a data loader needs 'dataset'"):
        build_dataloader(dict(batch_size=2))
    with pytest.raises(TypeError, match=r"needs 'dataset': a dataset or dict\(type=...\), got str: 'Draws'"):
        build_dataloader(dict(batch_size=2, dataset="Draws"))
    for name in ("sampler", "batch_sampler"):  # a text would be iterated letter by letter
        with pytest.raises(TypeError, match=f"^{name} must be a dict with 'type', or give indices, got str: 'Some'"):
            build_dataloader(dict(dataset=Draws(), **{name: "Some"}))
    with pytest.raises(
        RegistryError, match="sudo_collate is not in the function registry: did you mean pseudo_collate"
    ):
        build_dataloader(dict(batch_size=2, dataset=Draws(), collate_fn="sudo_collate"))


def test_pseudo_collate_lists_and_default_collate_stacks() -> None:
    Pair = namedtuple("Pair", ["a", "b"])
    samples = [
        {"inputs": torch.full((2,), i), "data_samples": ActionDataSample(), "name": str(i), "pair": Pair(i, [i])}
        for i in range(3)
    ]
    listed, stacked = pseudo_collate(samples), default_collate(samples)
    assert [tensor.tolist() for tensor in listed["inputs"]] == [[0, 0], [1, 1], [2, 2]]
    assert listed["pair"] == Pair((0, 1, 2), [(0, 1, 2)])
    assert stacked["inputs"].tolist() == [[0, 0], [1, 1], [2, 2]]
    for batch in (listed, stacked):
        assert batch["name"] == ["0", "1", "2"]
        assert all(isinstance(one, ActionDataSample) for one in batch["data_samples"])
    with pytest.raises(RuntimeError, match=r"equal lengths, got \[1, 2\]"):
        pseudo_collate([[1], [1, 2]])


def test_default_sampler_splits_evenly(monkeypatch) -> None:
    orders = []
    for rank in range(3):
        monkeypatch.setattr("kinema.datasets.samplers.get_rank", lambda rank=rank: rank)
        monkeypatch.setattr("kinema.datasets.samplers.get_world_size", lambda: 3)
        orders.append(list(DefaultSampler(range(7), shuffle=True, seed=2)))
    assert [len(order) for order in orders] == [3, 3, 3]
    assert set().union(*orders) == set(range(7))
    last = DefaultSampler(range(7), shuffle=False, round_up=False)
    assert list(last) == [2, 5]
    assert len(last) == 2


def test_a_function_that_starts_workers_may_be_named_with_options() -> None:
    started = []

    def note(worker_id, mark):
        started.append((worker_id, mark))

    FUNCTIONS.register_module(name="note_worker", module=note)
    loader = loader_of(worker_init_fn=dict(type="note_worker", mark="m"))
    loader.worker_init_fn(1)
    assert started == [(1, "m")]
    with pytest.raises(RegistryError, match="not_there is not in the function registry"):
        loader_of(worker_init_fn=dict(type="not_there"))
