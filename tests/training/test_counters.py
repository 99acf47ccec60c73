"""The counters of a run, against counting one by one."""

import re

import pytest

from kinema.engine import Every, Progress, Until
from kinema.errors import ConfigError
from kinema.optim import Window


def walk(epochs, batches, accumulate):
    """The progress after every batch of a training; an epoch ends at its last batch."""
    progress = Progress()
    for _ in range(epochs):
        for batch in range(batches):
            progress.count(5, updated=Window.of(batch, accumulate, batches).is_last)
            if batch + 1 == batches:
                progress.finish_epoch()
            yield progress


@pytest.mark.parametrize(("batches", "accumulate"), [(4, 1), (4, 2), (5, 3), (3, 7)])
@pytest.mark.parametrize("until", [Until(epochs=3), Until(iterations=7), Until(steps=4)])
def test_the_iterations_left_are_those_that_come(batches, accumulate, until) -> None:
    reached = [until.reached(progress) for progress in walk(9, batches, accumulate)]
    total = reached.index(True) + 1
    assert until.iterations_left(Progress(), batches, accumulate) == total
    for done, progress in enumerate(walk(9, batches, accumulate), start=1):
        at_border = Window.of((done - 1) % batches, accumulate, batches).is_last
        if done <= total and at_border:
            assert until.iterations_left(progress, batches, accumulate) == total - done


def test_the_end_of_an_endless_pass_is_known_unless_it_is_counted_in_epochs() -> None:
    assert Until(epochs=2).iterations_left(Progress(), None) is None
    assert Until(iterations=9).iterations_left(Progress(iteration=4), None) == 5
    assert Until(steps=4).iterations_left(Progress(step=1), None, accumulate=3) == 9


@pytest.mark.parametrize(
    "every",
    [Every(epochs=2), Every(steps=3), Every(iterations=4), Every(steps=3, begin=7), Every(steps=3, start=5)],
)
def test_what_is_due_comes_once_at_each_multiple(every) -> None:
    mark, due = Progress().mark(), []
    for progress in walk(6, 4, 1):
        if every.due(progress, mark):
            due.append(progress.iteration)
        mark = progress.mark()
    (interval,) = (value for name, value in vars(every).items() if value is not None and name not in ("begin", "start"))
    unit = 4 if every.epochs else 1
    first = max(every.begin, every.start)
    counts = [n for n in range(1, 25) if (n - every.start) % interval == 0 and n >= first]
    assert due == [n * unit for n in counts if n * unit <= 24]


def test_nothing_is_due_without_an_interval() -> None:
    assert not any(Every().due(progress, Progress().mark()) for progress in walk(3, 4, 1))


def test_what_came_due_inside_a_window_is_due_at_its_border() -> None:
    assert Every(iterations=4).due(Progress(iteration=6), Progress(iteration=3).mark())
    assert not Every(iterations=4).due(Progress(iteration=6), Progress(iteration=4).mark())


@pytest.mark.parametrize("total", range(1, 9))
@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_windows_cover_a_pass(total, accumulate) -> None:
    windows = [Window.of(batch, accumulate, total) for batch in range(total)]
    assert windows[-1].is_last
    assert sum(1 / window.length for window in windows) == pytest.approx(sum(window.is_last for window in windows))
    assert [window.index for window in windows] == [batch % accumulate for batch in range(total)]


def test_counters_come_back() -> None:
    best = {"metric": "acc/top1", "value": 0.5, "epoch": 1, "step": 2, "checkpoint": "step_2"}
    progress = Progress(epoch=1, batch=2, iteration=6, step=3, samples=60, epoch_samples=20, seconds=1.5, best=best)
    other = Progress()
    other.load_state_dict(progress.state_dict())
    assert other == progress


def test_an_interval_is_read_from_a_text() -> None:
    assert Every.parse("500steps") == Every(steps=500)
    assert Every.parse(" 1 epoch ") == Every(epochs=1)
    assert Every.parse("20iters") == Every.parse("20iterations") == Every(iterations=20)
    for text in ("often", "0steps", "5", "-1epochs"):
        with pytest.raises(ConfigError, match=f"--save-every: expected an interval such as 500steps .* got '{text}'"):
            Every.parse(text, "--save-every")


def test_a_length_and_an_interval_are_checked() -> None:
    with pytest.raises(ValueError, match="give one of epochs, steps and iterations, got none"):
        Until()
    with pytest.raises(ValueError, match="give one of epochs, steps and iterations, got .*'steps': 2"):
        Until(epochs=1, steps=2)
    with pytest.raises(ValueError, match="max_steps must be at least 1, got max_steps=0"):
        Until(steps=0)
    with pytest.raises(ValueError, match="max_epochs must be a whole number, got max_epochs=1.5"):
        Until(epochs=1.5)
    with pytest.raises(ValueError, match="give one of epochs, steps and iterations, got"):
        Every(epochs=1, steps=2)
    with pytest.raises(ValueError, match="an interval must be at least 1, got"):
        Every(steps=0)


@pytest.mark.parametrize("change", [{"batch": -5}, {"epoch": "x"}, {"best": 7}, {"step": True}])
def test_counters_that_cannot_be_are_refused(change: dict) -> None:
    progress, state = Progress(), {**Progress(step=3).state_dict(), **change}
    with pytest.raises(ValueError, match=f"{next(iter(change))} of the progress is {next(iter(change.values()))!r}"):
        progress.load_state_dict(state)
    assert progress == Progress()


@pytest.mark.parametrize(
    ("name", "value"), [("value", "high"), ("checkpoint", 3), ("metric", None), ("epoch", 1.5), ("smoothed", [1])]
)
def test_a_best_validation_that_cannot_be_is_refused(name: str, value: object) -> None:
    best = {"metric": "acc/top1", "value": 0.5, "epoch": 1, "step": 4, "checkpoint": "step_4"}
    progress = Progress()
    progress.load_state_dict(Progress(best=best).state_dict())
    assert progress.best == best
    with pytest.raises(ValueError, match=re.escape(f"{name} of the best validation is {value!r}")):
        progress.load_state_dict(Progress(best={**best, name: value}).state_dict())


def test_a_best_validation_that_lacks_something_is_refused() -> None:
    with pytest.raises(ValueError, match="the best validation lacks checkpoint, epoch, step, value"):
        Progress().load_state_dict(Progress(best={"metric": "acc/top1"}).state_dict())
