import pytest
import torch
from torch import nn

from kinema.models.wrappers import detect_anomalous_params, is_model_wrapper, plain_name, wrapped_places
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
    assert is_model_wrapper(Wrapper(), Registry("parent of wrapper", scope="a")) is False


def test_parameters_that_a_loss_does_not_use_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    net = nn.ModuleDict({"used": nn.Linear(1, 1), "other": nn.Linear(2, 1, bias=False)})
    loss = net["used"](torch.ones(1, 1)).sum()
    loss.backward()
    detect_anomalous_params(loss, net)
    assert [record.getMessage() for record in caplog.records] == [
        "other.weight with shape (1, 2) is not in the computational graph"
    ]


def test_names_are_those_without_wrappers() -> None:
    inner = nn.DataParallel(nn.Linear(1, 1))
    net = nn.ModuleDict({"a": nn.DataParallel(nn.Sequential(inner)), "module": nn.Linear(1, 1)})
    places = wrapped_places(net)
    assert places == ["a.module.0", "a"]
    plain = [plain_name(name, places) for name in net.state_dict()]
    assert plain == ["a.0.weight", "a.0.bias", "module.weight", "module.bias"]
