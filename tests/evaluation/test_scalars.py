import numpy as np
import pytest
import torch

from kinema.evaluation.scalars import scalars


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2)])
def test_single_numbers_of_any_library_are_floats(value):
    (number,) = scalars({"acc": value}).values()
    assert type(number) is float
    assert number == 2


@pytest.mark.parametrize("value", [np.eye(2), torch.zeros(1), [1, 2], "2", None])
def test_what_is_no_single_number_is_left_out(value):
    assert scalars({"acc/top1": 0.5, "other": value}) == {"acc/top1": 0.5}
