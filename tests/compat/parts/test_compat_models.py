from torch import nn

from kinema.compat.parts.models import is_model_wrapper, merge_dict
from kinema.registry import Registry


def test_a_wrapper_is_one_of_torchs_or_a_registered_one() -> None:
    class Wrapper(nn.Module):
        pass

    wrappers = Registry("wrapper")
    wrappers.register_module(module=Wrapper)
    assert is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
    assert not is_model_wrapper(nn.Linear(1, 1))
    assert not is_model_wrapper(Wrapper())
    assert is_model_wrapper(Wrapper(), wrappers)


def test_later_dicts_win() -> None:
    assert merge_dict({"a": 1, "b": 1}, {"b": 2}, {}) == {"a": 1, "b": 2}
