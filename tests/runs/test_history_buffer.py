import pickle

import numpy as np
import pytest
import torch

from kinema.runs.history_buffer import HistoryBuffer


def test_a_figure_has_its_mean_extremes_and_newest_value():
    buffer = HistoryBuffer()
    for value in (3.0, torch.tensor(1.0), torch.tensor([2.0])):
        buffer.update(value)
    assert (buffer.mean(), buffer.mean(2), buffer.min(), buffer.max(), buffer.current()) == (2.0, 1.5, 1.0, 3.0, 2.0)
    values, counts = buffer.data
    assert values.tolist() == [3.0, 1.0, 2.0]
    assert counts.tolist() == [1, 1, 1]


def test_a_value_may_stand_for_several():
    buffer = HistoryBuffer([6.0], [3])
    buffer.update(4.0, 1)
    assert buffer.mean() == 2.5


def test_only_the_last_values_are_kept():
    buffer = HistoryBuffer(max_length=2)
    for value in range(5):
        buffer.update(value)
    assert buffer.data[0].tolist() == [3.0, 4.0]


def test_a_figure_without_values_says_so():
    with pytest.raises(ValueError, match="the figure has no value yet"):
        HistoryBuffer().mean()
    with pytest.raises(ValueError, match="as many counts as values, got 1 values and 0 counts"):
        HistoryBuffer([1.0], [])


def test_statistics_are_known_by_name():
    @HistoryBuffer.register_statistics
    def spread(buffer, window_size=None):
        return buffer.max(window_size) - buffer.min(window_size)

    buffer = pickle.loads(pickle.dumps(HistoryBuffer(np.array([1, 2, 6]), torch.ones(3))))
    assert buffer.max_length == 1_000_000
    assert (buffer.statistics("mean"), buffer.statistics("spread", 2), buffer.statistics("current")) == (3, 4, 6)
    del HistoryBuffer._statistics_methods["spread"]
    with pytest.raises(KeyError, match="spread is no statistic of HistoryBuffer: it has mean, min, max, current"):
        buffer.statistics("spread")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2],), r"log_val must be a single number, got list: \[1, 2\]"),
        ((torch.zeros(2),), "log_val must be a single number, got Tensor"),
        ((1, [1, 2]), r"count must be a number, got list: \[1, 2\]"),
    ],
)
def test_a_value_is_a_single_number(arguments, message):
    with pytest.raises(TypeError, match=message):
        HistoryBuffer().update(*arguments)


def test_a_window_is_a_whole_number():
    with pytest.raises(TypeError, match="window_size must be a whole number, got str: '3'"):
        HistoryBuffer([1], [1]).mean("3")


def test_a_tensor_that_is_changed_in_place_is_kept_as_it_was():
    buffer, value = HistoryBuffer(), torch.tensor(1.0)
    for _ in range(2):
        buffer.update(value)
        value += 1
    assert buffer.data[0].tolist() == [1.0, 2.0]
