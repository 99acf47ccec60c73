"""The loop alone: counters, points and windows, with any step and any loader."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from toy_run import Pack, Points

from kinema.datasets import build_dataloader
from kinema.engine import Progress, TrainLoop, Until
from kinema.errors import ConfigError


def loop_over(count, *, batch_size=2, until, accumulate=1, progress=None, points=None, shuffle=False, seen=None):
    loader = DataLoader(TensorDataset(torch.arange(count)), batch_size, shuffle=shuffle)

    def step(batch, window):
        if seen is not None:
            seen.append((batch[0].tolist(), window.index, window.length))
        return {}

    def emit(point, **arguments):
        if points is not None:
            points.append(point)

    return TrainLoop(loader, step, progress or Progress(), until, emit, accumulate)


def test_points_come_in_order() -> None:
    points = []
    loop_over(6, until=Until(epochs=2), accumulate=2, points=points).run()
    iteration = ["before_train_iter", "after_train_iter"]
    epoch = ["before_train_epoch", *iteration * 2, "at_border", *iteration, "after_train_epoch", "at_border"]
    assert points == ["before_train", "at_border", *epoch * 2, "after_train"]


def test_a_window_ends_with_its_pass_and_with_the_training() -> None:
    seen = []
    loop = loop_over(10, until=Until(iterations=9), accumulate=3, seen=seen)
    loop.run()
    assert [entry[1:] for entry in seen] == [(0, 3), (1, 3), (2, 3), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 1)]
    assert (loop.progress.epoch, loop.progress.batch, loop.progress.step) == (1, 4, 4)


@pytest.mark.parametrize("until", [Until(epochs=3), Until(steps=7), Until(iterations=13)])
@pytest.mark.parametrize("stop", range(1, 13))
def test_a_loop_resumes_anywhere_with_any_loader(until, stop) -> None:
    """The order of torch's own loader is drawn when a pass begins."""

    def run(until, progress=None, state=None):
        seen = []
        loop = loop_over(9, until=until, progress=progress, shuffle=True, seen=seen)
        if state is not None:
            loop.load_state_dict(state)
        loop.run()
        return seen, loop

    torch.manual_seed(3)
    whole, _ = run(until)
    torch.manual_seed(3)
    first, loop = run(Until(iterations=stop))
    generators = torch.get_rng_state()
    torch.manual_seed(99)
    torch.set_rng_state(generators)
    second, _ = run(until, loop.progress, loop.state_dict())
    assert (first + second)[: len(whole)] == whole
    assert first + second == whole or stop > len(whole)


def test_a_loop_that_is_asked_to_stop_ends_at_the_border() -> None:
    seen, points = [], []
    loop = loop_over(8, until=Until(epochs=3), accumulate=2, seen=seen, points=points)
    emit = loop.emit

    def stop(point, **arguments):
        emit(point, **arguments)
        if point == "after_train_iter" and len(seen) == 1:
            loop.stop_training = True

    loop.emit = stop
    loop.run()
    assert len(seen) == 2
    assert points[-3:] == ["at_border", "after_train_epoch", "after_train"]
    assert loop.progress.epoch == 0


class Stream(IterableDataset):
    """Five numbers, whose count nobody is told."""

    def __iter__(self):
        yield from range(5)


def test_a_loader_of_unknown_length_trains_but_accumulates_nothing() -> None:
    seen = []
    loop = TrainLoop(
        DataLoader(Stream(), 2), lambda batch, window: seen.append(batch.tolist()), Progress(), Until(epochs=2)
    )
    loop.run()
    assert seen == [[0, 1], [2, 3], [4]] * 2
    assert (loop.progress.epoch, loop.progress.step, loop.batches_per_epoch) == (2, 6, None)
    loop = TrainLoop(DataLoader(Stream(), 2), lambda batch, window: {}, Progress(), Until(epochs=1), accumulate=2)
    with pytest.raises(ConfigError, match="accumulative_counts=2 needs a training loader of known length"):
        loop.run()


def test_a_loader_without_batches_is_named() -> None:
    with pytest.raises(ConfigError, match="the training loader gives no batches: it has fewer samples than a batch"):
        loop_over(0, until=Until(steps=3)).run()


def test_epochs_of_a_pass_without_end_are_refused() -> None:
    loader = build_dataloader(
        dict(dataset=Points(count=4, pipeline=[Pack()]), batch_size=2, sampler=dict(type="InfiniteSampler")), seed=0
    )
    loop = TrainLoop(loader, lambda batch, window: {}, Progress(), Until(epochs=3))
    with pytest.raises(ConfigError, match="max_epochs=3 never comes: a pass of the training loader's sampler has no"):
        loop.run()
