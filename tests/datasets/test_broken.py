"""Broken samples on their way through a loader: what takes their place, and what the main process learns of them."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset
from torch.utils.data._utils.pin_memory import pin_memory

from kinema.datasets import RepeatDataset, ReproducibleLoader, VideoDataset, build_dataloader, default_collate
from kinema.datasets.broken import BrokenSample, LoadedBatch, num_allowed
from kinema.errors import AnnotationError, PartArgumentError, VideoError
from kinema.transforms import OpenVideo

WORKERS = [dict(num_workers=0), dict(num_workers=2), dict(num_workers=2, persistent_workers=True)]


class Draws(Dataset):
    """Samples that tell which random numbers they saw; some cannot be read."""

    def __init__(self, broken=(), count=20, test_mode=False, error=VideoError):
        self.broken, self.count, self.test_mode, self.error = set(broken), count, test_mode, error

    def get_data_info(self, index):
        return {"filename": f"{index % self.count}.mp4"}

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        draw = (random.random(), np.random.rand(), torch.rand(1).item())
        if index in self.broken:
            raise self.error(f"{index}.mp4: damaged\nbadly")
        return {"index": index, "draw": draw}


def loader_of(dataset, **options):
    return build_dataloader({"batch_size": 3, "dataset": dataset, **options}, seed=5)


def in_order(dataset, **options):
    return loader_of(dataset, sampler=dict(type="DefaultSampler", shuffle=False), **options)


def epoch_of(loader):
    return [batch for batch in loader]  # noqa: C416 - runs the loader through


def facts(loader):
    return [(one.index, one.replaced_by, one.place) for one in loader.broken]


@pytest.mark.parametrize("workers", WORKERS)
def test_a_broken_sample_is_replaced_by_the_next_good_one(workers) -> None:
    loader = in_order(Draws(broken=(4, 5, 19)), **workers)
    indices = [index for batch in epoch_of(loader) for index in batch["index"]]
    assert indices == [0, 1, 2, 3, 6, 6, *range(6, 19), 0]
    assert facts(loader) == [(4, 6, 4), (5, 6, 4), (5, 6, 5), (19, 0, 19)]
    first = loader.broken[0]
    assert (first.path, first.error) == ("4.mp4", "4.mp4: damaged badly")


def test_the_replacement_draws_its_own_random_numbers() -> None:
    broken, sound = in_order(Draws(broken=(4,))), in_order(Draws())
    with_replacement, without = epoch_of(broken), epoch_of(sound)
    draws = {index: draw for batch in without for index, *draw in zip(batch["index"], *batch["draw"], strict=True)}
    for batch in with_replacement:
        for index, *draw in zip(batch["index"], *batch["draw"], strict=True):
            assert draw == draws[index]


@pytest.mark.parametrize("workers", WORKERS)
def test_batches_and_facts_are_the_same_for_any_number_of_workers(workers) -> None:
    options = dict(collate_fn="default_collate", drop_last=True)
    plain, parallel = (
        loader_of(Draws(broken=(2, 7, 8)), **options),
        loader_of(Draws(broken=(2, 7, 8)), **options, **workers),
    )
    for _ in range(2):
        for one, other in zip(epoch_of(plain), epoch_of(parallel), strict=True):
            assert torch.equal(one["index"], other["index"])
            assert all(torch.equal(a, b) for a, b in zip(one["draw"], other["draw"], strict=True))
        assert plain.broken == parallel.broken
        assert {one.index for one in plain.broken} >= {7, 8}


def test_the_facts_are_of_this_epoch_and_of_batches_that_came() -> None:
    loader = in_order(Draws(broken=(0, 19)), num_workers=2)
    batches = iter(loader)
    next(batches)
    assert facts(loader) == [(0, 1, 0)]  # though a worker has read further
    epoch_of(loader)
    assert facts(loader) == [(0, 1, 0), (19, 1, 19), (0, 1, 19)]


def test_every_broken_sample_is_told_and_its_file_named_once(caplog) -> None:
    loader, told = in_order(Draws(broken=(1, 2))), []
    epoch_of(loader)
    epoch_of(loader)
    assert [record.getMessage() for record in caplog.records] == [
        "broken, replaced by sample 3: 1.mp4: damaged badly",
        "broken, replaced by sample 3: 2.mp4: damaged badly",
    ]
    loader.on_broken = told.append
    epoch_of(loader)
    assert told == loader.broken
    assert len(told) == 3  # sample 2 was met in its own turn, too


@pytest.mark.parametrize("num_workers", [0, 2])
def test_ten_more_broken_samples_in_a_row_are_an_error(num_workers) -> None:
    epoch_of(in_order(Draws(broken=range(3, 13))))
    loader = in_order(Draws(broken=range(3, 14)), num_workers=num_workers)
    with pytest.raises(
        VideoError, match=r"^3\.mp4: damaged badly \(and the 10 samples after it are broken too: check "
    ):
        epoch_of(loader)
    assert [one.index for one in loader.broken] == list(range(3, 14))
    assert {one.replaced_by for one in loader.broken} == {None}


def test_a_set_of_broken_samples_only_is_an_error() -> None:
    with pytest.raises(VideoError, match="and the 1 samples after it are broken too"):
        epoch_of(in_order(Draws(broken=(0, 1), count=2)))
    with pytest.raises(VideoError, match="and there is no other sample"):
        epoch_of(in_order(Draws(broken=(0,), count=1)))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_never_replaces(num_workers) -> None:
    with pytest.raises(VideoError, match=r"^4\.mp4: damaged"):
        epoch_of(in_order(Draws(broken=(4,), test_mode=True), num_workers=num_workers))
    training = in_order(Draws(broken=(4,)), num_workers=num_workers)
    with pytest.raises(VideoError, match=r"^4\.mp4: damaged"):
        epoch_of(training.for_evaluation(allow_broken=False))
    assert 4 not in [index for batch in epoch_of(training) for index in batch["index"]]
    assert training.when_broken == "replace"


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_evaluation_that_allows_it_leaves_broken_samples_out(num_workers) -> None:
    loader = in_order(Draws(broken=(3, 4, 5, 7), test_mode=True), num_workers=num_workers, allow_broken=True)
    assert [batch["index"] for batch in epoch_of(loader)] == [
        [0, 1, 2],
        [6, 8],
        [9, 10, 11],
        [12, 13, 14],
        [15, 16, 17],
        [18, 19],
    ]
    assert facts(loader) == [(3, None, 3), (4, None, 4), (5, None, 5), (7, None, 7)]
    again = in_order(Draws(test_mode=True), allow_broken=False).for_evaluation(allow_broken=True)
    assert again.when_broken == "stop"  # what the config says wins


def test_only_videos_are_replaced() -> None:
    for dataset in (Draws((4,), error=AnnotationError), Draws((4,), error=AnnotationError, test_mode=True)):
        with pytest.raises(AnnotationError, match="damaged"):
            epoch_of(in_order(dataset, allow_broken=dataset.test_mode or None))
    with pytest.raises(AnnotationError, match=r"4\.mp4: damaged"):
        epoch_of(in_order(_Second(broken=(3, 4))))


class _Second(Draws):
    """A broken video, and behind it a sample that is wrong otherwise."""

    def __getitem__(self, index):
        self.error = AnnotationError if index == 4 else VideoError
        return super().__getitem__(index)


class Pinnable:
    def __init__(self):
        self.is_pinned = False

    def pin_memory(self):
        self.is_pinned = True
        return self


def test_memory_is_pinned_through_the_wrapping() -> None:
    batch = LoadedBatch({"inputs": [Pinnable()]}, (BrokenSample(1, "a.mp4", "damaged"),), 2, 2)
    pinned = pin_memory(batch)
    assert isinstance(pinned, LoadedBatch)
    assert pinned.data["inputs"][0].is_pinned
    assert [list(pinned.broken), *pinned[2:]] == [list(batch.broken), *batch[2:]]


def test_a_collate_function_of_the_users_own_sees_samples_only() -> None:
    seen = []

    def collate(samples):
        seen.extend(samples)
        return default_collate(samples)

    epoch_of(in_order(Draws(broken=(4,)), collate_fn=collate))
    assert all(set(sample) == {"index", "draw"} for sample in seen)
    assert len(seen) == 20


def broken_files(folder, make_video):
    make_video(folder / "good.mp4")
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    (folder / "cut.mp4").write_bytes((folder / "good.mp4").read_bytes()[:200])
    names = ["good.mp4", "text.mp4", "empty.mp4", "cut.mp4", "absent.mp4"]
    (folder / "list.txt").write_text("".join(f"{name} 0\n" for name in names))
    return names


@pytest.mark.parametrize("num_workers", [0, 2])
def test_real_files_that_are_broken_are_named(tmp_path, make_video, num_workers) -> None:
    names = broken_files(tmp_path, make_video)
    dataset = VideoDataset(
        tmp_path / "list.txt", [OpenVideo(), lambda sample: sample["filename"]], data_prefix=dict(video=str(tmp_path))
    )
    loader = in_order(RepeatDataset(dataset, 2), num_workers=num_workers)
    assert {path for batch in epoch_of(loader) for path in batch} == {str(tmp_path / "good.mp4")}
    assert {one.path for one in loader.broken} == {str(tmp_path / name) for name in names[1:]}
    assert all(one.error.startswith(one.path) and one.replaced_by in (0, 5) for one in loader.broken)


def test_a_dataset_that_tells_no_file_has_its_samples_numbered() -> None:
    class Nameless(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index == 1:
                raise VideoError("damaged")
            return index

    loader = in_order(Nameless())
    assert epoch_of(loader) == [[0, 2, 2]]
    assert loader.broken[0].path == "sample 1"


@pytest.mark.parametrize(
    ("count", "share", "allowed"),
    [
        (100, 0.05, 5),
        (100, 0.07, 7),
        (100, 0.29, 29),
        (19, 0.05, 1),
        (10, 0.05, 1),
        (9, 0.05, 0),
        (9, 0.5, 4),
        (50, 0, 0),
        (7, 1, 7),
    ],
)
def test_a_share_may_be_broken_but_one_of_ten_always(count, share, allowed) -> None:
    assert num_allowed(count, share) == allowed


def test_options_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="max_broken_share must be a share from 0 to 1, got 5"):
        loader_of(Draws(), max_broken_share=5)
    assert loader_of(Draws()).max_broken_share == 0.05
    assert ReproducibleLoader(Draws(test_mode=True), seed=0, allow_broken=True).max_broken_share == 1

    class Stream(IterableDataset):
        def __iter__(self):
            yield 1

    with pytest.raises(PartArgumentError, match="a data loader has no keyword 'allow_broken'"):
        build_dataloader(dict(batch_size=1, dataset=Stream(), allow_broken=True))
