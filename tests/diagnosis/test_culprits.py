import math

import torch
from torch import nn

from kinema.diagnosis import bad_gradients, bad_weights, first_bad_module


class Log(nn.Module):
    def forward(self, x):
        return {"scores": [x.log()]}


class Last(nn.Module):
    def forward(self, x):
        return x["scores"][0] * 2


def test_the_first_module_with_a_bad_output_is_named_in_the_order_of_the_forward_pass():
    model = nn.Sequential(nn.Linear(2, 2), nn.Threshold(1e9, 0.0), Log(), Last())
    text = first_bad_module(model, lambda: model(torch.ones(1, 2)))
    assert text == "the first module whose output is not finite is 2 (Log), whose input is finite"


def test_a_bad_input_and_bad_weights_are_told_apart():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    text = first_bad_module(model, lambda: model(torch.tensor([[math.nan, 1.0]])))
    assert text.endswith("is 0 (Linear), whose input is not finite either")
    with torch.no_grad():
        model[0].weight[0, 0] = math.inf
    text = first_bad_module(model, lambda: model(torch.ones(1, 2)))
    assert text.endswith("is 0 (Linear), whose weights are not finite")


def test_a_model_without_children_is_named():
    assert "is the model (Log), whose input is finite" in first_bad_module(
        model := Log(), lambda: model(torch.zeros(2))
    )


def test_the_second_forward_pass_leaves_no_trace():
    model = nn.BatchNorm1d(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    text = first_bad_module(model, lambda: model(torch.randn(4, 2)))
    assert text == "in a second forward pass the outputs of all modules are finite"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model._forward_hooks


def test_a_forward_pass_that_fails_is_said():
    def fail():
        raise RuntimeError("no such thing")

    assert first_bad_module(Log(), fail) == "the forward pass cannot be repeated (RuntimeError: no such thing)"


def test_bad_weights_buffers_and_gradients_are_named():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert bad_weights(model) == []
    model[1].running_var[0] = math.nan
    model[0].bias.grad = torch.tensor([math.inf, 0.0])
    model[0].weight.grad = torch.zeros(2, 2)
    assert bad_weights(model) == ["1.running_var"]
    assert bad_gradients(model.named_parameters()) == ["0.bias"]
    assert bad_weights(nn.ReLU()) == []
