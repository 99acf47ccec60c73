"""Tables are computed once a size, and never kept from a trace."""

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from kinema.models.layers.tables import kept_table

calls: list[int] = []


@kept_table
def ramp(size: int) -> Tensor:
    """0, 1, ..."""
    calls.append(size)
    return torch.arange(size).float()


def test_a_table_is_computed_once_a_size() -> None:
    calls.clear()
    assert ramp(3) is ramp(3)
    assert ramp(4).tolist() == [0, 1, 2, 3]
    assert calls == [3, 4]


def test_a_table_of_inference_mode_takes_part_in_training() -> None:
    with torch.inference_mode():
        ramp(5)
    weight = torch.ones(5, requires_grad=True)
    (weight * ramp(5)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [0, 1, 2, 3, 4]


def test_what_a_trace_computes_is_not_kept() -> None:
    with FakeTensorMode():
        assert type(ramp(6)) is not Tensor
    assert type(ramp(6)) is Tensor
    with FakeTensorMode():
        assert type(ramp(6)) is not Tensor


def test_what_is_built_without_values_leaves_others_their_table() -> None:
    with torch.device("meta"):
        assert ramp(7).is_meta
    assert ramp(7).tolist() == [0, 1, 2, 3, 4, 5, 6]
